//! Sessions in socketioxide: the only place that knows it.
//!
//! 1. Extractors there are synchronous, so all asking is done by the connect middleware. It leaves
//!    an [`Attached`] in the socket's extensions, where the extractors find it.
//! 2. Only a middleware is a gate. In a connect handler the client is connected already; when the
//!    session has ended by then, the extractor disconnects the socket.
//! 3. What a middleware returns as an error goes to the unauthenticated client verbatim, so it is
//!    one of the five constant codes.

use std::{
    any::type_name,
    fmt,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use socketioxide::{
    adapter::Adapter,
    extract::{Data, SocketRef},
    handler::{ConnectMiddleware, FromConnectParts, FromDisconnectParts, FromMessageParts},
    socket::{DisconnectReason, Socket},
};
use socketioxide_core::Value;

use crate::{
    bridge::SessionBridge,
    handshake::{AuthPayload, Handshake},
    hook::Job,
    live::{Attachment, EndReason, LiveSocket, Presence},
    rejection::SessionRejection,
    session::{MaybeSession, Session},
};

impl<T: Send + Sync + 'static> SessionBridge<T> {
    /// A connect middleware that lets in clients with a session only:
    /// `io.ns("/", on_connect.with(sessions.require()))`. Others get one of the five codes of
    /// [`SessionRejection`] as their `connect_error`.
    #[must_use]
    pub fn require(&self) -> RequireSession<T> {
        RequireSession {
            bridge: self.clone(),
            on_end: NoHook,
        }
    }

    /// A connect middleware that lets in clients without a session too: those that bring no
    /// credential, and those whose credential is no good or whose session is gone. Handlers take
    /// [`MaybeSession`]. A refused origin and a failed store still reject.
    #[must_use]
    pub fn optional(&self) -> OptionalSession<T> {
        OptionalSession {
            bridge: self.clone(),
            on_end: NoHook,
        }
    }
}

/// The connect middleware made by [`SessionBridge::require`].
pub struct RequireSession<T: Send + Sync + 'static, H = NoHook> {
    bridge: SessionBridge<T>,
    on_end: H,
}

/// The connect middleware made by [`SessionBridge::optional`].
pub struct OptionalSession<T: Send + Sync + 'static, H = NoHook> {
    bridge: SessionBridge<T>,
    on_end: H,
}

/// Nothing is said to the client before its session's end closes the socket.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct NoHook;

/// What is called before a session's end closes a socket.
pub struct OnEnd<A: Adapter>(Arc<EndHook<A>>);

type EndHook<A> = dyn Fn(SocketRef<A>, EndReason) + Send + Sync;

impl<T: Send + Sync + 'static> RequireSession<T> {
    /// Calls `hook` for each socket before it is disconnected because its session has ended: a last
    /// word to the client. It runs on a thread of its own; when it takes longer than half a second
    /// (an earlier one included), the socket is disconnected without waiting for it.
    #[must_use]
    pub fn on_end<A: Adapter>(
        self,
        hook: impl Fn(SocketRef<A>, EndReason) + Send + Sync + 'static,
    ) -> RequireSession<T, OnEnd<A>> {
        RequireSession {
            bridge: self.bridge,
            on_end: OnEnd(Arc::new(hook)),
        }
    }
}

impl<T: Send + Sync + 'static> OptionalSession<T> {
    /// As [`RequireSession::on_end`].
    #[must_use]
    pub fn on_end<A: Adapter>(
        self,
        hook: impl Fn(SocketRef<A>, EndReason) + Send + Sync + 'static,
    ) -> OptionalSession<T, OnEnd<A>> {
        OptionalSession {
            bridge: self.bridge,
            on_end: OnEnd(Arc::new(hook)),
        }
    }
}

/// Tells this crate's implementations of [`ConnectMiddleware`] from those for closures.
#[derive(Debug)]
#[non_exhaustive]
pub struct BySession;

type MiddlewareResult = Result<(), Box<dyn fmt::Display + Send>>;

impl<A: Adapter, T: Send + Sync + 'static> ConnectMiddleware<A, BySession> for RequireSession<T> {
    async fn call<'a>(
        &'a self,
        socket: Arc<Socket<A>>,
        auth: &'a Option<Value>,
    ) -> MiddlewareResult {
        gate(&self.bridge, Door::Require, &socket, auth, None).await
    }
}

impl<A: Adapter, T: Send + Sync + 'static> ConnectMiddleware<A, BySession>
    for RequireSession<T, OnEnd<A>>
{
    async fn call<'a>(
        &'a self,
        socket: Arc<Socket<A>>,
        auth: &'a Option<Value>,
    ) -> MiddlewareResult {
        gate(
            &self.bridge,
            Door::Require,
            &socket,
            auth,
            Some(&self.on_end),
        )
        .await
    }
}

impl<A: Adapter, T: Send + Sync + 'static> ConnectMiddleware<A, BySession> for OptionalSession<T> {
    async fn call<'a>(
        &'a self,
        socket: Arc<Socket<A>>,
        auth: &'a Option<Value>,
    ) -> MiddlewareResult {
        gate(&self.bridge, Door::Optional, &socket, auth, None).await
    }
}

impl<A: Adapter, T: Send + Sync + 'static> ConnectMiddleware<A, BySession>
    for OptionalSession<T, OnEnd<A>>
{
    async fn call<'a>(
        &'a self,
        socket: Arc<Socket<A>>,
        auth: &'a Option<Value>,
    ) -> MiddlewareResult {
        gate(
            &self.bridge,
            Door::Optional,
            &socket,
            auth,
            Some(&self.on_end),
        )
        .await
    }
}

/// Who is let in.
#[derive(Clone, Copy)]
enum Door {
    Require,
    Optional,
}

/// What a middleware leaves in the extensions of a socket.
enum Attached<T: Send + Sync + 'static> {
    Session(Arc<Attachment<T>>),
    Anonymous,
}

impl<T: Send + Sync + 'static> Clone for Attached<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Session(attachment) => Self::Session(attachment.clone()),
            Self::Anonymous => Self::Anonymous,
        }
    }
}

#[allow(clippy::ref_option, reason = "this is how socketioxide hands it to us")]
async fn gate<A: Adapter, T: Send + Sync + 'static>(
    bridge: &SessionBridge<T>,
    door: Door,
    socket: &Arc<Socket<A>>,
    auth: &Option<Value>,
    on_end: Option<&OnEnd<A>>,
) -> MiddlewareResult {
    let decode = || {
        Data::from_connect_parts(socket, auth)
            .ok()
            .map(|Data(json)| json)
    };
    let payload = AuthPayload::encoded(size_of_payload(auth), &decode);
    let handshake = Handshake::from_parts(socket.req_parts())
        .with_namespace(socket.ns())
        .with_auth(&payload);
    match (admit(bridge, socket, &handshake, on_end).await, door) {
        (Ok(()), _) => Ok(()),
        (Err(rejection), Door::Optional) if rejection.is_anonymous() => {
            let (code, session) = (rejection.code(), rejection.fingerprint());
            tracing::debug!(code, session, "socket without a session");
            socket.extensions.insert(Attached::<T>::Anonymous);
            Ok(())
        }
        (Err(rejection), _) => {
            bridge.report(&rejection, &handshake);
            Err(Box::new(rejection.code()))
        }
    }
}

async fn admit<A: Adapter, T: Send + Sync + 'static>(
    bridge: &SessionBridge<T>,
    socket: &Arc<Socket<A>>,
    handshake: &Handshake<'_>,
    on_end: Option<&OnEnd<A>>,
) -> Result<(), SessionRejection> {
    let live = Arc::new(IoSocket::<A, T> {
        socket: Arc::downgrade(socket),
        seen: AtomicBool::new(false),
        on_end: on_end.map(|hook| hook.0.clone()),
        data: std::marker::PhantomData,
    });
    let attachment = bridge.admit(handshake, live).await?;
    socket.join(attachment.id().room());
    // Whoever ended the session before the room was joined could not take the socket out of it.
    if attachment.end_reason().is_some() {
        socket.leave_all();
        return Err(SessionRejection::gone(attachment.id()));
    }
    let attached = Attached::Session(Arc::new(attachment));
    socket.extensions.insert(attached);
    Ok(())
}

/// The bytes of the payload as they came, before anything parses them.
#[allow(clippy::ref_option, reason = "this is how socketioxide hands it to us")]
fn size_of_payload(auth: &Option<Value>) -> usize {
    match auth {
        None => 0,
        Some(Value::Str(text, _)) => text.len(),
        Some(Value::Bytes(bytes)) => bytes.len(),
    }
}

/// A socket as the live sessions see it. It does not keep the socket alive.
struct IoSocket<A: Adapter, T> {
    socket: Weak<Socket<A>>,
    seen: AtomicBool,
    on_end: Option<Arc<EndHook<A>>>,
    data: std::marker::PhantomData<fn() -> T>,
}

impl<A: Adapter, T: Send + Sync + 'static> LiveSocket for IoSocket<A, T> {
    fn presence(&self) -> Presence {
        let Some(socket) = self.socket.upgrade() else {
            return Presence::Gone;
        };
        // A client may have come back with the same id: it must be the very same socket.
        let found = socket.broadcast().get_socket(socket.id);
        let is_here =
            found.is_some_and(|found| std::ptr::eq(&raw const *found, Arc::as_ptr(&socket)));
        let was_here = self.seen.fetch_or(is_here, Ordering::SeqCst);
        match (is_here, socket.connected()) {
            (_, true) => Presence::Connected,
            (true, false) if was_here => Presence::Leaving,
            (false, false) if was_here => Presence::Gone,
            (_, false) => Presence::Connecting,
        }
    }

    fn seen(&self) {
        self.seen.store(true, Ordering::SeqCst);
    }

    fn leave_rooms(&self) {
        if let Some(socket) = self.socket.upgrade() {
            socket.leave_all();
        }
    }

    fn disconnect(&self) {
        if let Some(socket) = self.socket.upgrade() {
            // It fails when the client does not read; the presence tells.
            let _ = socket.disconnect();
        }
    }

    fn release(&self) {
        if let Some(socket) = self.socket.upgrade() {
            socket.extensions.remove::<Attached<T>>();
        }
    }

    fn last_word(&self, reason: EndReason) -> Option<Job> {
        let hook = self.on_end.clone()?;
        let socket = SocketRef::from(self.socket.upgrade()?);
        Some(Box::new(move || hook(socket, reason)))
    }
}

/// Why a handler got no session of its socket. Its text is one of the codes, as it may be sent to a
/// client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SocketSessionError {
    /// The session has ended.
    #[error("NO_SESSION")]
    Ended,
    /// The socket has no session; the handler takes [`Session`], and [`MaybeSession`] would be right.
    #[error("NO_SESSION")]
    Anonymous,
    /// The namespace has no session middleware for this type of session: the log says so.
    #[error("NO_SESSION")]
    MissingMiddleware,
}

fn attached<A: Adapter, T: Send + Sync + 'static>(
    socket: &Arc<Socket<A>>,
) -> Result<Option<Arc<Attachment<T>>>, SocketSessionError> {
    match socket.extensions.get::<Attached<T>>() {
        Some(Attached::Session(attachment)) => Ok(Some(attachment)),
        Some(Attached::Anonymous) => Ok(None),
        None => {
            tracing::error!(
                data = type_name::<T>(),
                namespace = socket.ns(),
                "a handler takes a session, but its namespace has no session middleware"
            );
            Err(SocketSessionError::MissingMiddleware)
        }
    }
}

/// The session that a handler may act for: one that has not ended.
fn live_session<A: Adapter, T: Send + Sync + 'static>(
    socket: &Arc<Socket<A>>,
) -> Result<Option<Session<T>>, SocketSessionError> {
    let Some(attachment) = attached::<A, T>(socket)? else {
        return Ok(None);
    };
    if socket.connected() {
        attachment.socket().seen();
    }
    let session = Session::of(&attachment);
    if session.has_ended() {
        return Err(SocketSessionError::Ended);
    }
    session.used();
    Ok(Some(session))
}

/// The session that a socket had: a disconnect handler cleans up after a session that has ended, too.
fn last_session<A: Adapter, T: Send + Sync + 'static>(
    socket: &Arc<Socket<A>>,
) -> Result<Option<Session<T>>, SocketSessionError> {
    let attachment = attached::<A, T>(socket)?;
    Ok(attachment.map(|attachment| Session::of(&attachment)))
}

/// When this extractor fails in a connect handler, it disconnects the socket: the client is connected
/// by then, and would stay so without a handler.
impl<A: Adapter, T: Send + Sync + 'static> FromConnectParts<A> for MaybeSession<T> {
    type Error = SocketSessionError;

    fn from_connect_parts(socket: &Arc<Socket<A>>, _: &Option<Value>) -> Result<Self, Self::Error> {
        live_session(socket).map(Self).inspect_err(|_| {
            // In another middleware, before that, a rejection is enough.
            if socket.connected() {
                let _ = socket.clone().disconnect();
            }
        })
    }
}

/// When this extractor fails in a connect handler, it disconnects the socket: the client is connected
/// by then, and would stay so without a handler.
impl<A: Adapter, T: Send + Sync + 'static> FromConnectParts<A> for Session<T> {
    type Error = SocketSessionError;

    fn from_connect_parts(
        socket: &Arc<Socket<A>>,
        auth: &Option<Value>,
    ) -> Result<Self, Self::Error> {
        let MaybeSession(session) = MaybeSession::from_connect_parts(socket, auth)?;
        session.ok_or_else(|| {
            if socket.connected() {
                let _ = socket.clone().disconnect();
            }
            SocketSessionError::Anonymous
        })
    }
}

impl<A: Adapter, T: Send + Sync + 'static> FromMessageParts<A> for MaybeSession<T> {
    type Error = SocketSessionError;

    fn from_message_parts(
        socket: &Arc<Socket<A>>,
        _: &mut Value,
        _: &Option<i64>,
    ) -> Result<Self, Self::Error> {
        live_session(socket).map(Self)
    }
}

impl<A: Adapter, T: Send + Sync + 'static> FromMessageParts<A> for Session<T> {
    type Error = SocketSessionError;

    fn from_message_parts(
        socket: &Arc<Socket<A>>,
        _: &mut Value,
        _: &Option<i64>,
    ) -> Result<Self, Self::Error> {
        live_session(socket)?.ok_or(SocketSessionError::Anonymous)
    }
}

/// In a disconnect handler the session may have ended: that may be why the socket disconnects. The
/// handle then tells what was known last, and [`has_ended`](Session::has_ended).
impl<A: Adapter, T: Send + Sync + 'static> FromDisconnectParts<A> for MaybeSession<T> {
    type Error = SocketSessionError;

    fn from_disconnect_parts(
        socket: &Arc<Socket<A>>,
        _: DisconnectReason,
    ) -> Result<Self, Self::Error> {
        last_session(socket)
            .map(Self)
            .inspect_err(|_| remove(socket))
    }
}

/// As for [`MaybeSession`]: a session that has ended is no error here.
impl<A: Adapter, T: Send + Sync + 'static> FromDisconnectParts<A> for Session<T> {
    type Error = SocketSessionError;

    fn from_disconnect_parts(
        socket: &Arc<Socket<A>>,
        reason: DisconnectReason,
    ) -> Result<Self, Self::Error> {
        let MaybeSession(session) = MaybeSession::from_disconnect_parts(socket, reason)?;
        session.ok_or_else(|| {
            remove(socket);
            SocketSessionError::Anonymous
        })
    }
}

/// socketioxide does not remove a socket whose disconnect handler could not be called. A second
/// `disconnect` finds no handler any more, and removes it.
fn remove<A: Adapter>(socket: &Arc<Socket<A>>) {
    let _ = socket.clone().disconnect();
}

impl<T: Send + Sync + 'static, H: Clone> Clone for RequireSession<T, H> {
    fn clone(&self) -> Self {
        Self {
            bridge: self.bridge.clone(),
            on_end: self.on_end.clone(),
        }
    }
}

impl<T: Send + Sync + 'static, H: Clone> Clone for OptionalSession<T, H> {
    fn clone(&self) -> Self {
        Self {
            bridge: self.bridge.clone(),
            on_end: self.on_end.clone(),
        }
    }
}

impl<A: Adapter> Clone for OnEnd<A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Send + Sync + 'static, H> fmt::Debug for RequireSession<T, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequireSession").finish_non_exhaustive()
    }
}

impl<T: Send + Sync + 'static, H> fmt::Debug for OptionalSession<T, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OptionalSession").finish_non_exhaustive()
    }
}

impl<A: Adapter> fmt::Debug for OnEnd<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnEnd").finish_non_exhaustive()
    }
}
