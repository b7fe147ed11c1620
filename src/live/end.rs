//! Ending sessions.
//!
//! An end is marked first, under the entry's lock: from then on no handler sees the session. Then its
//! sockets leave their rooms and are disconnected one by one. It never waits for the session's turn
//! at the store.

use std::sync::Arc;

use super::{core::Core, entry::Entry, reason::EndReason, retire::Disconnect, state::Life};
use crate::{
    causes::Causes,
    id::SessionId,
    store::{StoreError, StoreErrorKind},
};

/// Ends a session on this node.
pub(super) fn finish<T: Send + Sync + 'static>(
    core: &Arc<Core<T>>,
    entry: &Entry<T>,
    reason: EndReason,
) {
    let when = match reason {
        EndReason::Rotated => Disconnect::decided(not_replaced(core.clone(), entry.id.clone())),
        _ => Disconnect::Now,
    };
    finish_with(core, entry, reason, when);
}

/// Ends when the store no longer calls the session replaced: it was deleted after all.
async fn not_replaced<T: Send + Sync + 'static>(core: Arc<Core<T>>, id: SessionId) -> EndReason {
    let inert = core.inert.watch(&id);
    // The store may have changed its answer before the watch began.
    while !matches!(core.store.was_replaced(&id).await, Ok(false)) {
        inert.reported().await;
    }
    EndReason::Deleted
}

/// Ends a session on this node, and disconnects its sockets at the given time.
pub(super) fn finish_with<T>(
    core: &Arc<Core<T>>,
    entry: &Entry<T>,
    reason: EndReason,
    when: Disconnect,
) {
    let mut state = entry.state();
    let Some(sockets) = state.end(reason) else {
        return;
    };
    core.no_longer_live(&mut state, sockets.len());
    drop(state);
    tracing::debug!(
        session = entry.id.fingerprint(),
        %reason,
        sockets = sockets.len(),
        "session ended"
    );
    entry.changed.notify_waiters();
    core.retiring.retire(sockets, reason, when);
}

/// Ends a session everywhere: on this node at once, and in the store. Should the store fail, or the
/// caller not wait, the deletion stays owed.
///
/// An end that meets a rotation under way deletes the old id, then the new one.
pub(super) async fn end<T: Send + Sync + 'static>(
    core: &Arc<Core<T>>,
    entry: &Arc<Entry<T>>,
    reason: EndReason,
    when: Disconnect,
) -> Result<(), StoreError> {
    let rotated_to = successor(entry);
    // When the session came back after this entry had ended, another entry answers for it.
    let answering = core.find(&entry.id).unwrap_or_else(|| entry.clone());
    let rotating_to = mark(core, &answering, reason, when);
    let deleted = delete(core, &entry.id).await;
    if let Some(successor) = rotating_to.or(rotated_to) {
        let next = core.entry(&successor);
        mark(core, &next, reason, Disconnect::Now);
        delete(core, &successor).await?;
    }
    deleted
}

/// Marks the end, and owes the deletion from the same moment on. Returns the id that a rotation gave
/// the session or is giving it.
fn mark<T>(
    core: &Arc<Core<T>>,
    entry: &Arc<Entry<T>>,
    reason: EndReason,
    when: Disconnect,
) -> Option<SessionId> {
    let mut state = entry.state();
    let sockets = state.end(reason);
    if let Some(sockets) = &sockets {
        core.no_longer_live(&mut state, sockets.len());
    }
    let owed = core.owed.insert(entry, core.call_deadline());
    state.set_owed(owed);
    drop(state);
    if !owed {
        let session = entry.id.fingerprint();
        tracing::error!(
            session,
            "too many deletions are owed: this one is not retried"
        );
    }
    core.wake.notify_one();
    if let Some(sockets) = sockets {
        tracing::debug!(
            session = entry.id.fingerprint(),
            %reason,
            sockets = sockets.len(),
            "session ended"
        );
        entry.changed.notify_waiters();
        core.retiring.retire(sockets, reason, when);
    }
    successor(entry)
}

fn successor<T>(entry: &Entry<T>) -> Option<SessionId> {
    match &entry.state().life {
        Life::Ended { successor, .. } => successor.clone(),
        Life::Alive { .. } => None,
    }
}

/// One attempt at an owed deletion.
pub(super) async fn delete<T: Send + Sync + 'static>(
    core: &Arc<Core<T>>,
    id: &SessionId,
) -> Result<(), StoreError> {
    let deleted = core.store.delete(id).await;
    match &deleted {
        Ok(_) => settle(core, id),
        Err(error) if error.kind() == StoreErrorKind::Unsupported => settle(core, id),
        Err(error) => {
            tracing::warn!(
                session = id.fingerprint(),
                error = %Causes(error),
                "an ended session could not be deleted; the deletion will be retried"
            );
            core.owed.failed(id);
        }
    }
    deleted.map(|_| ())
}

/// The store has answered: the id may be used again.
pub(super) fn settle<T>(core: &Arc<Core<T>>, id: &SessionId) {
    if let Some(entry) = core.owed.remove(id) {
        entry.state().set_owed(false);
    }
}
