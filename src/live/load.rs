//! Loading sessions, so that nothing that is reported meanwhile is missed.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use tokio::time::Instant;

use super::{
    core::Core,
    end::{finish, reason_of_missing},
    entry::Entry,
    load_error::LoadError,
    reason::EndReason,
    snapshot::{Snapshot, instant_of},
    state::{Mark, Queued},
    users,
};
use crate::{
    causes::Causes,
    deadline::within,
    observe::{Stopwatch, target},
    store::{Record, StoreError, StoreErrorKind},
};

/// Maximum number of loads that are repeated because the feed broke or came back meanwhile.
const MAX_REPEATS: u32 = 4;
/// Delay before a load that failed is repeated for a watched session.
const RETRY: Duration = Duration::from_secs(1);

type Loaded<T> = Result<Arc<Snapshot<T>>, LoadError>;

/// What is known of the session if it is fresh; else the outcome, good or bad, of the load under way
/// or of a new one.
pub(super) async fn current<T: Send + Sync + 'static>(
    core: &Arc<Core<T>>,
    entry: &Arc<Entry<T>>,
) -> Loaded<T> {
    let after = {
        let state = entry.state();
        if state.end_reason().is_some() {
            return Err(LoadError::NotFound);
        }
        if let Some(snapshot) = state.fresh(core.feed.epoch()) {
            return Ok(snapshot.clone());
        }
        state.load_to_outwait()
    };
    if let Some(error) = core.failed.get(&entry.id) {
        return Err(error);
    }
    load(core, entry, after, Some(core.call_deadline())).await
}

/// The outcome of a load that begins after this call.
pub(super) async fn reload<T: Send + Sync + 'static>(
    core: &Arc<Core<T>>,
    entry: &Arc<Entry<T>>,
) -> Loaded<T> {
    let after = entry.state().loads.begun;
    load(core, entry, after, Some(core.call_deadline())).await
}

/// The outcome of the first load whose number is above `after`.
///
/// A caller waits for the session's turn, and for the loads of others, until its deadline. A load that
/// it makes itself is not cut off: each of its calls has its own timeout.
async fn load<T: Send + Sync + 'static>(
    core: &Arc<Core<T>>,
    entry: &Arc<Entry<T>>,
    after: u64,
    deadline: Option<Instant>,
) -> Loaded<T> {
    let _turn = in_time(deadline, entry.turn.lock()).await?;
    if let Some(outcome) = outcome_after(core, entry, after) {
        return outcome;
    }
    let cold = entry.state().watchers <= 1 && entry.snapshot().is_none();
    let _permit = if cold {
        in_time(deadline, core.cold_loads.acquire()).await?.ok()
    } else {
        None
    };
    for _ in 0..MAX_REPEATS {
        let loading = Loading::begin(core, entry);
        let began = Instant::now();
        let found = fetch(core, entry).await;
        if core.feed.epoch() == loading.before.epoch {
            return loading.install(began, found);
        }
    }
    let why = "the feed of changes broke or came back during each of several loads";
    Err(LoadError::Store(StoreError::new(
        StoreErrorKind::Unavailable,
        why,
    )))
}

async fn in_time<R>(
    deadline: Option<Instant>,
    wait: impl Future<Output = R>,
) -> Result<R, LoadError> {
    let Some(deadline) = deadline else {
        return Ok(wait.await);
    };
    let waited = within(deadline, wait).await;
    waited.ok_or_else(|| LoadError::Store(StoreErrorKind::Timeout.into()))
}

/// A load under way. When it is dropped before its end, the worker loads a watched session instead.
struct Loading<'a, T> {
    core: &'a Arc<Core<T>>,
    entry: &'a Arc<Entry<T>>,
    number: u64,
    before: Mark,
    /// The session was known when the load began.
    knew: bool,
    installed: bool,
}

impl<'a, T: Send + Sync + 'static> Loading<'a, T> {
    fn begin(core: &'a Arc<Core<T>>, entry: &'a Arc<Entry<T>>) -> Self {
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

    fn install(mut self, began: Instant, found: Result<Record<T>, Missing>) -> Loaded<T> {
        self.installed = true;
        let (core, entry) = (self.core, self.entry);
        match found {
            Ok(record) => {
                let latest = core.config.latest_end(&record.data).and_then(instant_of);
                let snapshot = Snapshot::loaded(record, began, latest);
                install_good(core, entry, self.number, self.before, snapshot)
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

fn outcome_after<T>(core: &Core<T>, entry: &Entry<T>, after: u64) -> Option<Loaded<T>> {
    let state = entry.state();
    if state.end_reason().is_some() {
        return Some(Err(LoadError::NotFound));
    }
    if state.loads.ended <= after {
        return None;
    }
    match (&state.loads.failure, state.snapshot()) {
        (Some(error), _) => Some(Err(error.clone())),
        (None, Some(snapshot)) if state.loads.epoch == core.feed.epoch() => {
            Some(Ok(snapshot.clone()))
        }
        (None, _) => None,
    }
}

/// Why there is no record, and how a session that was known ends because of it, if it does.
struct Missing {
    error: LoadError,
    ends: Option<EndReason>,
}

async fn fetch<T: Send + Sync + 'static>(
    core: &Arc<Core<T>>,
    entry: &Entry<T>,
) -> Result<Record<T>, Missing> {
    let known = entry.snapshot().is_some();
    let found = if known {
        core.store.load(&entry.id).await
    } else {
        core.store.look_up(&entry.id).await
    };
    match found.map_err(LoadError::from) {
        Ok(Some(record)) => verified(core, record).await,
        Ok(None) => Err(Missing {
            error: LoadError::NotFound,
            ends: Some(reason_of_missing(core, entry).await),
        }),
        Err(error) => {
            let unreadable = matches!(error, LoadError::Unreadable(_));
            log_unreadable(core, entry, &error);
            let ends = (unreadable && core.config.foreign_records).then_some(EndReason::Unreadable);
            Err(Missing { error, ends })
        }
    }
}

fn log_unreadable<T>(core: &Arc<Core<T>>, entry: &Entry<T>, error: &LoadError) {
    if let LoadError::Unreadable(error) = error
        && core.unreadable.allows(&entry.id)
    {
        tracing::error!(
            target: target::STORE,
            session = entry.id.fingerprint(),
            error = %Causes(error),
            "the stored session can't be decoded"
        );
    }
}

/// Asks the application whether a session with this data may go on.
async fn verified<T: Send + Sync + 'static>(
    core: &Arc<Core<T>>,
    record: Record<T>,
) -> Result<Record<T>, Missing> {
    let Some(verify) = &core.config.verify else {
        return Ok(record);
    };
    let verifying = AssertUnwindSafe(async { verify(record.data.clone()).await }).catch_unwind();
    let failed = |error| Missing {
        error: LoadError::Store(error),
        ends: None,
    };
    match tokio::time::timeout(core.store_timeout(), verifying).await {
        Ok(Ok(Ok(true))) => Ok(record),
        Ok(Ok(Ok(false))) => Err(Missing {
            error: LoadError::Revoked,
            ends: Some(EndReason::Revoked),
        }),
        Ok(Ok(Err(error))) => Err(failed(StoreError::new(StoreErrorKind::Other, error))),
        Ok(Err(_panic)) => Err(failed(StoreError::panicked("`verify`"))),
        Err(_elapsed) => Err(failed(StoreErrorKind::Timeout.into())),
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
    if snapshot.is_over(Instant::now()) {
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
    state.set_last_check(None);
    state.recheck = Instant::now() + core.config.recheck_delay();
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
        state.recheck = Instant::now() + retry.min(core.config.revalidate_every);
        core.schedule(entry, &mut state);
    }
    known
}

/// Loads a watched session again for the worker, which waits for the turn without a deadline: the
/// report that led here must not get lost.
pub(super) async fn check<T: Send + Sync + 'static>(core: &Arc<Core<T>>, entry: &Arc<Entry<T>>) {
    let after = {
        let mut state = entry.state();
        state.queued = Queued::No;
        if state.end_reason().is_some() || state.watchers == 0 {
            return;
        }
        state.loads.begun
    };
    if let Err(LoadError::Store(error)) = load(core, entry, after, None).await {
        tracing::warn!(
            target: target::STORE,
            session = entry.id.fingerprint(),
            error = %Causes(&error),
            "a live session could not be checked"
        );
    }
}
