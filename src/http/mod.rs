//! Sessions in ordinary HTTP requests.

#[cfg(feature = "axum")]
mod axum;
mod layer;

use std::sync::Arc;

use http::request::Parts;
use tokio::sync::OnceCell;

#[cfg(feature = "axum")]
pub use self::axum::RequestSessionError;
pub use layer::{SessionLayer, SessionService};

use crate::{
    bridge::SessionBridge, handshake::Handshake, rejection::SessionRejection, session::Session,
};

impl<T: Send + Sync + 'static> SessionBridge<T> {
    /// Finds the session of an HTTP request: [`resolve`](Self::resolve) for servers without axum.
    /// When the [layer](Self::layer) has seen the request, it is resolved once.
    ///
    /// # Errors
    ///
    /// As [`resolve`](Self::resolve).
    pub async fn from_request(&self, parts: &Parts) -> Result<Session<T>, SessionRejection> {
        match resolved_by_layer(parts) {
            Some(resolved) => resolved.get(parts).await,
            None => self.resolve(&Handshake::from_parts(parts)).await,
        }
    }
}

/// The session of one request, found when somebody first asks for it.
pub(crate) struct LazySession<T: Send + Sync + 'static> {
    bridge: SessionBridge<T>,
    resolved: OnceCell<Result<Session<T>, SessionRejection>>,
}

impl<T: Send + Sync + 'static> LazySession<T> {
    fn new(bridge: SessionBridge<T>) -> Self {
        Self {
            bridge,
            resolved: OnceCell::new(),
        }
    }

    pub(crate) async fn get(&self, parts: &Parts) -> Result<Session<T>, SessionRejection> {
        let resolve = async || self.bridge.resolve(&Handshake::from_parts(parts)).await;
        self.resolved.get_or_init(resolve).await.clone()
    }
}

/// What the layer left in the request, if it saw it.
pub(crate) fn resolved_by_layer<T: Send + Sync + 'static>(
    parts: &Parts,
) -> Option<Arc<LazySession<T>>> {
    parts.extensions.get::<Arc<LazySession<T>>>().cloned()
}
