//! Runs what users hook in, where it can block nobody.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    thread,
};

use parking_lot::Mutex;
use tokio::runtime::Handle;

/// A hook of a user, with what it is called with.
pub(crate) type Job = Box<dyn FnOnce() + Send>;

/// So many hooks may wait.
const QUEUE: usize = 1024;

/// A thread that runs hooks, one after the other. It starts with the first one and ends with its
/// bridge.
///
/// A hook is ordinary blocking code and may hang or panic. On a thread of its own that costs the
/// later hooks only: no handshake waits, no socket stays open, and the runtime can still shut down.
#[derive(Default)]
pub(crate) struct HookThread {
    queue: Mutex<Option<SyncSender<Job>>>,
}

impl HookThread {
    /// Hands a hook to the thread; `false` when so many wait already that this one is dropped.
    pub(crate) fn run(&self, job: Job) -> bool {
        let job = within_runtime(job);
        let mut queue = self.queue.lock();
        let sender = match &*queue {
            Some(sender) => sender,
            None => match start() {
                Some(sender) => queue.insert(sender),
                None => return false,
            },
        };
        match sender.try_send(job) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                tracing::warn!("a session hook was dropped: an earlier one does not return");
                false
            }
            Err(TrySendError::Disconnected(_)) => {
                *queue = None;
                false
            }
        }
    }
}

impl fmt::Debug for HookThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HookThread").finish_non_exhaustive()
    }
}

fn start() -> Option<SyncSender<Job>> {
    let (sender, jobs) = sync_channel(QUEUE);
    thread::Builder::new()
        .name("session-hooks".into())
        .spawn(move || run_all(&jobs))
        .inspect_err(|error| tracing::error!(%error, "no thread for session hooks"))
        .ok()?;
    Some(sender)
}

fn run_all(jobs: &Receiver<Job>) {
    while let Ok(job) = jobs.recv() {
        if catch_unwind(AssertUnwindSafe(job)).is_err() {
            tracing::error!("a session hook panicked");
        }
    }
}

/// Lets the hook spawn tasks, as it could where it was called from.
fn within_runtime(job: Job) -> Job {
    match Handle::try_current() {
        Ok(runtime) => Box::new(move || {
            let _entered = runtime.enter();
            job();
        }),
        Err(_) => job,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn a_panic_is_caught_and_the_next_one_runs() {
        let hooks = HookThread::default();
        let (done, is_done) = channel();
        assert!(hooks.run(Box::new(|| panic!("a hook that panics"))));
        assert!(hooks.run(Box::new(move || done.send(()).unwrap())));
        is_done.recv().unwrap();
    }

    #[test]
    fn behind_one_that_hangs_the_queue_is_bounded() {
        let hooks = HookThread::default();
        let (_release, hang) = channel::<()>();
        let (started, has_started) = channel();
        assert!(hooks.run(Box::new(move || {
            started.send(()).unwrap();
            let _ = hang.recv();
        })));
        has_started.recv().unwrap();
        for _ in 0..QUEUE {
            assert!(hooks.run(Box::new(|| ())));
        }
        assert!(!hooks.run(Box::new(|| ())));
    }
}
