//! The tower layer.

use std::{fmt, sync::Arc};

use tower::Layer;

use super::{service::SessionService, settings::Settings};
use crate::bridge::SessionBridge;

/// A tower layer for the whole application; made by [`SessionBridge::layer`].
///
/// It goes around everything, the Socket.IO layer included, so it is added last to a `Router`, and
/// named first in a `ServiceBuilder` or a pair. A `Router` boxes the service of each `layer` call and
/// clones it for each request, so one call with the pair `(sessions.layer(), socket_layer)` costs less
/// than two calls. What it does:
///
/// 1. Handlers of ordinary requests can take the session. It is looked up on first use, once for
///    each request.
/// 2. The `sid` of a polling transport is bound to the session of the request that opened it, see
///    [`insecure_unbound_sid`](Self::insecure_unbound_sid).
/// 3. A cookie with a `max_age` can slide with its session, see
///    [`refresh_cookie`](Self::refresh_cookie).
/// 4. With [`reject_unauthenticated`](Self::reject_unauthenticated), clients without a session are
///    refused before they have a transport.
///
/// A request of Socket.IO is recognized by its query (`EIO=4&transport=polling`, or `websocket`), so
/// neither the path that Socket.IO listens on nor a `Router::nest` around it matters. No other request
/// is ever changed. For an application with another Socket.IO server beside, see
/// [`req_path`](Self::req_path).
///
/// One application has one bridge for each type of session: with several layers for the same `T`, an
/// axum handler gets the session of the innermost.
///
/// ```
/// use axum::{Router, routing::get};
/// use socketioxide::SocketIo;
/// use socketioxide_session::{MemoryStore, Session, SessionBridge, http::SessionLayer};
/// # use socketioxide_session::{Keyring, SecretKey, SignedCookie};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let keys = Keyring::new(SecretKey::generate()?);
/// # let cookie = SignedCookie::new("sid", &keys)?;
/// # let sessions = SessionBridge::builder(cookie, MemoryStore::<String>::new()).build()?;
/// let layer: SessionLayer<String> = sessions.layer();
/// let (socket_layer, io) = SocketIo::new_layer();
/// let app: Router = Router::new()
///     .route("/me", get(async |user: Session<String>| user.data().clone()))
///     .layer((layer, socket_layer));
/// # drop((app, io));
/// # Ok(())
/// # }
/// ```
///
/// # Deployment caveats
///
/// For pages of another origin a CORS layer must be outside of this one: preflight requests carry no
/// cookies, and a refusal needs the CORS header fields too, or the page can't read its code.
///
/// A layer that changes the answers of Socket.IO must be outside of this one, too. Between this layer
/// and Socket.IO it hides the `sid`, which is then bound at the first connect only, and a warning is
/// logged. (Compression may stand inside.)
pub struct SessionLayer<T: Send + Sync + 'static> {
    pub(super) bridge: SessionBridge<T>,
    pub(super) settings: Settings,
}

impl<T: Send + Sync + 'static> SessionBridge<T> {
    /// The tower layer that gives sessions to HTTP handlers and protects Socket.IO's transports.
    #[must_use]
    pub fn layer(&self) -> SessionLayer<T> {
        SessionLayer {
            bridge: self.clone(),
            settings: Settings::default(),
        }
    }
}

impl<T: Send + Sync + 'static> SessionLayer<T> {
    /// Refuses clients without a session over HTTP, before they have a transport.
    ///
    /// The answer is 401, 403 or 503 with `{"error":CODE}`, for polling and WebSocket alike. So
    /// unauthenticated clients can neither hold connections open nor create dynamic namespaces.
    ///
    /// - It shuts out clients that bring their token in the `auth` payload only, because that comes
    ///   later, and anonymous ones, which [`optional`](SessionBridge::optional) would let in.
    /// - To the JavaScript client this is a failure of the transport: `connect_error` with the
    ///   message `xhr poll error` or `websocket error`, and **it tries again by itself**, with
    ///   growing pauses. While polling, `error.context.status` and `error.context.responseText` hold
    ///   the status and the code while the event is handled; of a WebSocket, browsers reveal nothing.
    ///   To end the attempts, call `socket.disconnect()`. (A rejection of the connect middleware is
    ///   final there, by contrast: `connect_error` with the code as its message, and no further
    ///   attempt.)
    /// - A session is looked up twice then, here and at the connect to a namespace.
    ///
    /// ```
    /// # use socketioxide_session::{Keyring, MemoryStore, SecretKey, SessionBridge, SignedCookie};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let keys = Keyring::new(SecretKey::generate()?);
    /// # let cookie = SignedCookie::new("sid", &keys)?;
    /// # let sessions = SessionBridge::builder(cookie, MemoryStore::<String>::new()).build()?;
    /// let layer = sessions.layer().reject_unauthenticated();
    /// # drop(layer);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn reject_unauthenticated(mut self) -> Self {
        self.settings.reject_unauthenticated = true;
        self
    }

    /// Lets requests act for a polling transport that bring its `sid` and nothing else.
    ///
    /// While a client polls, Engine.IO checks nothing but its `sid` (`socket.id`!): a request that
    /// names it reads the client's packets and sends events as the client, without any cookie. So, if
    /// this is not called, every further request of a polling transport must bring a credential (a
    /// cookie or a query token) of the same session as the opening request. An expired token counts,
    /// and so does the id that replaced the session's on this node (a rotation, a sign-in). If the
    /// opening request had credentials of several sessions, each of them counts until one of these
    /// sessions is admitted on the transport.
    ///
    /// Other requests get the answer for an unknown `sid`, also after the session has ended: a browser
    /// without its cookie opens a new transport by itself. A client library that sends its cookie with
    /// the first request only is shut out; the cause is logged, at most once a minute.
    ///
    /// A transport that was opened without a credential is not bound. That is so for clients that
    /// bring their token in the `auth` payload: let them use the WebSocket transport only, or never
    /// publish `socket.id`.
    ///
    /// ```
    /// # use socketioxide_session::{Keyring, MemoryStore, SecretKey, SessionBridge, SignedCookie};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let keys = Keyring::new(SecretKey::generate()?);
    /// # let cookie = SignedCookie::new("sid", &keys)?;
    /// # let sessions = SessionBridge::builder(cookie, MemoryStore::<String>::new()).build()?;
    /// // `socket.id` is a bearer secret of this application, and it never leaves its client.
    /// let layer = sessions.layer().insecure_unbound_sid();
    /// # drop(layer);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn insecure_unbound_sid(mut self) -> Self {
        self.settings.bind_sid = false;
        self
    }

    /// Takes only requests on this path for those of Socket.IO, as socketioxide's `req_path` does.
    ///
    /// If this is not called, the path does not matter. It is for an application with another
    /// Socket.IO server beside. The path is the one where the layer stands: inside of a nested `Router`
    /// without the prefix, outside of it with the prefix. When a client connects whose request was on
    /// another path, a warning is logged once, because the layer did not protect its transport.
    ///
    /// ```
    /// # use socketioxide_session::{Keyring, MemoryStore, SecretKey, SessionBridge, SignedCookie};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let keys = Keyring::new(SecretKey::generate()?);
    /// # let cookie = SignedCookie::new("sid", &keys)?;
    /// # let sessions = SessionBridge::builder(cookie, MemoryStore::<String>::new()).build()?;
    /// let layer = sessions.layer().req_path("/api/socket.io");
    /// # drop(layer);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn req_path(mut self, path: impl Into<Arc<str>>) -> Self {
        self.settings.req_path = Some(path.into());
        self
    }
}

impl<S, T: Send + Sync + 'static> Layer<S> for SessionLayer<T> {
    type Service = SessionService<S, T>;

    fn layer(&self, inner: S) -> Self::Service {
        SessionService::new(inner, self.bridge.clone(), self.settings.clone())
    }
}

impl<T: Send + Sync + 'static> Clone for SessionLayer<T> {
    fn clone(&self) -> Self {
        Self {
            bridge: self.bridge.clone(),
            settings: self.settings.clone(),
        }
    }
}

impl<T: Send + Sync + 'static> fmt::Debug for SessionLayer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionLayer")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
