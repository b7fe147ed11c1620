//! The user that a session belongs to.
//!
//! Sockets are in the room of their user. When the user of a session changes or goes away, its sockets
//! hold rooms and state of the former user, so the session ends here.

use std::sync::Arc;

use super::{core::Core, end::finish, entry::Entry, reason::EndReason, socket::LiveSocket};
use crate::store::user_key;

/// The room of all sockets of a user.
pub(crate) fn user_room(user: &str) -> String {
    format!("user:{}", user_key(user))
}

/// Has a socket join the room of its user.
pub(super) fn join<T: Send + Sync + 'static>(
    core: &Arc<Core<T>>,
    entry: &Entry<T>,
    socket: &Arc<dyn LiveSocket>,
) {
    let Some(known) = entry.snapshot() else {
        return;
    };
    if let Some(user) = core.store.user_id(&known.data) {
        socket.join(user_room(&user));
    }
}

/// The data of a session has changed from `old` to `new`.
pub(super) fn changed<T: Send + Sync + 'static>(
    core: &Arc<Core<T>>,
    entry: &Entry<T>,
    old: &T,
    new: &T,
) {
    let (old, new) = (core.store.user_id(old), core.store.user_id(new));
    match (old, new) {
        (Some(old), new) if new.as_ref() != Some(&old) => {
            finish(core, entry, EndReason::UserChanged);
        }
        (None, Some(user)) => {
            let sockets = entry.state().sockets.list.clone();
            for (_, socket) in sockets {
                socket.join_later(user_room(&user));
            }
        }
        _ => {}
    }
}
