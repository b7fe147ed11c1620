//! The tower service.

use std::{
    fmt,
    future::Future,
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Method, Request, Response, header::ACCEPT_ENCODING, request::Parts};
use http_body::Body;
use tower::Service;

use super::{
    body::SessionBody,
    future::{Resolved, SessionFuture},
    settings::Settings,
};
use crate::{
    bridge::SessionBridge,
    handshake::Handshake,
    request::{InFlight, LayeredRequest, TakenFor},
    transport::{EngineRequest, TransportKind, with_unknown_sid},
};

/// The service of [`SessionLayer`](super::SessionLayer).
///
/// ```
/// use socketioxide_session::{SessionBridge, http::SessionService};
/// use tower::Layer;
///
/// /// For a server that is put together without `Router::layer`.
/// fn wrapped<S>(sessions: &SessionBridge<String>, inner: S) -> SessionService<S, String> {
///     sessions.layer().layer(inner)
/// }
/// # let _ = wrapped::<()>;
/// ```
pub struct SessionService<S, T: Send + Sync + 'static> {
    inner: S,
    /// In one allocation, because routers clone a service for each request, more than once.
    common: Arc<Common<T>>,
}

/// State that all clones of a service share.
struct Common<T: Send + Sync + 'static> {
    bridge: SessionBridge<T>,
    settings: Settings,
}

impl<S, B, R, T> Service<Request<B>> for SessionService<S, T>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Send + 'static,
    R: Body<Data = Bytes> + Send + 'static,
    T: Send + Sync + 'static,
{
    type Response = Response<SessionBody<R>>;
    type Error = S::Error;
    type Future = SessionFuture<S::Future, R, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        let opens = self.check(&mut parts);
        let taken_for = self.take(opens, &mut parts);
        let Common { bridge, settings } = &*self.common;
        let refresh = settings.refresh.clone();
        let layered = LayeredRequest::insert(bridge.clone(), &mut parts, taken_for, refresh);
        let in_flight = InFlight::new(layered.clone());
        let rejects = settings.reject_unauthenticated;
        if opens.is_some() && (rejects || layered.may_refresh(&parts)) {
            let future = self.looked_up(parts, body, layered);
            return SessionFuture::looked_up(Box::pin(future), in_flight);
        }
        let response = self.inner.call(Request::from_parts(parts, body));
        SessionFuture::inner(response, in_flight)
    }
}

impl<S, T: Send + Sync + 'static> SessionService<S, T> {
    pub(super) fn new(inner: S, bridge: SessionBridge<T>, settings: Settings) -> Self {
        let common = Arc::new(Common { bridge, settings });
        Self { inner, common }
    }

    /// The kind of transport that a request opens. One that may not act for the transport that it
    /// names gets an unknown `sid`.
    fn check(&self, parts: &mut Parts) -> Option<TransportKind> {
        let Common { bridge, settings } = &*self.common;
        let entitled = match settings.engine_request(&parts.uri)? {
            EngineRequest::Opens(kind) => return (parts.method == Method::GET).then_some(kind),
            EngineRequest::Ambiguous => false,
            EngineRequest::Continues(sid) => !settings.bind_sid || bridge.may_continue(sid, parts),
        };
        if settings.bind_sid && !entitled {
            parts.uri = with_unknown_sid(&parts.uri);
        }
        None
    }

    /// Makes the slot of a polling transport that is to be bound.
    fn take(&self, opens: Option<TransportKind>, parts: &mut Parts) -> TakenFor {
        match opens {
            None => TakenFor::Other,
            Some(TransportKind::Polling) if self.common.settings.bind_sid => {
                // Compression further inside would hide the `sid` from the layer.
                parts.headers.remove(ACCEPT_ENCODING);
                TakenFor::BoundOpening(Box::new(self.common.bridge.transport_slot(parts)))
            }
            Some(_) => TakenFor::Opening,
        }
    }

    /// Calls the inner service after the session was looked up; if the layer rejects clients without
    /// one, only if there is one.
    fn looked_up<B, R>(
        &mut self,
        parts: Parts,
        body: B,
        layered: Arc<LayeredRequest<T>>,
    ) -> impl Future<Output = Result<Resolved<R>, S::Error>> + Send + use<S, T, B, R>
    where
        S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
        S::Future: Send,
        B: Send + 'static,
        R: Send + 'static,
    {
        // The instance that was ready is the one to call.
        let next = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, next);
        let bridge = self.common.bridge.clone();
        let rejects = self.common.settings.reject_unauthenticated;
        async move {
            if rejects {
                let handshake = Handshake::from_parts(&parts).as_opening();
                match bridge.resolve(&handshake).await {
                    Ok(session) => layered.resolved(&parts, &session),
                    Err(rejection) => return Ok(Err(rejection)),
                }
            } else {
                layered.look_up_opening(&parts).await;
            }
            inner.call(Request::from_parts(parts, body)).await.map(Ok)
        }
    }
}

impl<S: Clone, T: Send + Sync + 'static> Clone for SessionService<S, T> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            common: self.common.clone(),
        }
    }
}

impl<S: fmt::Debug, T: Send + Sync + 'static> fmt::Debug for SessionService<S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionService")
            .field("inner", &self.inner)
            .field("settings", &self.common.settings)
            .finish_non_exhaustive()
    }
}
