//! Ending sessions.
//!
//! An end is marked first, under the entry's lock: from then on no handler sees the session. Then its
//! sockets leave their rooms and are disconnected one by one. It never waits for the session's turn
//! at the store.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::time::Instant;

use super::{
    core::{Core, ENDED_TTL},
    disconnect::Disconnect,
    entry::Entry,
    owed::Answer,
    reason::EndReason,
    retire::Why,
    socket::LiveSocket,
};
use crate::{
    causes::Causes,
    id::SessionId,
    observe::{self, target},
    store::{StoreError, StoreErrorKind},
};

/// A session that is not found this shortly before its deadline has expired: the store's clock, ours
/// and the way in between are not exact.
const EXPIRY_TOLERANCE: Duration = Duration::from_secs(1);
/// Timeout for the question whether a session was replaced. Without an answer it was deleted.
const REPLACED_TIMEOUT: Duration = Duration::from_millis(250);

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
    let sockets = core.end(&mut entry.state(), reason);
    if let Some(sockets) = sockets {
        announce(core, entry, reason, sockets, when);
    }
}

/// The session has ended: has its sockets disconnected at the given time, and notifies its waiters.
pub(super) fn announce<T>(
    core: &Core<T>,
    entry: &Entry<T>,
    reason: EndReason,
    sockets: Vec<Arc<dyn LiveSocket>>,
    when: Disconnect,
) {
    let reported = entry.state().reported;
    observe::ended(reason.as_str());
    tracing::debug!(
        target: target::END,
        session = entry.id.fingerprint(),
        %reason,
        sockets = sockets.len(),
        "session ended"
    );
    entry.changed.notify_waiters();
    let why = Why { reason, reported };
    core.retiring.retire(sockets, entry.room(), why, when);
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

/// Ends when the session does, under the last of the ids that rotations on this node give it. One that
/// a sign-in replaces goes on as another one.
pub(super) async fn ended_for_good<T: Send + Sync + 'static>(
    mut entry: Arc<Entry<T>>,
) -> EndReason {
    loop {
        let reason = entry.ended().await;
        if reason != EndReason::Rotated {
            return reason;
        }
        let successor = entry.state().life.successor();
        match successor {
            Some(successor) => entry = successor,
            None => std::future::pending().await,
        }
    }
}

/// The store has no such session: ends it here, if it was known.
pub(super) async fn missing<T: Send + Sync + 'static>(core: &Arc<Core<T>>, entry: &Entry<T>) {
    let reason = reason_of_missing(core, entry).await;
    finish(core, entry, reason);
}

/// Why a session that was known here is not found.
pub(super) async fn reason_of_missing<T: Send + Sync + 'static>(
    core: &Core<T>,
    entry: &Entry<T>,
) -> EndReason {
    let deadline = {
        let state = entry.state();
        // A session that is unknown here is not worth a further call.
        let Some(snapshot) = state.snapshot() else {
            return EndReason::Deleted;
        };
        snapshot.deadline
    };
    if deadline.is_some_and(|deadline| deadline <= Instant::now() + EXPIRY_TOLERANCE) {
        return EndReason::Expired;
    }
    let replaced = core.store.was_replaced(&entry.id);
    match tokio::time::timeout(REPLACED_TIMEOUT, replaced).await {
        Ok(Ok(true)) => EndReason::Rotated,
        _ => EndReason::Deleted,
    }
}

/// Ends a session everywhere: on this node at once, and in the store. Should the store fail, or the
/// caller not wait, the deletions stay owed, because all of them are marked and owed before the first
/// call.
///
/// An end that meets a rotation under way deletes the old id, then the new one; on the handle of a
/// session that was rotated here, it ends the session under its new id, too.
pub(super) async fn end<T: Send + Sync + 'static>(
    core: &Arc<Core<T>>,
    entry: &Arc<Entry<T>>,
) -> Result<(), StoreError> {
    let mut marked = vec![mark(core, entry, EndReason::Deleted, Disconnect::Now)];
    while let Some(next) = marked.last().and_then(|last| last.state().life.successor()) {
        marked.push(mark(core, &next, EndReason::Deleted, Disconnect::Now));
    }
    let Some(last) = marked.pop() else {
        return Ok(());
    };
    let deletions = marked.iter().map(|entry| delete(core, &entry.id));
    let deleted = join_all(deletions).await;
    // Last, because a rotation that is under way may still create it.
    let last = delete(core, &last.id).await;
    deleted.into_iter().chain([last]).collect()
}

/// Ends a session that `new` replaces. The mark in the store tells other nodes; it comes before the
/// deletion.
pub(super) async fn replace<T: Send + Sync + 'static>(
    core: &Arc<Core<T>>,
    id: &SessionId,
    new: &Arc<Entry<T>>,
    when: Disconnect,
) -> Result<(), StoreError> {
    let when = when.at_the_latest(ended_for_good(new.clone()));
    mark(core, &core.entry(id), EndReason::Rotated, when);
    if let Err(error) = core.store.mark_replaced(id).await {
        tracing::debug!(
            target: target::STORE,
            error = %Causes(&error),
            "a replaced session could not be marked"
        );
    }
    delete(core, id).await
}

/// Marks the end of a session, and owes the deletion from the same moment on. Returns the entry that
/// answers for the id: the session may have come back after `entry` had ended.
fn mark<T>(
    core: &Core<T>,
    entry: &Arc<Entry<T>>,
    reason: EndReason,
    when: Disconnect,
) -> Arc<Entry<T>> {
    core.ended.lock().insert(&entry.id, (), ENDED_TTL);
    let (answering, sockets, owed) = loop {
        let answering = core.entry(&entry.id);
        // Not before: while it is not known which entry answers, a rotation of this one may return.
        let last = entry.state().life.last().cloned();
        let mut state = answering.state();
        let known = state.snapshot().is_some();
        let sockets = core.end(&mut state, reason);
        if sockets.is_none() && !core.owed.holds(&answering) {
            // It has ended since it answered, so another one does now.
            continue;
        }
        if let Some(last) = last {
            state.life.inherit(last);
        }
        let owed = core.owed.insert(&answering, core.call_deadline(), known);
        drop(state);
        break (answering, sockets, owed);
    };
    if !owed {
        let session = answering.id.fingerprint();
        tracing::error!(
            target: target::STORE,
            session,
            "too many deletions are owed: this one is not retried"
        );
    }
    core.wake.notify_one();
    if let Some(sockets) = sockets {
        announce(core, &answering, reason, sockets, when);
    }
    answering
}

/// One attempt at an owed deletion.
pub(super) async fn delete<T: Send + Sync + 'static>(
    core: &Core<T>,
    id: &SessionId,
) -> Result<(), StoreError> {
    let deleted = core.store.delete(id).await;
    match &deleted {
        Err(error) if error.kind() != StoreErrorKind::Unsupported => {
            tracing::warn!(
                target: target::STORE,
                session = id.fingerprint(),
                error = %Causes(error),
                "an ended session could not be deleted; the deletion will be retried"
            );
            core.owed.failed(id);
            core.wake.notify_one();
        }
        _ => {
            let answer = match &deleted {
                Ok(existed) if core.config.foreign_records => match existed {
                    true => Answer::Existed,
                    false => Answer::Missing,
                },
                _ => Answer::Final,
            };
            // The result is dropped before the call.
            let guarded = core.owed.confirmed(id, answer).guarded;
            if guarded {
                watch_deleted(core, id).await;
            }
            core.wake.notify_one();
        }
    }
    deleted.map(|_| ())
}

/// Loads a guarded id, because a store may report only what was read since its last report. The
/// deletion is repeated when the record is there again, or when the store gives no answer.
async fn watch_deleted<T: Send + Sync + 'static>(core: &Core<T>, id: &SessionId) {
    let loaded = core.store.load(id).await;
    if !matches!(loaded, Ok(None)) && core.owed.reported(id) {
        // After a delay, so that a store that always returns a record is not called without end.
        core.owed.failed(id);
    }
}
