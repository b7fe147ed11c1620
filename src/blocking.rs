//! Runs user code that may block or panic, where it delays nothing else.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
};

use crate::observe::target;

/// A limited number of calls of user code on tokio's threads for blocking work.
///
/// A call keeps its permit until it returns, so that one that hangs occupies one permit and one
/// thread, and no more.
#[derive(Clone)]
pub(crate) struct Blocking {
    what: &'static str,
    permits: Arc<Semaphore>,
    dropped: Arc<AtomicU64>,
}

impl Blocking {
    pub(crate) fn new(what: &'static str, limit: usize) -> Self {
        Self {
            what,
            permits: Arc::new(Semaphore::new(limit)),
            dropped: Arc::default(),
        }
    }

    /// Runs `call` and waits for its end. Waits for a permit first. `None` after a panic.
    pub(crate) async fn run<R: Send + 'static>(
        &self,
        call: impl FnOnce() -> R + Send + 'static,
    ) -> Option<R> {
        let permit = self.permits.clone().acquire_owned().await.ok()?;
        let what = self.what;
        #[cfg(test)]
        if JOINED.get() {
            let thread = std::thread::spawn(move || caught(what, permit, call));
            return thread.join().ok().flatten();
        }
        let called = tokio::task::spawn_blocking(move || caught(what, permit, call));
        called.await.ok().flatten()
    }

    /// Runs `call` and waits for its end, but no longer than `limit`. One that gets no permit in this
    /// time is dropped and counted.
    pub(crate) async fn run_within(&self, limit: Duration, call: impl FnOnce() + Send + 'static) {
        let begun = Arc::new(AtomicBool::new(false));
        let begins = begun.clone();
        let called = self.run(move || {
            begins.store(true, Ordering::Relaxed);
            call();
        });
        let ended = tokio::time::timeout(limit, called).await;
        if ended.is_err() && !begun.load(Ordering::Relaxed) {
            self.count_dropped();
        }
    }

    /// Starts `call` if there is a permit and a runtime; else drops it and counts that.
    pub(crate) fn start(&self, call: impl FnOnce() + Send + 'static) {
        let permit = self.permits.clone().try_acquire_owned();
        let (Ok(permit), Ok(runtime)) = (permit, Handle::try_current()) else {
            self.count_dropped();
            return;
        };
        let what = self.what;
        runtime.spawn_blocking(move || caught(what, permit, call));
    }

    fn count_dropped(&self) {
        let dropped = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
        // At 1, 2, 4, 8, …, so that a flood does not fill the log.
        if dropped.is_power_of_two() {
            tracing::warn!(
                target: target::CALLBACK,
                callback = self.what,
                dropped,
                "calls were dropped: too many are running"
            );
        }
    }
}

#[cfg(test)]
thread_local! {
    static JOINED: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// While `test` runs, calls that are made on this thread are over when they return, so that the
/// order of events does not depend on the scheduling of threads.
#[cfg(test)]
pub(crate) fn joined<R>(test: impl FnOnce() -> R) -> R {
    JOINED.set(true);
    let result = test();
    JOINED.set(false);
    result
}

fn caught<R>(
    what: &'static str,
    permit: OwnedSemaphorePermit,
    call: impl FnOnce() -> R,
) -> Option<R> {
    let called = catch_unwind(AssertUnwindSafe(call));
    drop(permit);
    if called.is_err() {
        tracing::error!(target: target::CALLBACK, callback = what, "a callback panicked");
    }
    called.ok()
}

impl fmt::Debug for Blocking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blocking")
            .field("what", &self.what)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc::channel, time::Duration};

    use super::*;

    #[tokio::test]
    async fn a_panic_is_caught_and_gives_its_permit_back() {
        let calls = Blocking::new("a test", 1);
        assert_eq!(calls.run(|| panic!("in a test")).await, None::<()>);
        assert_eq!(calls.run(|| 1).await, Some(1));
    }

    #[tokio::test]
    async fn beyond_the_limit_calls_wait_or_are_dropped_and_counted() {
        let calls = Blocking::new("a test", 1);
        let (release, hangs) = channel::<()>();
        calls.start(move || {
            let _ = hangs.recv();
        });
        calls.start(|| panic!("it is dropped"));
        assert_eq!(calls.dropped.load(Ordering::Relaxed), 1);
        let mut waiting = Box::pin(calls.run(|| 1));
        let waited = tokio::time::timeout(Duration::from_millis(20), &mut waiting).await;
        assert!(waited.is_err());
        calls
            .run_within(Duration::from_millis(20), || panic!("it is dropped"))
            .await;
        assert_eq!(calls.dropped.load(Ordering::Relaxed), 2);
        drop(release);
        assert_eq!(waiting.await, Some(1));
    }
}
