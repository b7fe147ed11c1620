//! Giving a session another id.

use std::sync::Arc;

use super::{
    core::Core,
    end::{end, finish, finish_with, missing},
    entry::Entry,
    load::current,
    reason::EndReason,
    retire::Disconnect,
    snapshot::Snapshot,
    state::Known,
    turn::Write,
    update_error::UpdateError,
};
use crate::{causes::Causes, id::SessionId, observe::target, store::Revision};

/// Gives the session the id `new`, and ends its sockets at the given time. Returns the new entry.
pub(super) async fn rotate<T: Send + Sync + 'static>(
    core: &Arc<Core<T>>,
    entry: &Arc<Entry<T>>,
    seen: &Arc<Snapshot<T>>,
    new: &SessionId,
    when: Disconnect,
) -> Result<(Arc<Entry<T>>, Arc<Snapshot<T>>), UpdateError> {
    let _writer = entry.writers.lock().await;
    // Other nodes find the mark when they miss the old id. Without it they see a logout.
    if let Err(error) = core.store.mark_replaced(&entry.id).await {
        tracing::debug!(
            target: target::STORE,
            error = %Causes(&error),
            "a rotation could not be marked"
        );
    }
    let next = core.entry(new);
    let write = Write::begin(core, entry).await;
    let rotation = Rotation::begin(entry, &next)?;
    let renamed = core.store.rename(&entry.id, new).await?;
    write.answered();
    let known = entry.snapshot().unwrap_or_else(|| seen.clone());
    if !renamed {
        drop(rotation);
        missing(core, entry).await;
        return Err(UpdateError::Gone);
    }
    if !finish_with(core, entry, EndReason::Rotated, when) {
        // An end came while the rotation was under way. It wins.
        end(core, &next).await?;
        return Err(UpdateError::Gone);
    }
    // It exists whether or not it can be loaded now.
    let snapshot = Arc::new(known.with_data(known.data.clone(), Revision::unknown()));
    let next = created(core, new, &snapshot);
    let loaded = current(core, &next).await;
    drop(rotation);
    if next.end_reason().is_some() {
        return Err(UpdateError::Gone);
    }
    Ok((next, loaded.unwrap_or(snapshot)))
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
        let before = state.set_rotating_to(Some(next.clone()));
        drop(state);
        drop(before);
        Ok(Self(entry))
    }
}

impl<T> Drop for Rotation<'_, T> {
    fn drop(&mut self) {
        let next = self.0.state().set_rotating_to(None);
        drop(next);
    }
}
