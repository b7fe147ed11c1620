//! The view of a socket that this module needs, independent of the framework that serves it.

use std::sync::Arc;

use super::reason::EndReason;

/// Stage of a socket between its handshake and its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    /// Its handshake is not over: another middleware may still be running.
    Connecting,
    /// It is in its namespace, and its handlers run.
    Connected,
    /// It was disconnected and is still in its namespace: its disconnect handler is running.
    Leaving,
    /// It was in its namespace and no longer is, or it was dropped.
    Gone,
}

/// The place of a socket in a Socket.IO server: rooms and disconnects go by it, and a client that
/// connects again on the same transport takes the same one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Seat {
    pub(crate) namespace: Arc<str>,
    pub(crate) sid: Arc<str>,
}

/// A socket of a session. Nothing here keeps the socket alive.
pub(crate) trait LiveSocket: Send + Sync + 'static {
    fn presence(&self) -> Presence;
    fn seat(&self) -> Option<Seat>;
    /// It is known to be, or to have been, in its namespace.
    fn seen(&self);
    /// It is leaving, and was so when this was called before.
    fn still_leaving(&self) -> bool;
    /// Goes by the seat; called at admission only, where the seat is this socket's.
    fn join(&self, room: String);
    /// Goes by the seat; called after admission. Does nothing when the socket has left, or another one has
    /// the seat. `own`: the room of its session, which it joined at its admission. While an empty seat has
    /// this room, a socket that has not entered its namespace is about to take it; it loses its rooms when it
    /// is rejected, and then the seat may be a successor's.
    fn join_later(&self, room: String, own: &str);
    /// Leaves all rooms. As [`join_later`](Self::join_later).
    fn leave_rooms(&self, own: &str);
    /// Goes by the seat; does nothing when another socket has it. It may fail, and success does not
    /// mean that the socket is gone: its presence tells. Runs user code, which may block or panic.
    fn disconnect(&self);
    /// The socket is gone: drops what the session left in it, should the application still hold it.
    fn release(&self);
    /// The application's end hook, if there is one. Runs user code, which may block or panic.
    fn end_hook(&self, reason: EndReason) -> Option<Box<dyn FnOnce() + Send>>;
}
