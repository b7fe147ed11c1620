//! The tower layer.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use http::Request;
use tower::{Layer, Service};

use super::LazySession;
use crate::bridge::SessionBridge;

/// A tower layer that lets handlers see the session of a request; made by
/// [`SessionBridge::layer`]. It goes around the whole application, the Socket.IO layer included, so
/// it is added last to a `Router`, and named first in a `ServiceBuilder`.
///
/// It asks nobody by itself: a request's session is found when an extractor first wants it, once.
pub struct SessionLayer<T: Send + Sync + 'static> {
    bridge: SessionBridge<T>,
}

impl<T: Send + Sync + 'static> SessionBridge<T> {
    /// The tower layer that lets HTTP handlers see sessions.
    #[must_use]
    pub fn layer(&self) -> SessionLayer<T> {
        SessionLayer {
            bridge: self.clone(),
        }
    }
}

impl<S, T: Send + Sync + 'static> Layer<S> for SessionLayer<T> {
    type Service = SessionService<S, T>;

    fn layer(&self, inner: S) -> Self::Service {
        SessionService {
            inner,
            bridge: self.bridge.clone(),
        }
    }
}

/// The service of [`SessionLayer`].
pub struct SessionService<S, T: Send + Sync + 'static> {
    inner: S,
    bridge: SessionBridge<T>,
}

impl<S, B, T> Service<Request<B>> for SessionService<S, T>
where
    S: Service<Request<B>>,
    T: Send + Sync + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let session = LazySession::new(self.bridge.clone());
        request.extensions_mut().insert(Arc::new(session));
        self.inner.call(request)
    }
}

impl<T: Send + Sync + 'static> Clone for SessionLayer<T> {
    fn clone(&self) -> Self {
        self.bridge.layer()
    }
}

impl<S: Clone, T: Send + Sync + 'static> Clone for SessionService<S, T> {
    fn clone(&self) -> Self {
        self.bridge.layer().layer(self.inner.clone())
    }
}

impl<T: Send + Sync + 'static> fmt::Debug for SessionLayer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionLayer").finish_non_exhaustive()
    }
}

impl<S: fmt::Debug, T: Send + Sync + 'static> fmt::Debug for SessionService<S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionService")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}
