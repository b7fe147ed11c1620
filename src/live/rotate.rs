//! Giving a session another id.

use std::sync::Arc;

use super::{
    core::{Core, ENDED_TTL},
    disconnect::Disconnect,
    end::{announce, end, ended_for_good, finish},
    entry::Entry,
    load::current,
    reason::EndReason,
    snapshot::Snapshot,
    state::Known,
    turn::Write,
    update_error::UpdateError,
};
use crate::{
    deadline::within,
    id::SessionId,
    store::{Revision, StoreError, StoreErrorKind},
};

/// Gives the session the id `new`, and ends its sockets at the given time. Returns the new entry.
pub(super) async fn rotate<T: Send + Sync + 'static>(
    core: &Arc<Core<T>>,
    entry: &Arc<Entry<T>>,
    seen: &Arc<Snapshot<T>>,
    new: &SessionId,
    when: Disconnect,
) -> Result<(Arc<Entry<T>>, Arc<Snapshot<T>>), UpdateError> {
    let writer = within(core.call_deadline(), entry.writers.lock()).await;
    let _writer = writer.ok_or_else(|| StoreError::from(StoreErrorKind::Timeout))?;
    let next = core.entry(new);
    let write = Write::begin(core, entry).await?;
    let rotation = Rotation::begin(entry, &next)?;
    if !write.call(core.store.rename(&entry.id, new)).await? {
        drop(rotation);
        write.missing().await;
        return Err(UpdateError::Gone);
    }
    core.ended.lock().insert(&entry.id, (), ENDED_TTL);
    let known = entry.snapshot().unwrap_or_else(|| seen.clone());
    let (ended, sockets) = write.learn(|state| {
        let ended = state.end_reason();
        (ended, core.end(state, EndReason::Rotated))
    });
    if ended.is_some_and(is_for_all_nodes) {
        // It came while the rotation was under way, and it wins.
        end(core, &next).await?;
        return Err(UpdateError::Gone);
    }
    // It exists whether or not it can be loaded now.
    let snapshot = Arc::new(known.with_data(known.data.clone(), Revision::unknown()));
    let next = created(core, new, &snapshot);
    let last = entry.state().life.last().cloned();
    // Else an end found the rotation, and `next` is another one than it ended.
    if let Some(last) = last.filter(|last| last.leads_to(&next)) {
        next.state().life.follow(&last);
    }
    if let Some(sockets) = sockets {
        let when = when.at_the_latest(ended_for_good(next.clone()));
        announce(core, entry, EndReason::Rotated, sockets, when);
    }
    let loaded = current(core, &next).await;
    drop(rotation);
    if next.end_reason().is_some() {
        return Err(UpdateError::Gone);
    }
    Ok((next, loaded.unwrap_or(snapshot)))
}

/// Whether a session that ends for this reason while it is renamed was ended by a caller, and not just
/// given up by this node. No load can find it missing meanwhile, because the rotation holds the turn.
fn is_for_all_nodes(reason: EndReason) -> bool {
    matches!(reason, EndReason::Deleted | EndReason::Rotated)
}

/// A session of this id was created or renamed to it here. Returns its entry, which knows it: earlier
/// failed lookups no longer count, and an entry that knew an earlier session of the id ends.
pub(super) fn created<T: Send + Sync + 'static>(
    core: &Arc<Core<T>>,
    id: &SessionId,
    snapshot: &Arc<Snapshot<T>>,
) -> Arc<Entry<T>> {
    core.failed.remove(id);
    if let Some(entry) = core.find(id) {
        let earlier = entry.snapshot();
        if earlier.is_some_and(|earlier| earlier.revision != snapshot.revision) {
            finish(core, &entry, EndReason::Deleted);
        }
    }
    let entry = core.entry_with(id, || Known::Stale(snapshot.clone()));
    let mut state = entry.state();
    if state.snapshot().is_none() {
        state.amend(snapshot.clone());
    }
    drop(state);
    core.invalidate(&entry);
    entry
}

/// While it exists, the entry knows that a rotation is under way.
struct Rotation<'a, T>(&'a Entry<T>);

impl<'a, T> Rotation<'a, T> {
    fn begin(entry: &'a Entry<T>, next: &Arc<Entry<T>>) -> Result<Self, UpdateError> {
        let mut state = entry.state();
        if state.end_reason().is_some() {
            return Err(UpdateError::Gone);
        }
        let before = state.life.set_rotating_to(Some(next.clone()));
        drop(state);
        drop(before);
        Ok(Self(entry))
    }
}

impl<T> Drop for Rotation<'_, T> {
    fn drop(&mut self) {
        let next = self.0.state().life.set_rotating_to(None);
        drop(next);
    }
}
