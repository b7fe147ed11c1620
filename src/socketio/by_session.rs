//! The marker of the middleware.

/// Tells this crate's implementations of [`ConnectMiddleware`](socketioxide::handler::ConnectMiddleware) from those for closures.
///
/// ```
/// use socketioxide::{adapter::LocalAdapter, handler::ConnectMiddleware};
/// use socketioxide_session::socketio::{BySession, NoHook, SessionMiddleware};
///
/// fn is_middleware<M: ConnectMiddleware<LocalAdapter, BySession>>() {}
/// is_middleware::<SessionMiddleware<String, NoHook>>();
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct BySession;
