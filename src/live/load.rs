//! Loading sessions, so that nothing that is reported meanwhile is missed.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    core::Core,
    entry::{Entry, EntryState},
    feed::Epoch,
    fetch::fetch,
    load_error::LoadError,
    loading::{Loaded, Loading},
};
use crate::{
    causes::Causes,
    deadline::within,
    observe::target,
    store::{StoreError, StoreErrorKind},
};

/// Maximum number of loads that are repeated because the feed broke or came back meanwhile.
const MAX_REPEATS: u32 = 4;
/// Longer than any process runs.
const ENDLESS: Duration = Duration::from_hours(30 * 365 * 24);

/// Snapshot of the session if it is fresh; else the outcome, good or bad, of the load under way
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
    load(core, entry, after, core.call_deadline()).await
}

/// The outcome of a load that begins after this call.
pub(super) async fn reload<T: Send + Sync + 'static>(
    core: &Arc<Core<T>>,
    entry: &Arc<Entry<T>>,
) -> Loaded<T> {
    let after = entry.state().loads.begun;
    load(core, entry, after, core.call_deadline()).await
}

/// The outcome of the first load whose number is above `after`.
///
/// A caller waits for the session's turn, and for the loads of others, until its deadline. A load that
/// it makes itself is not cut off: each of its calls has its own timeout.
async fn load<T: Send + Sync + 'static>(
    core: &Arc<Core<T>>,
    entry: &Arc<Entry<T>>,
    after: u64,
    deadline: Instant,
) -> Loaded<T> {
    let _turn = entry.take_turn(deadline).await.ok_or_else(timed_out)?;
    let is_cold = {
        let state = entry.state();
        if let Some(outcome) = outcome_after(&state, after, core.feed.epoch()) {
            return outcome;
        }
        state.snapshot().is_none()
    };
    let _permit = if is_cold {
        let permit = within(deadline, core.cold_loads.acquire()).await;
        permit.ok_or_else(timed_out)?.ok()
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

fn timed_out() -> LoadError {
    LoadError::Store(StoreErrorKind::Timeout.into())
}

fn outcome_after<T>(state: &EntryState<T>, after: u64, epoch: Epoch) -> Option<Loaded<T>> {
    if state.end_reason().is_some() {
        return Some(Err(LoadError::NotFound));
    }
    if state.loads.ended <= after {
        return None;
    }
    match (&state.loads.failure, state.snapshot()) {
        (Some(error), _) => Some(Err(error.clone())),
        (None, Some(snapshot)) if state.loads.epoch == epoch => Some(Ok(snapshot.clone())),
        (None, _) => None,
    }
}

/// Loads a watched session again for the worker, which waits for the turn without a deadline: the
/// report that led here must not get lost.
pub(super) async fn check<T: Send + Sync + 'static>(core: &Arc<Core<T>>, entry: &Arc<Entry<T>>) {
    let after = {
        let mut state = entry.state();
        state.queued = None;
        if state.end_reason().is_some() || state.watchers == 0 {
            return;
        }
        state.loads.begun
    };
    if let Err(LoadError::Store(error)) = load(core, entry, after, Instant::now() + ENDLESS).await {
        tracing::warn!(
            target: target::STORE,
            session = entry.id.fingerprint(),
            error = %Causes(&error),
            "a live session could not be checked"
        );
    }
}
