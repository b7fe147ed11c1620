//! One session on this node.

use std::{
    pin::pin,
    sync::{Arc, OnceLock},
};

use tokio::{sync::Notify, time::Instant};

use super::{
    reason::EndReason,
    registry::Registry,
    snapshot::Snapshot,
    socket::LiveSocket,
    state::{Known, State},
};
use crate::{
    deadline::within,
    id::{RoomName, SessionId},
    lock::{Mutex, MutexGuard},
};

pub(super) type EntryState<T> = State<T, Entry<T>>;

/// One session on this node. Handles, sockets, calls under way and owed deletions hold it; the
/// registry only knows it.
pub(crate) struct Entry<T> {
    pub(super) id: SessionId,
    registry: Arc<Registry<Entry<T>>>,
    /// The name of the session's room, once it was needed.
    room: OnceLock<RoomName>,
    /// The user of the session, and the name of the room of that user's sockets. A session that changes its
    /// user ends, so there is one at most while it lives. Boxed, because many sessions have none.
    pub(super) user_room: OnceLock<Box<(Box<str>, Box<str>)>>,
    state: Mutex<EntryState<T>>,
    /// Notified when the data has changed or the session has ended.
    pub(super) changed: Notify,
    /// The turn at the store: every call whose answer is learned from holds it. Ending does not.
    turn: tokio::sync::Mutex<()>,
    /// Updates and rotations of one session queue here.
    pub(super) writers: tokio::sync::Mutex<()>,
}

impl<T> Entry<T> {
    pub(super) fn new(id: SessionId, registry: Arc<Registry<Self>>, known: Known<T>) -> Arc<Self> {
        Arc::new(Self {
            id,
            registry,
            room: OnceLock::new(),
            user_room: OnceLock::new(),
            state: Mutex::new(State::new(known)),
            changed: Notify::new(),
            turn: tokio::sync::Mutex::new(()),
            writers: tokio::sync::Mutex::new(()),
        })
    }

    /// The state, locked. Never held across a call of user code or of the registry.
    pub(super) fn state(&self) -> MutexGuard<'_, EntryState<T>> {
        self.state.lock()
    }

    /// The turn at the store; `None` at the deadline.
    pub(super) async fn take_turn(
        &self,
        deadline: Instant,
    ) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        match self.turn.try_lock() {
            Ok(turn) => Some(turn),
            Err(_taken) => within(deadline, self.turn.lock()).await,
        }
    }

    pub(crate) fn id(&self) -> &SessionId {
        &self.id
    }

    /// The name of the room that all sockets of this session join.
    pub(crate) fn room(&self) -> &str {
        self.room.get_or_init(|| self.id.room()).as_str()
    }

    /// Called after sockets have joined rooms. Whatever ended the session before took them out of their
    /// earlier rooms only: then they leave again, and it returns `true`.
    pub(super) fn leave_if_ended<'a>(
        &self,
        sockets: impl IntoIterator<Item = &'a Arc<dyn LiveSocket>>,
    ) -> bool {
        let ended = self.end_reason().is_some();
        if ended {
            for socket in sockets {
                socket.leave_rooms(self.room());
            }
        }
        ended
    }

    pub(crate) fn end_reason(&self) -> Option<EndReason> {
        self.state().end_reason()
    }

    /// Waits until the session has ended, as far as this node knows.
    pub(super) async fn ended(&self) -> EndReason {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            if let Some(reason) = self.end_reason() {
                return reason;
            }
            changed.await;
        }
    }

    pub(crate) fn snapshot(&self) -> Option<Arc<Snapshot<T>>> {
        self.state().snapshot().cloned()
    }
}

impl<T> Drop for Entry<T> {
    fn drop(&mut self) {
        self.registry.forget(&self.id);
    }
}
