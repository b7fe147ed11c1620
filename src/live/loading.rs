//! One load of a session: its number, and what its end changes.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    core::Core,
    end::finish,
    entry::Entry,
    fetch::Missing,
    load_error::LoadError,
    reason::EndReason,
    snapshot::{Snapshot, instant_of},
    state::Mark,
    users,
};
use crate::{observe::Stopwatch, store::Record};

/// Delay before a load that failed is repeated for a watched session.
const RETRY: Duration = Duration::from_secs(1);

pub(super) type Loaded<T> = Result<Arc<Snapshot<T>>, LoadError>;

/// A load under way. When it is dropped before its end, the worker loads a watched session instead.
pub(super) struct Loading<'a, T> {
    core: &'a Arc<Core<T>>,
    entry: &'a Arc<Entry<T>>,
    number: u64,
    pub(super) before: Mark,
    /// The session was known when the load began.
    knew: bool,
    installed: bool,
}

impl<'a, T: Send + Sync + 'static> Loading<'a, T> {
    pub(super) fn begin(core: &'a Arc<Core<T>>, entry: &'a Arc<Entry<T>>) -> Self {
        let mut state = entry.state();
        state.loads.begun += 1;
        state.loads.began_at = state.invalidations;
        let (number, before) = (state.loads.begun, state.mark(core.feed.epoch()));
        let knew = state.snapshot().is_some();
        drop(state);
        Self {
            core,
            entry,
            number,
            before,
            knew,
            installed: false,
        }
    }

    pub(super) fn install(
        mut self,
        began: Instant,
        found: Result<Record<T>, Missing>,
    ) -> Loaded<T> {
        self.installed = true;
        let (core, entry) = (self.core, self.entry);
        match found {
            Ok(record) => {
                let latest = core.config.latest_end(&record.data).and_then(instant_of);
                let snapshot = Snapshot::loaded(record, began, latest);
                let is_capped = latest.is_some() && snapshot.deadline == latest;
                let loaded = install_good(core, entry, self.number, self.before, snapshot);
                if is_capped {
                    // The store's own deadline may have changed behind that of the application.
                    entry.state().pace.reset();
                }
                loaded
            }
            Err(missing) => {
                let known = install_bad(core, entry, self.number, self.before, &missing);
                // One that was created meanwhile is not the one that was missing.
                if let (true, Some(reason)) = (known && self.knew, missing.ends) {
                    finish(core, entry, reason);
                }
                Err(missing.error)
            }
        }
    }
}

impl<T> Drop for Loading<'_, T> {
    fn drop(&mut self) {
        if self.installed {
            return;
        }
        let mut state = self.entry.state();
        if state.loads.begun == self.number {
            // It never ends, so nothing waits for it.
            state.loads.began_at = u64::MAX;
        }
        self.core.ensure_checked(self.entry, &mut state);
    }
}

fn install_good<T: Send + Sync + 'static>(
    core: &Arc<Core<T>>,
    entry: &Arc<Entry<T>>,
    number: u64,
    before: Mark,
    snapshot: Snapshot<T>,
) -> Loaded<T> {
    let mut state = entry.state();
    if state.end_reason().is_some() {
        return Err(LoadError::NotFound);
    }
    let now = Instant::now();
    if snapshot.is_over(now) {
        state.loads.ended = number;
        state.loads.failure = Some(LoadError::NotFound);
        if state.mark(core.feed.epoch()) == before {
            core.failed.insert(&entry.id, LoadError::NotFound);
        }
        drop(state);
        finish(core, entry, EndReason::Expired);
        return Err(LoadError::NotFound);
    }
    let old = state
        .snapshot()
        .filter(|old| old.revision != snapshot.revision);
    let old = old.cloned();
    // The same revision is the same data, which handles may compare by its address.
    let snapshot = match state.snapshot() {
        Some(known) if old.is_none() => Snapshot {
            data: known.data.clone(),
            ..snapshot
        },
        _ => snapshot,
    };
    let snapshot = Arc::new(snapshot);
    let dropped = state.learn(snapshot.clone(), before, core.feed.epoch());
    state.loads.ended = number;
    state.loads.epoch = before.epoch;
    state.loads.failure = None;
    state.failing = None;
    state.reported = Stopwatch::default();
    state.life.set_last_check(None);
    state.recheck = Some(now + core.config.recheck_delay());
    core.failed.remove(&entry.id);
    core.schedule(entry, &mut state);
    core.ensure_checked(entry, &mut state);
    drop(state);
    drop(dropped);
    if let Some(old) = old {
        users::changed(core, entry, &old.data, &snapshot.data);
        if entry.end_reason().is_some() {
            return Err(LoadError::NotFound);
        }
        entry.changed.notify_waiters();
    }
    Ok(snapshot)
}

/// `true` when the session was known here.
fn install_bad<T>(
    core: &Arc<Core<T>>,
    entry: &Arc<Entry<T>>,
    number: u64,
    before: Mark,
    missing: &Missing,
) -> bool {
    let mut state = entry.state();
    state.loads.ended = number;
    state.loads.failure = Some(missing.error.clone());
    if state.mark(core.feed.epoch()) == before {
        core.failed.insert(&entry.id, missing.error.clone());
    }
    let known = state.snapshot().is_some();
    if known && missing.ends.is_none() {
        state.failing = Some(match missing.error {
            LoadError::Unreadable(_) => EndReason::Unreadable,
            _ => EndReason::StoreUnreachable,
        });
        let retry = RETRY.mul_f64(0.8 + 0.4 * fastrand::f64());
        state.recheck = Some(Instant::now() + retry.min(core.config.revalidate_every));
        core.schedule(entry, &mut state);
    }
    known
}
