//! Giving a session another id.

use std::sync::Arc;

use super::{
    core::Core,
    end::{end, finish_with},
    entry::Entry,
    load::current,
    reason::EndReason,
    retire::Disconnect,
    snapshot::Snapshot,
    state::{Known, Life},
    turn::Write,
    update::missing,
    update_error::UpdateError,
};
use crate::{causes::Causes, id::SessionId, store::Revision};

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
        tracing::debug!(error = %Causes(&error), "a rotation could not be marked");
    }
    let write = Write::begin(core, entry).await;
    let rotation = Rotation::begin(entry, new)?;
    let renamed = core.store.rename(&entry.id, new).await?;
    write.answered();
    let known = entry.snapshot().unwrap_or_else(|| seen.clone());
    if !renamed {
        missing(core, entry);
        return Err(UpdateError::Gone);
    }
    finish_with(core, entry, EndReason::Rotated, when);
    drop(rotation);
    if entry.end_reason() != Some(EndReason::Rotated) {
        // An end came while the rotation was under way. It wins.
        let next = core.entry(new);
        end(core, &next, EndReason::Deleted, Disconnect::Now).await?;
        return Err(UpdateError::Gone);
    }
    Ok(successor(core, new, &known).await)
}

/// The session under its new id. It exists whether or not it can be loaded now.
async fn successor<T: Send + Sync + 'static>(
    core: &Arc<Core<T>>,
    new: &SessionId,
    known: &Snapshot<T>,
) -> (Arc<Entry<T>>, Arc<Snapshot<T>>) {
    created(core, new);
    let snapshot = Arc::new(known.with_data(known.data.clone(), Revision::unknown()));
    let entry = core.entry_with(new, || Known::Stale(snapshot.clone()));
    let loaded = current(core, &entry).await;
    (entry, loaded.unwrap_or(snapshot))
}

/// A session of this id was created or renamed to it: earlier failed lookups no longer count.
pub(super) fn created<T>(core: &Arc<Core<T>>, id: &SessionId) {
    core.failed.remove(id);
    if let Some(entry) = core.find(id) {
        core.invalidate(&entry);
    }
}

/// While it exists, the entry knows that a rotation is under way.
struct Rotation<'a, T>(&'a Entry<T>);

impl<'a, T> Rotation<'a, T> {
    fn begin(entry: &'a Entry<T>, new: &SessionId) -> Result<Self, UpdateError> {
        let mut state = entry.state();
        match state.life {
            Life::Alive { .. } => {
                state.set_rotating_to(Some(new.clone()));
                Ok(Self(entry))
            }
            Life::Ended { .. } => Err(UpdateError::Gone),
        }
    }
}

impl<T> Drop for Rotation<'_, T> {
    fn drop(&mut self) {
        self.0.state().set_rotating_to(None);
    }
}
