//! The session of a client that may have none.

use super::handle::Session;

/// The session of a client that may have none: the extractor beside
/// [`optional`](crate::SessionBridge::optional), and in axum handlers.
///
/// `None` is a client without a session from the beginning. When the session of a socket has ended,
/// this extractor fails as [`Session`] does; it never turns into `None`.
///
/// ```
/// use socketioxide::extract::SocketRef;
/// use socketioxide_session::MaybeSession;
///
/// async fn on_lobby(socket: SocketRef, MaybeSession(session): MaybeSession<String>) {
///     let name = session.map_or("guest".to_owned(), |session| session.data().clone());
///     socket.emit("hello", &name).ok();
/// }
/// # let _ = on_lobby;
/// ```
#[derive(Debug)]
pub struct MaybeSession<T: Send + Sync + 'static>(pub Option<Session<T>>);

impl<T: Send + Sync + 'static> Clone for MaybeSession<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}
