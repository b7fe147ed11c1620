//! A middleware with a hook.

use std::{fmt, sync::Arc};

use socketioxide::adapter::Adapter;

use super::socket::EndHook;

/// The hook that is called before the end of a session disconnects a socket; made by
/// [`SessionMiddleware::on_end`](super::SessionMiddleware::on_end).
///
/// ```
/// use socketioxide::{adapter::LocalAdapter, extract::SocketRef};
/// use socketioxide_session::{EndReason, SessionBridge, socketio::{OnEnd, SessionMiddleware}};
///
/// /// A middleware that is kept for several namespaces.
/// fn gate(sessions: &SessionBridge<String>) -> SessionMiddleware<String, OnEnd<LocalAdapter>> {
///     sessions.require().on_end(|socket: SocketRef, reason: EndReason| {
///         socket.emit("ended", reason.as_str()).ok();
///     })
/// }
/// # let _ = gate;
/// ```
pub struct OnEnd<A: Adapter>(pub(super) Arc<EndHook<A>>);

impl<A: Adapter> Clone for OnEnd<A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<A: Adapter> fmt::Debug for OnEnd<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnEnd").finish_non_exhaustive()
    }
}
