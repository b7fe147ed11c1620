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

/// The room of the session's user. The hash of a long id is computed once for each entry.
fn room_of<T>(entry: &Entry<T>, user: &str) -> String {
    let make = || Box::new((user.into(), user_room(user).into()));
    let (known, room) = &**entry.user_room.get_or_init(make);
    if **known == *user {
        room.to_string()
    } else {
        // The session is about to end.
        user_room(user)
    }
}

/// Has a socket of a session with this data join the room of its user.
pub(super) fn join<T: Send + Sync + 'static>(
    core: &Arc<Core<T>>,
    entry: &Entry<T>,
    data: &T,
    socket: &Arc<dyn LiveSocket>,
) {
    if let Some(user) = core.store.user_id(data) {
        socket.join(room_of(entry, &user));
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
            for (_, socket) in &sockets {
                socket.join_later(room_of(entry, &user), entry.room());
            }
            entry.leave_if_ended(sockets.iter().map(|(_, socket)| socket));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::{registry::Registry, state::Known};

    #[test]
    fn the_room_of_an_entry_is_that_of_its_user_and_computed_once() {
        let entry = Entry::<()>::new("an-id".parse().unwrap(), Registry::new(), Known::Nothing);
        let long = "x".repeat(1_000);
        for user in [long.as_str(), "another", &long] {
            assert_eq!(room_of(&entry, user), user_room(user));
        }
        let (user, room) = &**entry.user_room.get().unwrap();
        assert_eq!((&**user, &**room), (&*long, &*user_room(&long)));
    }
}
