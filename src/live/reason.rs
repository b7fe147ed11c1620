//! Why a session ended.

use std::fmt;

/// Why a session ended, as this node saw it.
///
/// ```
/// use socketioxide::extract::SocketRef;
/// use socketioxide_session::EndReason;
///
/// // `sessions.require().on_end(tell)`
/// fn tell(socket: SocketRef, reason: EndReason) {
///     socket.emit("ended", reason.as_str()).ok();
/// }
/// # let _ = tell;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndReason {
    /// It was ended or deleted in the store: a logout. A rotation on another node looks like this
    /// too when the store can't tell.
    Deleted,
    /// Its lifetime is over.
    Expired,
    /// It was replaced by a session with another id: a rotation or a sign-in. The client may connect
    /// again with its new credential.
    Rotated,
    /// The store could not be reached for longer than
    /// [`max_stale`](crate::bridge::SessionBridgeBuilder::max_stale), so it is unknown whether the
    /// session goes on.
    StoreUnreachable,
    /// Its record in the store can't be decoded any more.
    Unreadable,
    /// [`verify`](crate::bridge::SessionBridgeBuilder::verify) rejected it.
    Revoked,
    /// Its data belongs to another user than before, or to none.
    UserChanged,
    /// The socket of this handle has disconnected. The session itself goes on.
    SocketClosed,
}

impl EndReason {
    /// The reason as a word for clients: `deleted`, `expired`, `rotated`, `store-unreachable`,
    /// `unreadable`, `revoked`, `user-changed` or `socket-closed`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deleted => "deleted",
            Self::Expired => "expired",
            Self::Rotated => "rotated",
            Self::StoreUnreachable => "store-unreachable",
            Self::Unreadable => "unreadable",
            Self::Revoked => "revoked",
            Self::UserChanged => "user-changed",
            Self::SocketClosed => "socket-closed",
        }
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
