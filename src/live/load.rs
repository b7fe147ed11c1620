//! Loading sessions, so that nothing that is reported meanwhile is missed.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use tokio::time::Instant;

use super::{
    core::Core,
    end::finish,
    entry::Entry,
    load_error::LoadError,
    reason::EndReason,
    snapshot::{Snapshot, instant_of},
    state::{Mark, Queued},
    users,
};
use crate::{
    causes::Causes,
    store::{Record, StoreError, StoreErrorKind},
};

/// Maximum number of loads that are repeated because the feed broke or came back meanwhile.
const MAX_REPEATS: u32 = 4;
/// Delay before a load that failed is repeated for a watched session.
const RETRY: Duration = Duration::from_secs(1);
/// A session that is not found this shortly before its deadline has expired: the store's clock, ours
/// and the way in between are not exact.
const EXPIRY_TOLERANCE: Duration = Duration::from_secs(1);

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
        let under_way = state.loads.begun > state.loads.ended;
        state.loads.begun - u64::from(under_way)
    };
    if let Some(error) = core.failed.get(&entry.id) {
        return Err(error);
    }
    in_time(core, load(core, entry, after)).await
}

/// The outcome of a load that begins after this call.
pub(super) async fn reload<T: Send + Sync + 'static>(
    core: &Arc<Core<T>>,
    entry: &Arc<Entry<T>>,
) -> Loaded<T> {
    let after = entry.state().loads.begun;
    in_time(core, load(core, entry, after)).await
}

/// The deadline of a caller starts when it asks, and includes the wait for the session's turn.
async fn in_time<T: Send + Sync + 'static>(
    core: &Arc<Core<T>>,
    load: impl Future<Output = Loaded<T>>,
) -> Loaded<T> {
    let deadline = core.call_deadline() + Duration::from_millis(1);
    match tokio::time::timeout_at(deadline, load).await {
        Ok(loaded) => loaded,
        Err(_elapsed) => Err(LoadError::Store(StoreErrorKind::Timeout.into())),
    }
}

/// The outcome of the first load whose number is above `after`.
async fn load<T: Send + Sync + 'static>(
    core: &Arc<Core<T>>,
    entry: &Arc<Entry<T>>,
    after: u64,
) -> Loaded<T> {
    let _turn = entry.turn.lock().await;
    if let Some(outcome) = outcome_after(entry, after) {
        return outcome;
    }
    let cold = entry.state().watchers <= 1 && entry.snapshot().is_none();
    let _permit = match cold {
        true => core.cold_loads.acquire().await.ok(),
        false => None,
    };
    for _ in 0..MAX_REPEATS {
        let (number, before) = {
            let mut state = entry.state();
            state.loads.begun += 1;
            (state.loads.begun, state.mark(core.feed.epoch()))
        };
        let began = Instant::now();
        let found = fetch(core, entry).await;
        if core.feed.epoch() == before.epoch {
            return install(
                core,
                entry,
                Answer {
                    number,
                    before,
                    began,
                    found,
                },
            );
        }
    }
    let why = "the feed of changes broke or came back during each of several loads";
    Err(LoadError::Store(StoreError::new(
        StoreErrorKind::Unavailable,
        why,
    )))
}

fn outcome_after<T>(entry: &Entry<T>, after: u64) -> Option<Loaded<T>> {
    let state = entry.state();
    if state.end_reason().is_some() {
        return Some(Err(LoadError::NotFound));
    }
    if state.loads.ended <= after {
        return None;
    }
    match (&state.loads.failure, state.snapshot()) {
        (Some(error), _) => Some(Err(error.clone())),
        (None, Some(snapshot)) => Some(Ok(snapshot.clone())),
        (None, None) => None,
    }
}

/// What the store answered to one load.
struct Answer<T> {
    number: u64,
    before: Mark,
    began: Instant,
    found: Result<Record<T>, Missing>,
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
    match core.store.load(&entry.id).await.map_err(LoadError::from) {
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

/// Why a session that was known here is not found. Only what is known is worth a further call.
async fn reason_of_missing<T: Send + Sync + 'static>(
    core: &Arc<Core<T>>,
    entry: &Entry<T>,
) -> EndReason {
    let deadline = {
        let state = entry.state();
        let Some(snapshot) = state.snapshot() else {
            return EndReason::Deleted;
        };
        if state.rotating_to().is_some() {
            return EndReason::Rotated;
        }
        snapshot.deadline
    };
    if deadline.is_some_and(|deadline| deadline <= Instant::now() + EXPIRY_TOLERANCE) {
        return EndReason::Expired;
    }
    match core.store.was_replaced(&entry.id).await {
        Ok(true) => EndReason::Rotated,
        Ok(false) | Err(_) => EndReason::Deleted,
    }
}

fn install<T: Send + Sync + 'static>(
    core: &Arc<Core<T>>,
    entry: &Arc<Entry<T>>,
    answer: Answer<T>,
) -> Loaded<T> {
    match answer.found {
        Ok(record) => {
            let latest = core.config.latest_end(&record.data).and_then(instant_of);
            let snapshot = Snapshot::loaded(record, answer.began, latest);
            install_good(core, entry, answer.number, answer.before, snapshot)
        }
        Err(missing) => {
            let known = install_bad(core, entry, answer.number, answer.before, &missing);
            if let (true, Some(reason)) = (known, missing.ends) {
                finish(core, entry, reason);
            }
            Err(missing.error)
        }
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
    state.loads.failure = None;
    state.failing = None;
    state.set_last_check(None);
    state.recheck = Instant::now() + core.config.recheck_delay();
    core.failed.remove(&entry.id);
    core.schedule(entry, &mut state);
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

/// Loads a watched session again for the worker.
pub(super) async fn check<T: Send + Sync + 'static>(core: &Arc<Core<T>>, entry: &Arc<Entry<T>>) {
    {
        let mut state = entry.state();
        state.queued = Queued::No;
        if state.end_reason().is_some() || state.watchers == 0 {
            return;
        }
    }
    if let Err(LoadError::Store(error)) = reload(core, entry).await {
        tracing::warn!(
            session = entry.id.fingerprint(),
            error = %Causes(&error),
            "a live session could not be checked"
        );
    }
}
