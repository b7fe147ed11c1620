//! What this module needs to know of a socket, whoever serves it.

use super::EndReason;
use crate::hook::Job;

/// Where a socket is between its handshake and its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    /// Its handshake is not over: another middleware may still be running.
    Connecting,
    /// It is in its namespace, and its handlers run.
    Connected,
    /// It was disconnected and is in its namespace still: its disconnect handler is running.
    Leaving,
    /// It was in its namespace and no longer is, or nobody has it any more.
    Gone,
}

/// A socket of a session.
pub(crate) trait LiveSocket: Send + Sync {
    fn presence(&self) -> Presence;

    /// It is known to be, or to have been, in its namespace.
    fn seen(&self);

    /// Takes it out of all its rooms.
    fn leave_rooms(&self);

    /// Asks it to disconnect. That may fail, and success doesn't mean that it is gone: look at its
    /// presence.
    fn disconnect(&self);

    /// It is gone: lets go of what was left with it, should somebody hold it still.
    fn release(&self);

    /// What the application wants to say to the client before the end.
    fn last_word(&self, reason: EndReason) -> Option<Job>;
}
