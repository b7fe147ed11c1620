//! The gate: the connect middlewares.

use std::{fmt, sync::Arc};

use socketioxide::{
    TransportType,
    adapter::Adapter,
    extract::{Data, SocketRef},
    handler::{ConnectMiddleware, FromConnectParts},
    socket::Socket,
};
use socketioxide_core::Value;

use super::{
    Attached,
    socket::{EndHook, IoSocket},
};
use crate::{
    bridge::SessionBridge,
    handshake::{AuthPayload, Handshake},
    live::EndReason,
    rejection::SessionRejection,
    request::LayeredRequest,
};

impl<T: Send + Sync + 'static> SessionBridge<T> {
    /// A connect middleware that lets in clients with a session only:
    /// `io.ns("/", on_connect.with(sessions.require()))`. Others get one of the five codes of
    /// [`SessionRejection`] as their `connect_error`.
    ///
    /// Further middlewares can take [`Session`](crate::Session) when they run later, and socketioxide
    /// runs the last one named first: `on_connect.with(admins_only).with(sessions.require())`.
    #[must_use]
    pub fn require(&self) -> RequireSession<T> {
        RequireSession {
            bridge: self.clone(),
            on_end: NoHook,
        }
    }

    /// A connect middleware that lets in clients without a session too: those that bring no
    /// credential, and those whose credential is no good or whose session is gone. Handlers take
    /// [`MaybeSession`](crate::MaybeSession). A refused origin and a failed store still reject.
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
    let on_end = on_end.map(|hook| hook.0.clone());
    let live = Arc::new(IoSocket::<A, T>::new(socket, on_end));
    let opening = LayeredRequest::of(socket.req_parts(), bridge);
    let transport = opening.map(|request| request.transport());
    let attachment = bridge.admit(handshake, transport, live).await?;
    socket.join(attachment.id().room());
    // Whoever ended the session before the room was joined could not take the socket out of it.
    if attachment.end_reason().is_some() {
        socket.leave_all();
        return Err(SessionRejection::gone(attachment.id()));
    }
    if let Some(transport) = transport
        && socket.transport_type() == TransportType::Polling
    {
        let sid = socket.id.as_str();
        bridge.connected(transport, sid, &attachment, socket.req_parts());
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
