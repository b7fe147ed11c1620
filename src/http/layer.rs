//! The tower layer.

use std::{
    fmt,
    future::Future,
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Method, Request, Response, request::Parts};
use tower::{Layer, Service};

use super::{SessionBody, SessionFuture, refusal};
use crate::{
    bridge::SessionBridge,
    handshake::Handshake,
    request::LayeredRequest,
    transport::{EngineRequest, with_unknown_sid},
};

/// A tower layer for the whole application; made by [`SessionBridge::layer`].
///
/// It goes around everything, the Socket.IO layer included, so it is added last to a `Router`, and
/// named first in a `ServiceBuilder`. What it does:
///
/// 1. For ordinary requests, it lets handlers see the session, which is found when an extractor
///    first wants it, once.
/// 2. It bounds how often one Socket.IO transport asks the store in vain: after ten connects that
///    were refused by it, further ones are `NO_SESSION` without asking (but for one a minute).
/// 3. It binds the `sid` of polling transports to their sessions, see
///    [`without_sid_binding`](Self::without_sid_binding).
/// 4. With [`gate`](Self::gate), it refuses who has no session before a transport is opened.
///
/// What is a request of Socket.IO it sees from the query (`EIO` and `transport`), so neither the
/// path that Socket.IO listens on nor a `Router::nest` around it matters. It never changes any other
/// request.
///
/// # Deployment caveats
///
/// For pages of another origin a CORS layer must be outside of this one: preflight requests carry no
/// cookies, and what the gate refuses needs the CORS header fields too, or the page can't read why.
pub struct SessionLayer<T: Send + Sync + 'static> {
    bridge: SessionBridge<T>,
    settings: Settings,
}

#[derive(Debug, Clone, Copy)]
struct Settings {
    gate: bool,
    bind_sid: bool,
}

impl<T: Send + Sync + 'static> SessionBridge<T> {
    /// The tower layer that lets HTTP handlers see sessions, and guards Socket.IO's transports.
    #[must_use]
    pub fn layer(&self) -> SessionLayer<T> {
        SessionLayer {
            bridge: self.clone(),
            settings: Settings {
                gate: false,
                bind_sid: true,
            },
        }
    }
}

impl<T: Send + Sync + 'static> SessionLayer<T> {
    /// Refuses clients without a session over HTTP, before they have a transport: with 401, 403 or
    /// 503 and `{"error":CODE}`, polling and WebSocket alike. So nobody unknown can hold connections
    /// open, or create dynamic namespaces.
    ///
    /// - It shuts out clients that bring their token in the `auth` payload only, as that comes later,
    ///   and anonymous ones, whom [`optional`](SessionBridge::optional) would let in.
    /// - To the JavaScript client this is a failure of the transport: `connect_error` with the
    ///   message `xhr poll error` or `websocket error`, and **it tries again by itself**, with
    ///   growing pauses. While polling, `error.context.status` and `error.context.responseText` hold
    ///   the status and the code; of a WebSocket, browsers tell nothing. To end the attempts, call
    ///   `socket.disconnect()`. (What the connect middleware refuses is final there, by contrast:
    ///   `connect_error` with the code as its message, and no further attempt.)
    /// - A session is looked up twice in the store then, here and at the connect to a namespace.
    #[must_use]
    pub fn gate(mut self) -> Self {
        self.settings.gate = true;
        self
    }

    /// Lets requests act for a polling transport that bring its `sid` and nothing else.
    ///
    /// While a client polls, its `sid` (`socket.id`!) is all that Engine.IO asks for: whoever gets to
    /// know it reads the client's packets and sends events in its name, without any cookie. So, if
    /// this is not called, once a session has connected over a polling transport, every further
    /// request for it must bring a credential of the same session (a token may have expired since);
    /// one that doesn't is answered as if nobody had that `sid`.
    ///
    /// A transport whose session came in the `auth` payload can't be bound: use the WebSocket
    /// transport only there, or never publish `socket.id`.
    #[must_use]
    pub fn without_sid_binding(mut self) -> Self {
        self.settings.bind_sid = false;
        self
    }
}

impl<S, T: Send + Sync + 'static> Layer<S> for SessionLayer<T> {
    type Service = SessionService<S, T>;

    fn layer(&self, inner: S) -> Self::Service {
        SessionService {
            inner,
            bridge: self.bridge.clone(),
            settings: self.settings,
        }
    }
}

/// The service of [`SessionLayer`].
pub struct SessionService<S, T: Send + Sync + 'static> {
    inner: S,
    bridge: SessionBridge<T>,
    settings: Settings,
}

impl<S, B, R, T> Service<Request<B>> for SessionService<S, T>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
    R: 'static,
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
        let request = EngineRequest::of(&parts.uri);
        let opens = request == Some(EngineRequest::Opens) && parts.method == Method::GET;
        if self.settings.bind_sid
            && let Some(request) = request
            && !self.is_entitled(request, &parts)
        {
            parts.uri = with_unknown_sid(&parts.uri);
        }
        let layered = LayeredRequest::new(self.bridge.clone());
        parts.extensions.insert(Arc::new(layered));
        if self.settings.gate && opens {
            return SessionFuture::gated(Box::pin(self.behind_the_gate(parts, body)));
        }
        SessionFuture::inner(self.inner.call(Request::from_parts(parts, body)))
    }
}

impl<S, T: Send + Sync + 'static> SessionService<S, T> {
    /// Whether a request may act for the transport that it names.
    fn is_entitled(&self, request: EngineRequest<'_>, parts: &Parts) -> bool {
        match request {
            EngineRequest::Opens => true,
            EngineRequest::Ambiguous => false,
            EngineRequest::Continues(sid) => {
                let handshake = Handshake::from_parts(parts).as_continuation();
                self.bridge.may_continue(sid, &handshake)
            }
        }
    }

    fn behind_the_gate<B, R>(
        &mut self,
        parts: Parts,
        body: B,
    ) -> impl Future<Output = Result<Response<SessionBody<R>>, S::Error>> + Send + use<S, T, B, R>
    where
        S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
        S::Future: Send,
        B: Send + 'static,
        R: 'static,
    {
        let bridge = self.bridge.clone();
        // The one that has said that it is ready.
        let next = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, next);
        async move {
            let handshake = Handshake::from_parts(&parts).as_transport();
            match bridge.resolve(&handshake).await {
                Ok(_) => {
                    let response = inner.call(Request::from_parts(parts, body)).await?;
                    Ok(response.map(SessionBody::inner))
                }
                Err(rejection) => Ok(refusal(&rejection, SessionBody::refusal)),
            }
        }
    }
}

impl<T: Send + Sync + 'static> Clone for SessionLayer<T> {
    fn clone(&self) -> Self {
        Self {
            bridge: self.bridge.clone(),
            settings: self.settings,
        }
    }
}

impl<S: Clone, T: Send + Sync + 'static> Clone for SessionService<S, T> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            bridge: self.bridge.clone(),
            settings: self.settings,
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

impl<S: fmt::Debug, T: Send + Sync + 'static> fmt::Debug for SessionService<S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionService")
            .field("inner", &self.inner)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
