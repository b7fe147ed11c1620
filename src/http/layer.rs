//! The tower layer.

use std::{
    fmt,
    future::Future,
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Method, Request, Response, Uri, header::ACCEPT_ENCODING, request::Parts};
use http_body::Body;
use tower::{Layer, Service};

use super::{SessionBody, SessionFuture, opening::Opening, refusal};
use crate::{
    bridge::SessionBridge,
    handshake::{Handshake, Stage},
    request::LayeredRequest,
    transport::{EngineRequest, TransportKind, with_unknown_sid},
};

/// A tower layer for the whole application; made by [`SessionBridge::layer`].
///
/// It goes around everything, the Socket.IO layer included, so it is added last to a `Router`, and
/// named first in a `ServiceBuilder`. What it does:
///
/// 1. For ordinary requests, it lets handlers see the session, which is found when an extractor
///    first wants it, once.
/// 2. It bounds how often one Socket.IO transport asks the store in vain. After ten connects to a
///    session that is gone, further ones are `NO_SESSION` without asking, but for one a minute; and
///    after ten failures of the store in a row they are `STORE_ERROR`, but for one a second.
/// 3. It binds the `sid` of polling transports to their sessions, see
///    [`insecure_unbound_sid`](Self::insecure_unbound_sid).
/// 4. With [`reject_unauthenticated`](Self::reject_unauthenticated), it refuses who has no session before a transport is opened.
///
/// What is a request of Socket.IO it sees from the query (`EIO=4&transport=polling`, or `websocket`),
/// so neither the path that Socket.IO listens on nor a `Router::nest` around it matters. It never
/// changes any other request. Where there is another Socket.IO server beside, see
/// [`req_path`](Self::req_path).
///
/// One application has one bridge for each type of session: with several layers for the same `T`, an
/// axum handler gets the session of the innermost.
///
/// # Deployment caveats
///
/// For pages of another origin a CORS layer must be outside of this one: preflight requests carry no
/// cookies, and what the gate refuses needs the CORS header fields too, or the page can't read why.
///
/// So must one that rewrites what Socket.IO answers: between this layer and Socket.IO it hides the
/// `sid`, which is then bound at the first connect only, and a warning is logged. (Compression may
/// stand inside.)
pub struct SessionLayer<T: Send + Sync + 'static> {
    bridge: SessionBridge<T>,
    settings: Settings,
}

#[derive(Debug, Clone)]
struct Settings {
    gate: bool,
    bind_sid: bool,
    req_path: Option<Arc<str>>,
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
                req_path: None,
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
    ///   the status and the code while the event is handled; of a WebSocket, browsers tell nothing. To end the attempts, call
    ///   `socket.disconnect()`. (What the connect middleware refuses is final there, by contrast:
    ///   `connect_error` with the code as its message, and no further attempt.)
    /// - A session is looked up twice in the store then, here and at the connect to a namespace.
    #[must_use]
    pub fn reject_unauthenticated(mut self) -> Self {
        self.settings.gate = true;
        self
    }

    /// Lets requests act for a polling transport that bring its `sid` and nothing else.
    ///
    /// While a client polls, its `sid` (`socket.id`!) is all that Engine.IO asks for: whoever gets to
    /// know it reads the client's packets and sends events in its name, without any cookie. So, if
    /// this is not called, every further request for a polling transport that was opened with a
    /// session's cookie or query token must bring a credential of the same session (a token may have
    /// expired since; a session that was rotated on this node may show its new id). One that doesn't
    /// is answered as if nobody had that `sid`, also after the session has ended: a browser that has
    /// no cookie any more opens a new transport by itself.
    ///
    /// A transport whose session came in the `auth` payload can't be bound: use the WebSocket
    /// transport only there, or never publish `socket.id`.
    #[must_use]
    pub fn insecure_unbound_sid(mut self) -> Self {
        self.settings.bind_sid = false;
        self
    }

    /// Takes for Socket.IO's only what is on this path, as in socketioxide's `req_path`; any, if this
    /// is not called. For an application that has another Socket.IO server beside. Inside of a nested
    /// `Router` the path is the one there.
    #[must_use]
    pub fn req_path(mut self, path: impl Into<Arc<str>>) -> Self {
        self.settings.req_path = Some(path.into());
        self
    }
}

impl Settings {
    /// What a request is to the Socket.IO server that is guarded: the same rule as engineioxide's.
    fn engine_request<'a>(&self, uri: &'a Uri) -> Option<EngineRequest<'a>> {
        let is_there = self.req_path.as_deref().is_none_or(|path| {
            let rest = uri.path().strip_prefix(path);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || path.ends_with('/'))
        });
        is_there.then(|| EngineRequest::of(uri)).flatten()
    }
}

impl<S, T: Send + Sync + 'static> Layer<S> for SessionLayer<T> {
    type Service = SessionService<S, T>;

    fn layer(&self, inner: S) -> Self::Service {
        SessionService {
            inner,
            bridge: self.bridge.clone(),
            settings: self.settings.clone(),
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
        let engine = self.settings.engine_request(&parts.uri);
        let opens = match engine {
            Some(EngineRequest::Opens(kind)) => Some(kind).filter(|_| parts.method == Method::GET),
            _ => None,
        };
        if self.settings.bind_sid
            && let Some(request) = engine
            && !self.is_entitled(request, &parts)
        {
            parts.uri = with_unknown_sid(&parts.uri);
        }
        let layered = LayeredRequest::insert(self.bridge.clone(), &mut parts);
        let opening = Opening {
            bridge: self.bridge.clone(),
            request: layered,
        };
        let binds = self.settings.bind_sid && opens == Some(TransportKind::Polling);
        if binds {
            // Who compresses further inside would hide the `sid` from us.
            parts.headers.remove(ACCEPT_ENCODING);
        }
        if self.settings.gate && opens.is_some() {
            return SessionFuture::boxed(Box::pin(
                self.behind_the_gate(parts, body, opening, binds),
            ));
        }
        let opener = binds.then(|| self.bridge.opener(&parts)).flatten();
        let response = self.inner.call(Request::from_parts(parts, body));
        match opener {
            None => SessionFuture::inner(response),
            Some(id) => SessionFuture::boxed(Box::pin(async move {
                let response = response.await?;
                Ok(opening.bind(response, &id).await)
            })),
        }
    }
}

impl<S, T: Send + Sync + 'static> SessionService<S, T> {
    /// Whether a request may act for the transport that it names.
    fn is_entitled(&self, request: EngineRequest<'_>, parts: &Parts) -> bool {
        match request {
            EngineRequest::Opens(_) => true,
            EngineRequest::Ambiguous => false,
            EngineRequest::Continues(sid) => {
                let handshake = Handshake::from_parts(parts).at(Stage::Continuing);
                self.bridge.may_continue(sid, &handshake)
            }
        }
    }

    fn behind_the_gate<B, R>(
        &mut self,
        parts: Parts,
        body: B,
        opening: Opening<T>,
        binds: bool,
    ) -> impl Future<Output = Result<Response<SessionBody<R>>, S::Error>> + Send + use<S, T, B, R>
    where
        S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
        S::Future: Send,
        B: Send + 'static,
        R: Body<Data = Bytes> + Send + 'static,
    {
        // The one that has said that it is ready.
        let next = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, next);
        async move {
            let handshake = Handshake::from_parts(&parts).as_opening();
            match opening.bridge.resolve(&handshake).await {
                Ok(session) => {
                    let response = inner.call(Request::from_parts(parts, body)).await?;
                    Ok(if binds {
                        opening.bind(response, session.id()).await
                    } else {
                        response.map(SessionBody::inner)
                    })
                }
                Err(rejection) => Ok(refusal(&rejection, SessionBody::whole)),
            }
        }
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

impl<S: Clone, T: Send + Sync + 'static> Clone for SessionService<S, T> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
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

impl<S: fmt::Debug, T: Send + Sync + 'static> fmt::Debug for SessionService<S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionService")
            .field("inner", &self.inner)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
