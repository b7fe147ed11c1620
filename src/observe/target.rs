//! The targets of all log lines. They are part of the public interface, with the fields of each, see
//! [`docs::operation`](crate::docs::operation).

/// The admission of a socket.
pub(crate) const ADMISSION: &str = "socketioxide_session::admission";
/// A client or a request that gets no session.
pub(crate) const REJECTION: &str = "socketioxide_session::rejection";
/// A session that ends, and its sockets.
pub(crate) const END: &str = "socketioxide_session::end";
/// Calls of the store, and the connection to it.
pub(crate) const STORE: &str = "socketioxide_session::store";
/// The store's reports of changes.
pub(crate) const FEED: &str = "socketioxide_session::feed";
/// Mistakes in the setup of the application.
pub(crate) const SETUP: &str = "socketioxide_session::setup";
/// Closures of the application that panic or are not called.
pub(crate) const CALLBACK: &str = "socketioxide_session::callback";
