//! The one task that keeps a bridge's live sessions true.

use std::{
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use tokio::{runtime::Handle, sync::Notify, time::Instant};

use super::{
    Inner, Live, LoadError,
    agenda::{Deletion, Job, Task},
    entry::Entry,
    feed::Reports,
    socket::Presence,
};
use crate::store::Change;

/// So many calls of the keeper may be under way at the store.
const CONCURRENCY: usize = 32;
/// So many timed tasks are done before others get their turn.
const BATCH: usize = 256;
/// When the feed is back, every session is looked at again within this time.
const SPREAD: Duration = Duration::from_millis(500);
/// How long to wait before a store that did not answer is asked again.
const RETRY: Duration = Duration::from_secs(1);
/// The same between attempts to subscribe to a feed that ended.
const RESUBSCRIBE: Duration = Duration::from_secs(1);
const LONGEST_DELETE_DELAY: Duration = Duration::from_secs(30);

type Running = FuturesUnordered<BoxFuture<'static, ()>>;

impl<T: Send + Sync + 'static> Live<T> {
    /// Starts the keeper, or starts it again when it has died with a panic or its runtime.
    pub(crate) fn ensure_keeper(&self) {
        // Something that is dropped outside of a runtime may come here; the next use starts it then.
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let mut keeper = self.0.keeper.lock();
        if keeper.as_ref().is_some_and(|keeper| !keeper.is_finished()) {
            return;
        }
        let again = keeper.is_some();
        // Subscribed before anybody loads: from now on no change goes unnoticed.
        let reports = Reports::new(self.0.store.changes());
        self.0.feed.set(reports.is_ready());
        if again {
            tracing::warn!("the session keeper had died and is started again");
            self.start_over();
        }
        let inner = Arc::downgrade(&self.0);
        *keeper = Some(runtime.spawn(keep(inner, self.0.bell.clone(), reports)));
    }

    /// What died with the last keeper is done again.
    fn start_over(&self) {
        for entry in self.0.registry.all().iter().filter_map(Weak::upgrade) {
            entry.queue_check();
            self.0.agenda.lock().now(Job::Check(entry));
        }
    }

    /// Does what is due, starts what is ready, and says when to come again.
    fn turn(&self, running: &mut Running, reports: &mut Reports) -> Option<Instant> {
        for _ in 0..BATCH {
            let due = self.0.agenda.lock().take_due(Instant::now());
            match due {
                Some((when, task)) => self.do_task(when, task, reports),
                None => break,
            }
        }
        while running.len() < CONCURRENCY {
            let Some(job) = self.0.agenda.lock().take_ready() else {
                break;
            };
            running.push(self.clone().run_job(job).boxed());
        }
        self.0.agenda.lock().next()
    }

    fn do_task(&self, when: Instant, task: Task<T>, reports: &mut Reports) {
        match task {
            Task::Look(entry) => {
                if let Some(entry) = entry.upgrade() {
                    self.look(&entry, when);
                }
            }
            Task::Check(entry) => {
                if let Some(entry) = entry.upgrade() {
                    self.check_soon(&entry);
                }
            }
            Task::Close(mut closing) => {
                if let Some(next) = closing.step(&self.0.hooks) {
                    self.0.agenda.lock().at(next, Task::Close(closing));
                }
            }
            Task::Delete(deletion) => self.0.agenda.lock().now(Job::Delete(deletion)),
            Task::Touch => self.0.agenda.lock().write_touches(),
            Task::Subscribe => {
                *reports = Reports::new(self.0.store.changes());
                if reports.is_ready() {
                    self.feed_is_back();
                } else if reports.is_empty() {
                    self.subscribe_later();
                }
            }
        }
    }

    /// Time has come for an entry: it ends, or the store is asked.
    fn look(&self, entry: &Arc<Entry<T>>, when: Instant) {
        let store_down = self.0.store_down.load(Ordering::SeqCst);
        let due = entry.due(when, self.0.config.max_stale, store_down);
        if let Some(reason) = due.end {
            self.finish(entry, reason);
        }
        let mut agenda = self.0.agenda.lock();
        if due.check {
            agenda.first(Job::Check(entry.clone()));
        }
        if let Some(next) = due.next {
            agenda.at(next, Task::Look(Arc::downgrade(entry)));
        }
        drop(agenda);
        sweep(entry);
    }

    async fn run_job(self, job: Job<T>) {
        match job {
            Job::Check(entry) => self.check(&entry).await,
            Job::Delete(deletion) => self.delete_again(deletion).await,
            Job::Touch(id) => self.write_touch(&id).await,
        }
    }

    async fn check(&self, entry: &Arc<Entry<T>>) {
        entry.check_begins();
        if entry.end.reason().is_some() {
            return;
        }
        let Err(LoadError::Store(error)) = self.load(entry).await else {
            return;
        };
        tracing::warn!(
            session = entry.id.fingerprint(),
            error = &error as &dyn std::error::Error,
            "a live session could not be checked"
        );
        let retry = RETRY.mul_f64(0.8 + 0.4 * fastrand::f64());
        let recheck = Instant::now() + retry.min(self.0.config.revalidate_every);
        match entry.check_failed(recheck, self.0.config.max_stale) {
            Some(reason) => self.finish(entry, reason),
            None => self.schedule(entry),
        }
    }

    async fn delete_again(&self, mut deletion: Deletion<T>) {
        let Err(error) = self.0.store.delete(&deletion.entry.id).await else {
            return;
        };
        let next = Instant::now() + deletion.delay;
        if next >= deletion.until {
            tracing::warn!(
                session = deletion.entry.id.fingerprint(),
                error = &error as &dyn std::error::Error,
                "an ended session was never deleted; it has expired by now"
            );
            return;
        }
        deletion.delay = (deletion.delay * 2).min(LONGEST_DELETE_DELAY);
        self.at(next, Task::Delete(deletion));
    }

    fn feed_says(&self, change: &Change) {
        match change {
            Change::Session(id) => {
                if let Some(entry) = self.0.registry.find(id)
                    && entry.reported()
                {
                    self.0.agenda.lock().now(Job::Check(entry));
                }
            }
            Change::Disconnected => {
                if self.0.feed.set(false) {
                    tracing::warn!("the session store can't report changes now");
                }
            }
            Change::Resync => self.feed_is_back(),
        }
    }

    fn feed_is_back(&self) {
        self.0.feed.set(true);
        let entries = self.0.registry.all();
        tracing::info!(
            sessions = entries.len(),
            "the session store reports changes"
        );
        let now = Instant::now();
        let mut agenda = self.0.agenda.lock();
        for entry in entries {
            let when = now + SPREAD.mul_f64(fastrand::f64());
            agenda.at(when, Task::Check(entry));
        }
    }

    fn feed_ended(&self) {
        self.feed_says(&Change::Disconnected);
        self.subscribe_later();
    }

    fn subscribe_later(&self) {
        self.at(Instant::now() + RESUBSCRIBE, Task::Subscribe);
    }
}

/// Forgets the sockets that are gone although somebody still holds them: a handler that captures its
/// own socket, say.
fn sweep<T>(entry: &Arc<Entry<T>>) {
    for (key, socket) in entry.sockets() {
        if socket.presence() == Presence::Gone {
            entry.forget_socket(key);
            socket.release();
        }
    }
}

async fn keep<T: Send + Sync + 'static>(
    inner: Weak<Inner<T>>,
    bell: Arc<Notify>,
    mut reports: Reports,
) {
    let _down = FeedDown(inner.clone());
    let mut running = Running::new();
    loop {
        let Some(live) = inner.upgrade().map(Live) else {
            return;
        };
        let next = live.turn(&mut running, &mut reports);
        drop(live);
        tokio::select! {
            // In a fixed order, so that a test can repeat a run. Nothing starves: what is due is
            // done at the beginning of each turn, and of the others each goes on in the next one.
            biased;
            Some(()) = running.next() => {}
            () = bell.notified() => {}
            change = reports.next() => {
                let Some(live) = inner.upgrade().map(Live) else { return };
                if let Some(change) = change {
                    live.feed_says(&change);
                } else {
                    live.feed_ended();
                }
            }
            () = sleep_until(next) => {}
        }
    }
}

async fn sleep_until(next: Option<Instant>) {
    match next {
        Some(next) => tokio::time::sleep_until(next).await,
        None => std::future::pending().await,
    }
}

/// Without a keeper nobody follows the feed.
struct FeedDown<T>(Weak<Inner<T>>);

impl<T> Drop for FeedDown<T> {
    fn drop(&mut self) {
        if let Some(inner) = self.0.upgrade() {
            inner.feed.set(false);
        }
    }
}

impl<T> Drop for Inner<T> {
    fn drop(&mut self) {
        // The keeper finds it gone, and ends.
        self.bell.notify_one();
    }
}
