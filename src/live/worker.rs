//! The background worker of a bridge. It only schedules: user code never runs on it.

use std::{
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

use futures_util::FutureExt as _;
use tokio::{
    runtime::Handle,
    sync::Notify,
    task::{JoinError, JoinSet},
    time::Instant,
};

use super::{
    activity::touch_used,
    clock::Clock,
    core::Core,
    end::delete,
    feed::Reports,
    load::check,
    look::look,
    owed::Due,
    queue::{Job, Lane},
    state::Queued,
};
use crate::{
    id::SessionId,
    observe::{self, target},
    store::Change,
};

/// Maximum number of concurrent store calls made by the worker.
const MAX_CALLS: usize = 32;
/// Maximum number of writes among them, so that writes that hang do not delay what follows a report.
const MAX_WRITES: usize = 16;
/// Maximum number of timers handled before the worker looks at reports again.
const BATCH: usize = 256;
/// Delay between two attempts to subscribe to a feed that ended.
const RESUBSCRIBE: Duration = Duration::from_secs(1);
/// Interval at which the wall clock is compared with tokio's clock.
const CLOCK_INTERVAL: Duration = Duration::from_secs(10);

/// Starts the worker, or starts it again when it has died with its runtime.
pub(super) fn ensure<T: Send + Sync + 'static>(core: &Arc<Core<T>>) {
    if core.worker_runs.load(Ordering::Acquire) {
        return;
    }
    // A handle may be used outside of a runtime; the next use in one starts the worker.
    let Ok(runtime) = Handle::try_current() else {
        return;
    };
    if core.worker_runs.swap(true, Ordering::AcqRel) {
        return;
    }
    core.retiring.set_runtime(Some(runtime.clone()));
    core.owed.restart();
    // Subscribed before the first load: from now on no change goes unnoticed.
    let reports = Reports::new(core.store.changes());
    core.feed.begin(reports.is_ready());
    check_all(core, Queued::Urgent);
    let worker = Worker {
        alive: Alive(Arc::downgrade(core)),
        wake: core.wake.clone(),
        reports,
        resubscribe: None,
        clock: Clock::now(),
    };
    runtime.spawn(worker.run());
}

struct Worker<T> {
    /// Declared first, so that it is dropped first: without a worker the feed is not followed.
    alive: Alive<T>,
    wake: Arc<Notify>,
    reports: Reports,
    resubscribe: Option<Instant>,
    clock: Clock,
}

/// On its drop the next use starts another worker. What it had to do is kept by the core: owed
/// deletions with their retries, and checks, which begin again with all watched sessions.
struct Alive<T>(Weak<Core<T>>);

impl<T> Drop for Alive<T> {
    fn drop(&mut self) {
        if let Some(core) = self.0.upgrade() {
            core.feed.begin(false);
            core.retiring.set_runtime(None);
            core.worker_runs.store(false, Ordering::Release);
        }
    }
}

impl<T: Send + Sync + 'static> Worker<T> {
    async fn run(mut self) {
        let mut running = JoinSet::new();
        loop {
            let Some(core) = self.alive.0.upgrade() else {
                return;
            };
            let next = self.turn(&core, &mut running);
            drop(core);
            tokio::select! {
                // In a fixed order, so that a test can repeat a run. Nothing starves: what is due is
                // done at the beginning of each turn.
                biased;
                Some(done) = running.join_next() => log_panic(&done),
                () = self.wake.notified() => {}
                change = self.reports.next() => self.report(change),
                () = sleep_until(next) => {}
            }
        }
    }

    /// Does what is due, starts what is queued, and returns when to come again.
    fn turn(&mut self, core: &Arc<Core<T>>, running: &mut JoinSet<()>) -> Option<Instant> {
        let now = Instant::now();
        self.drain_reports();
        if self.clock.has_jumped() {
            tracing::info!(
                target: target::STORE,
                "the wall clock has jumped: all live sessions are loaded again"
            );
            // The deadlines of all entries are late by the jump, also of those that are not watched.
            core.feed.begin(core.feed.epoch().reports());
            check_all(core, Queued::Routine);
        }
        if self.resubscribe.is_some_and(|at| at <= now) {
            self.subscribe(core);
        }
        for _ in 0..BATCH {
            let Some((timer, entry)) = core.timers.take_due(now) else {
                break;
            };
            if let Some(entry) = entry.upgrade() {
                look(core, &entry, timer);
            }
        }
        Self::take_deletions(core, now);
        while running.len() < MAX_CALLS
            && let Some((lane, job)) = core
                .queue
                .pop(core.writes.load(Ordering::Relaxed) < MAX_WRITES)
        {
            start(core, lane, job, running);
        }
        self.next_turn(core)
    }

    /// Reports come before everything else that is queued.
    fn drain_reports(&mut self) {
        for _ in 0..BATCH {
            match self.reports.next().now_or_never() {
                Some(change) => self.report(change),
                None => return,
            }
        }
        // There may be more of them.
        self.wake.notify_one();
    }

    fn take_deletions(core: &Core<T>, now: Instant) {
        loop {
            match core.owed.take_due(now) {
                Due::Nothing => return,
                Due::Delete(id) => core.queue.push(Lane::Write, Job::Delete(id)),
                Due::Over(entry) => drop(entry),
            }
        }
    }

    fn next_turn(&self, core: &Core<T>) -> Option<Instant> {
        let timers = core.timers.next();
        let clock = (core.live_sessions() > 0).then(|| Instant::now() + CLOCK_INTERVAL);
        let all = [timers, clock, core.owed.next(), self.resubscribe];
        all.into_iter().flatten().min()
    }

    fn report(&mut self, change: Option<Change>) {
        let Some(core) = self.alive.0.upgrade() else {
            return;
        };
        match change {
            Some(Change::Session(id)) => reported(&core, &id),
            Some(Change::Disconnected) => feed_broke(&core),
            Some(Change::Resync) => feed_is_back(&core),
            None => {
                feed_broke(&core);
                self.resubscribe = Some(Instant::now() + RESUBSCRIBE);
            }
        }
    }

    fn subscribe(&mut self, core: &Arc<Core<T>>) {
        self.resubscribe = None;
        self.reports = Reports::new(core.store.changes());
        if self.reports.is_ready() {
            feed_is_back(core);
        } else if self.reports.is_empty() {
            self.resubscribe = Some(Instant::now() + RESUBSCRIBE);
        }
    }
}

fn reported<T>(core: &Core<T>, id: &SessionId) {
    core.failed.remove(id);
    core.inert.report(id);
    if core.owed.reported(id) {
        core.wake.notify_one();
    }
    if let Some(entry) = core.find(id) {
        entry.state().reported.ensure_started();
        core.invalidate(&entry);
    }
}

fn feed_broke<T>(core: &Core<T>) {
    core.failed.clear();
    if core.feed.begin(false).reports() {
        observe::feed_lost();
        tracing::warn!(
            target: target::FEED,
            "the session store can't report changes now"
        );
    }
}

fn feed_is_back<T>(core: &Core<T>) {
    core.failed.clear();
    let was_down = !core.feed.begin(true).reports();
    core.owed.repeat_guarded();
    let sessions = check_all(core, Queued::Routine);
    if was_down {
        tracing::info!(
            target: target::FEED,
            sessions,
            "the session store reports changes"
        );
    }
}

/// Has all watched sessions loaded again, and returns their number.
pub(super) fn check_all<T>(core: &Core<T>, urgency: Queued) -> usize {
    let entries = core.watched();
    for entry in &entries {
        let mut state = entry.state();
        state.invalidate();
        // Jobs of a worker that died are queued again.
        if urgency == Queued::Urgent {
            state.queued = None;
        }
        core.queue_check(entry, &mut state, urgency);
    }
    entries.len()
}

/// Starts a job as a task of its own, because it runs closures of the application: what they do, a
/// panic included, stays there.
fn start<T: Send + Sync + 'static>(
    core: &Arc<Core<T>>,
    lane: Lane,
    job: Job<T>,
    running: &mut JoinSet<()>,
) {
    let core = core.clone();
    match job {
        Job::Check(entry) => {
            // Or it was queued again in the urgent lane, where it has been taken or will be.
            if lane == Lane::Urgent || entry.state().queued == Some(Queued::Routine) {
                running.spawn(async move { check(&core, &entry).await });
            }
        }
        Job::Delete(id) => {
            let writing = Writing::new(core);
            running.spawn(async move { drop(delete(&writing.0, &id).await) });
        }
        Job::Touch(entry) => {
            let writing = Writing::new(core);
            running.spawn(async move { touch_used(&writing.0, &entry).await });
        }
    }
}

fn log_panic(done: &Result<(), JoinError>) {
    if done.is_err() {
        tracing::error!(target: target::CALLBACK, "a check of a session panicked");
    }
}

/// Counts a touch or a deletion while it is under way.
struct Writing<T>(Arc<Core<T>>);

impl<T> Writing<T> {
    fn new(core: Arc<Core<T>>) -> Self {
        core.writes.fetch_add(1, Ordering::Relaxed);
        Self(core)
    }
}

impl<T> Drop for Writing<T> {
    fn drop(&mut self) {
        self.0.writes.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn sleep_until(next: Option<Instant>) {
    match next {
        Some(next) => tokio::time::sleep_until(next).await,
        None => std::future::pending().await,
    }
}
