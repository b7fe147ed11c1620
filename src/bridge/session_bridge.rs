//! The bridge between the sessions of HTTP and Socket.IO.

use std::{fmt, sync::Arc};

use super::{advised::Advised, sign_ins::SignIns};
use crate::{
    blocking::Blocking,
    extractor::{Handshake, SessionIdExtractor},
    live::{LiveSessions, TouchEvery},
    rejection::SessionRejection,
    transport::Transports,
};

pub(super) type OnRejection = dyn Fn(&SessionRejection, &Handshake<'_>) + Send + Sync;

/// Brings the sessions of HTTP to Socket.IO: an extractor that identifies clients, and a store that
/// holds their sessions. Cheap to clone; one for an application and type of session.
///
/// It is an extractor in axum handlers, too.
///
/// ```
/// use axum::{Router, routing::get};
/// use socketioxide::{SocketIo, extract::SocketRef, handler::ConnectHandler};
/// use socketioxide_session::{Keyring, MemoryStore, SecretKey, Session, SessionBridge, SignedCookie};
///
/// let keys = Keyring::new(SecretKey::generate()?);
/// let cookie = SignedCookie::new("__Host-sid", &keys)?;
/// let sessions = SessionBridge::builder(cookie, MemoryStore::<String>::new()).build()?;
///
/// let (socket_layer, io) = SocketIo::new_layer();
/// let on_connect = async |_: SocketRef, _: Session<String>| ();
/// io.ns("/", on_connect.with(sessions.require()));
/// let app: Router = Router::new()
///     .route("/me", get(async |session: Session<String>| session.data().clone()))
///     .layer((sessions.layer(), socket_layer));
/// # drop(app);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SessionBridge<T: Send + Sync + 'static> {
    pub(super) inner: Arc<Inner<T>>,
}

pub(super) struct Inner<T> {
    pub(super) live: LiveSessions<T>,
    pub(super) extractor: Box<dyn SessionIdExtractor>,
    pub(super) on_rejection: Option<Arc<OnRejection>>,
    pub(super) rejections: Blocking,
    pub(super) transports: Transports,
    pub(super) sign_ins: SignIns,
    /// The origins whose advice was logged.
    pub(super) advised: Advised,
}

impl<T: Send + Sync + 'static> SessionBridge<T> {
    /// Number of live sessions on this node: those with sockets, and those that a task waits for.
    #[must_use]
    pub fn live_sessions(&self) -> usize {
        self.inner.live.session_count()
    }

    /// Number of open sockets of sessions on this node.
    #[must_use]
    pub fn live_sockets(&self) -> usize {
        self.inner.live.socket_count()
    }

    /// Number of polling transports that are bound to their sessions, see
    /// [`SessionLayer::insecure_unbound_sid`](crate::http::SessionLayer::insecure_unbound_sid).
    #[must_use]
    pub fn bound_transports(&self) -> usize {
        self.inner.transports.bound_count()
    }

    /// Number of ended sessions whose deletion the store has not confirmed.
    #[must_use]
    pub fn pending_deletions(&self) -> usize {
        self.inner.live.owed_count()
    }

    /// Minimum delay between touches by activity; `None`: never.
    pub(crate) fn touch_every(&self) -> Option<TouchEvery> {
        self.inner.live.config().touch_every
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }
}

impl<T: Send + Sync + 'static> Clone for SessionBridge<T> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
        }
    }
}

impl<T: Send + Sync + 'static> fmt::Debug for SessionBridge<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionBridge")
            .field("live_sessions", &self.live_sessions())
            .finish_non_exhaustive()
    }
}
