//! Changes of a session that are made on this node.

use std::{sync::Arc, time::Duration};

use backon::{BackoffBuilder as _, ExponentialBuilder};
use tokio::time::Instant;

use super::{
    core::Core,
    entry::{Entry, EntryState},
    load::reload,
    snapshot::{Snapshot, deadline_after},
    turn::Write,
    update_error::{TryUpdateError, UpdateError},
    users,
};
use crate::store::{Saved, StoreErrorKind};

/// Delay before the second retry after a conflict; the first comes at once.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const MAX_PAUSE: Duration = Duration::from_millis(50);
/// Timeout for an update: the wait in the queue, all store calls and all pauses.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Snapshots before and after an update, and the value that it returned.
pub(super) struct Updated<T, R> {
    pub(super) old: Arc<Snapshot<T>>,
    pub(super) new: Arc<Snapshot<T>>,
    pub(super) value: R,
}

/// Replaces the data by what `f` makes of it, again and again until no other writer was faster.
pub(super) async fn update<T, R, E>(
    core: &Arc<Core<T>>,
    entry: &Arc<Entry<T>>,
    seen: &Arc<Snapshot<T>>,
    f: impl FnMut(&mut T) -> Result<R, E>,
) -> Result<Updated<T, R>, TryUpdateError<E>>
where
    T: Clone + Send + Sync + 'static,
{
    let mut contended = false;
    let updating = update_in_turn(core, entry, seen, f, &mut contended);
    match tokio::time::timeout(TIMEOUT, updating).await {
        Ok(updated) => updated,
        Err(_elapsed) if contended => Err(UpdateError::Contended.into()),
        Err(_elapsed) => Err(UpdateError::Store(StoreErrorKind::Timeout.into()).into()),
    }
}

async fn update_in_turn<T, R, E>(
    core: &Arc<Core<T>>,
    entry: &Arc<Entry<T>>,
    seen: &Arc<Snapshot<T>>,
    mut f: impl FnMut(&mut T) -> Result<R, E>,
    contended: &mut bool,
) -> Result<Updated<T, R>, TryUpdateError<E>>
where
    T: Clone + Send + Sync + 'static,
{
    let _writer = entry.writers.lock().await;
    let mut base = begin(core, entry, seen).await?;
    let mut loaded = false;
    let mut pauses = pauses();
    loop {
        let mut data = T::clone(&base.data);
        match f(&mut data) {
            Ok(value) => {
                if let Some(saved) = save(core, entry, &base, Arc::new(data)).await? {
                    return Ok(Updated {
                        old: base,
                        new: saved,
                        value,
                    });
                }
                if *contended && let Some(pause) = pauses.next() {
                    tokio::time::sleep(pause).await;
                }
                *contended = true;
            }
            // It may refuse data that is no longer what the store holds.
            Err(refused) if loaded => return Err(TryUpdateError::Refused(refused)),
            Err(_) => {}
        }
        base = reload(core, entry).await.map_err(UpdateError::from)?;
        loaded = true;
    }
}

/// Base of the first attempt: the snapshot, which the save compares with the store.
async fn begin<T: Send + Sync + 'static>(
    core: &Arc<Core<T>>,
    entry: &Arc<Entry<T>>,
    seen: &Arc<Snapshot<T>>,
) -> Result<Arc<Snapshot<T>>, UpdateError> {
    if entry.end_reason().is_some() {
        return Err(UpdateError::Gone);
    }
    let base = entry.snapshot().unwrap_or_else(|| seen.clone());
    if base.revision.is_unknown() {
        return Ok(reload(core, entry).await?);
    }
    Ok(base)
}

/// One attempt; `None` when another writer was faster.
async fn save<T: Send + Sync + 'static>(
    core: &Arc<Core<T>>,
    entry: &Arc<Entry<T>>,
    base: &Snapshot<T>,
    data: Arc<T>,
) -> Result<Option<Arc<Snapshot<T>>>, UpdateError> {
    let write = Write::begin(core, entry).await?;
    let saving = core.store.save(&entry.id, &data, &base.revision);
    match write.call(saving).await? {
        Saved::Saved(revision) => {
            let learned = write.learn(|state| {
                let old = state.snapshot().cloned();
                let known = old.as_deref().unwrap_or(base);
                let saved = Arc::new(known.with_data(data.clone(), revision));
                let ended = state.end_reason().is_some();
                if !ended {
                    state.amend(saved.clone());
                    core.ensure_checked(entry, state);
                }
                (!ended).then_some((saved, old))
            });
            let Some((saved, _old)) = learned else {
                return Err(UpdateError::Gone);
            };
            users::changed(core, entry, &base.data, &saved.data);
            entry.changed.notify_waiters();
            Ok(Some(saved))
        }
        Saved::Conflict => {
            write.learn(|_| ());
            Ok(None)
        }
        Saved::Gone => {
            write.missing().await;
            Err(UpdateError::Gone)
        }
    }
}

/// Extends the lifetime of a session to `ttl` from now, if that is longer than what is left.
pub(super) async fn touch<T: Send + Sync + 'static>(
    core: &Arc<Core<T>>,
    entry: &Arc<Entry<T>>,
    seen: &Arc<Snapshot<T>>,
    ttl: Option<Duration>,
) -> Result<Arc<Snapshot<T>>, UpdateError> {
    if entry.end_reason().is_some() {
        return Err(UpdateError::Gone);
    }
    let known = entry.snapshot().unwrap_or_else(|| seen.clone());
    let ttl = match ttl {
        Some(ttl) => core.config.capped(ttl, &known.data),
        None => core.config.ttl_of(&known.data),
    };
    let write = Write::begin(core, entry).await?;
    let began = Instant::now();
    let touching = core.store.touch(&entry.id, &known.data, ttl);
    if !write.call(touching).await? {
        write.missing().await;
        return Err(UpdateError::Gone);
    }
    let deadline = deadline_after(began, ttl);
    Ok(write.learn(|state| extend(core, entry, state, &known, deadline)))
}

/// The session lives until `deadline` at least.
pub(super) fn extend<T>(
    core: &Core<T>,
    entry: &Arc<Entry<T>>,
    state: &mut EntryState<T>,
    known: &Arc<Snapshot<T>>,
    deadline: Option<Instant>,
) -> Arc<Snapshot<T>> {
    let known = state.snapshot().unwrap_or(known).clone();
    let longer = known
        .deadline
        .is_some_and(|old| deadline.is_none_or(|new| new > old));
    if !longer || state.end_reason().is_some() {
        return known;
    }
    // It shares the data with the one before.
    let snapshot = Arc::new(known.with_deadline(deadline));
    state.amend(snapshot.clone());
    state.life.set_last_check(None);
    core.schedule(entry, state);
    snapshot
}

fn pauses() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_jitter()
        .with_min_delay(FIRST_PAUSE)
        .with_max_delay(MAX_PAUSE)
        .without_max_times()
        .build()
}
