//! A middleware without a hook.

/// No hook is called before the end of a session disconnects a socket.
///
/// ```
/// use socketioxide_session::{SessionBridge, socketio::{NoHook, SessionMiddleware}};
///
/// /// A middleware that is kept for several namespaces.
/// fn gate(sessions: &SessionBridge<String>) -> SessionMiddleware<String, NoHook> {
///     sessions.require()
/// }
/// # let _ = gate;
/// ```
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct NoHook;
