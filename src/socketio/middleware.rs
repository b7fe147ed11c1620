//! The connect middleware.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use socketioxide::{
    adapter::Adapter,
    extract::{Data, SocketRef},
    handler::{ConnectMiddleware, FromConnectParts},
    socket::Socket,
};
use socketioxide_core::Value;
use tracing::Instrument as _;

use super::{
    attached::Attached,
    by_session::BySession,
    end_hook_for::EndHookFor,
    no_hook::NoHook,
    on_end::OnEnd,
    socket::{IoSocket, seat_of},
};
use crate::{
    bridge::SessionBridge,
    handshake::{AuthPayload, Handshake},
    live::{Attachment, EndReason, LiveSocket},
    observe::{self, Stopwatch, target},
    rejection::SessionRejection,
    request::LayeredRequest,
};

impl<T: Send + Sync + 'static> SessionBridge<T> {
    /// A connect middleware that admits only clients with a session:
    /// `io.ns("/", on_connect.with(sessions.require()))`. Others get one of the five codes of
    /// [`SessionRejection`] as their `connect_error`.
    ///
    /// Further middlewares can take [`Session`](crate::Session) when they run later, and socketioxide
    /// runs the last one named first: `on_connect.with(admins_only).with(sessions.require())`.
    ///
    /// ```
    /// use socketioxide::{SocketIo, extract::SocketRef, handler::ConnectHandler};
    /// use socketioxide_session::{Session, SessionBridge};
    ///
    /// async fn on_connect(socket: SocketRef, session: Session<String>) {
    ///     socket.emit("hello", session.data()).ok();
    /// }
    ///
    /// fn add(io: &SocketIo, sessions: &SessionBridge<String>) {
    ///     io.ns("/", on_connect.with(sessions.require()));
    /// }
    /// # let _ = add;
    /// ```
    pub fn require(&self) -> SessionMiddleware<T> {
        SessionMiddleware::new(self.clone(), Admits::Required)
    }

    /// A connect middleware that admits clients without a session, too: those that bring no
    /// credential, or one that is not valid or whose session is gone, and pages of a foreign origin,
    /// whose cookie does not count. Handlers take [`MaybeSession`](crate::MaybeSession). Only a
    /// failure of the store rejects.
    ///
    /// A foreign page can open this namespace from a visitor's browser, on a private server, too. To
    /// refuse that, see [`own_origins_only`](SessionMiddleware::own_origins_only).
    ///
    /// ```
    /// use socketioxide::{SocketIo, extract::SocketRef, handler::ConnectHandler};
    /// use socketioxide_session::{MaybeSession, SessionBridge};
    ///
    /// async fn on_lobby(socket: SocketRef, MaybeSession(session): MaybeSession<String>) {
    ///     let name = session.map(|session| session.data().clone());
    ///     socket.emit("hello", &name.unwrap_or("guest".into())).ok();
    /// }
    ///
    /// fn add(io: &SocketIo, sessions: &SessionBridge<String>) {
    ///     io.ns("/lobby", on_lobby.with(sessions.optional()));
    /// }
    /// # let _ = add;
    /// ```
    pub fn optional(&self) -> SessionMiddleware<T> {
        SessionMiddleware::new(self.clone(), Admits::Optional)
    }
}

/// The connect middleware of [`SessionBridge::require`] and [`SessionBridge::optional`].
///
/// ```
/// use socketioxide::{SocketIo, extract::SocketRef, handler::ConnectHandler};
/// use socketioxide_session::{EndReason, MaybeSession, Session};
/// # use socketioxide_session::{Keyring, MemoryStore, SecretKey, SessionBridge, SignedCookie};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let keys = Keyring::new(SecretKey::generate()?);
/// # let cookie = SignedCookie::new("sid", &keys)?;
/// # let sessions = SessionBridge::builder(cookie, MemoryStore::<String>::new()).build()?;
/// let (layer, io) = SocketIo::new_layer();
/// let tell = |socket: SocketRef, reason: EndReason| {
///     socket.emit("ended", reason.as_str()).ok();
/// };
/// let on_connect = async |_: SocketRef, user: Session<String>| println!("{}", user.data());
/// io.ns("/", on_connect.with(sessions.require().on_end(tell)));
/// let on_lobby = async |_: SocketRef, _: MaybeSession<String>| ();
/// io.ns("/lobby", on_lobby.with(sessions.optional()));
/// # drop(layer);
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct SessionMiddleware<T: Send + Sync + 'static, H = NoHook> {
    bridge: SessionBridge<T>,
    admits: Admits,
    on_end: H,
}

/// Whether a client needs a session.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Admits {
    Required,
    Optional,
    OptionalOfOwnOrigins,
}

impl<T: Send + Sync + 'static> SessionMiddleware<T> {
    fn new(bridge: SessionBridge<T>, admits: Admits) -> Self {
        Self {
            bridge,
            admits,
            on_end: NoHook,
        }
    }

    /// Calls `hook` for each socket before it is disconnected because its session has ended, for a
    /// message to the client.
    ///
    /// It runs on a thread for blocking work. When it takes longer than half a second, the socket is
    /// disconnected without waiting for it.
    ///
    /// ```
    /// # use socketioxide::{SocketIo, extract::SocketRef, handler::ConnectHandler};
    /// # use socketioxide_session::{EndReason, Session, SessionBridge};
    /// async fn on_connect(socket: SocketRef, session: Session<String>) {
    ///     socket.emit("hello", session.data()).ok();
    /// }
    ///
    /// fn add(io: &SocketIo, sessions: &SessionBridge<String>) {
    ///     let gate = sessions.require().on_end(|socket: SocketRef, reason: EndReason| {
    ///         socket.emit("ended", reason.as_str()).ok();
    ///     });
    ///     io.ns("/", on_connect.with(gate));
    /// }
    /// # let _ = add;
    /// ```
    pub fn on_end<A: Adapter>(
        self,
        hook: impl Fn(SocketRef<A>, EndReason) + Send + Sync + 'static,
    ) -> SessionMiddleware<T, OnEnd<A>> {
        SessionMiddleware {
            bridge: self.bridge,
            admits: self.admits,
            on_end: OnEnd(Arc::new(Box::new(hook))),
        }
    }
}

impl<T: Send + Sync + 'static, H> SessionMiddleware<T, H> {
    /// Rejects pages of a foreign origin as `FORBIDDEN` also where a session is
    /// [optional](SessionBridge::optional).
    ///
    /// ```
    /// use socketioxide::{SocketIo, extract::SocketRef, handler::ConnectHandler};
    /// use socketioxide_session::{MaybeSession, SessionBridge};
    ///
    /// fn add(io: &SocketIo, sessions: &SessionBridge<String>) {
    ///     let on_connect = async |_: SocketRef, _: MaybeSession<String>| ();
    ///     io.ns("/intranet", on_connect.with(sessions.optional().own_origins_only()));
    /// }
    /// # let _ = add;
    /// ```
    pub fn own_origins_only(mut self) -> Self {
        if self.admits == Admits::Optional {
            self.admits = Admits::OptionalOfOwnOrigins;
        }
        self
    }
}

type MiddlewareResult = Result<(), Box<dyn fmt::Display + Send>>;

impl<A, T, H> ConnectMiddleware<A, BySession> for SessionMiddleware<T, H>
where
    A: Adapter,
    T: Send + Sync + 'static,
    H: EndHookFor<A> + Clone,
{
    async fn call<'a>(
        &'a self,
        socket: Arc<Socket<A>>,
        auth: &'a Option<Value>,
    ) -> MiddlewareResult {
        let decision = self.decide(&socket, auth);
        match observe::admission_span(socket.ns()) {
            // Boxed, because it is rare and would make the future of every admission larger.
            Some(span) => Box::pin(decision.instrument(span)).await,
            None => decision.await,
        }
    }
}

impl<T: Send + Sync + 'static, H> SessionMiddleware<T, H> {
    /// Admits the socket, or returns the code for its client.
    #[allow(clippy::ref_option, reason = "this is how socketioxide hands it to us")]
    async fn decide<A: Adapter>(
        &self,
        socket: &Arc<Socket<A>>,
        auth: &Option<Value>,
    ) -> MiddlewareResult
    where
        H: EndHookFor<A>,
    {
        let began = Stopwatch::start();
        let decode = || {
            Data::from_connect_parts(socket, auth)
                .ok()
                .map(|Data(fields)| fields)
        };
        let payload = match auth {
            Some(Value::Str(json, _)) => AuthPayload::json(json.as_bytes()),
            _ => AuthPayload::encoded(size_of_payload(auth), &decode),
        };
        let handshake = Handshake::from_parts(socket.req_parts())
            .with_namespace(socket.ns())
            .with_auth(&payload);
        match admit(&self.bridge, socket, &handshake, self.on_end.hook()).await {
            Ok(attachment) => {
                // Should the session have ended by now, its socket is retired, and the extractors of the
                // connect handler find the end.
                let attachment = Arc::new(attachment);
                attach(socket, |earlier| Attached::Session {
                    attachment: attachment.clone(),
                    earlier,
                });
                observe::admitted("session", began);
                Ok(())
            }
            Err(rejection) if self.admits_without_session(&rejection, &handshake) => {
                self.bridge.note_anonymous(&rejection, &handshake);
                attach::<A, T>(socket, |earlier| Attached::Anonymous { earlier });
                observe::admitted("anonymous", began);
                Ok(())
            }
            Err(rejection) => {
                self.bridge.report(&rejection, &handshake);
                observe::not_admitted(began);
                Err(Box::new(rejection.code()))
            }
        }
    }
}

impl<T: Send + Sync + 'static, H> SessionMiddleware<T, H> {
    fn admits_without_session(
        &self,
        rejection: &SessionRejection,
        handshake: &Handshake<'_>,
    ) -> bool {
        match self.admits {
            Admits::Required => false,
            Admits::Optional => rejection.is_anonymous() || rejection.is_forbidden(),
            // A foreign page may bring a bad credential of its own.
            Admits::OptionalOfOwnOrigins => {
                rejection.is_anonymous() && self.bridge.check_origin(handshake).is_ok()
            }
        }
    }
}

async fn admit<A: Adapter, T: Send + Sync + 'static>(
    bridge: &SessionBridge<T>,
    socket: &Arc<Socket<A>>,
    handshake: &Handshake<'_>,
    on_end: Option<&OnEnd<A>>,
) -> Result<Attachment<T>, SessionRejection> {
    LayeredRequest::connects(bridge, socket.req_parts(), socket.id.as_str());
    // An earlier socket with this sid no longer acts on the seat.
    bridge.succeed(|| seat_of(socket)).await?;
    let on_end = on_end.map(|hook| hook.0.clone());
    let live: Arc<dyn LiveSocket> = Arc::new(IoSocket::<A, T>::new(socket, on_end));
    let attachment = bridge.admit(handshake, &live).await?;
    LayeredRequest::admitted(
        bridge,
        socket.req_parts(),
        socket.id.as_str(),
        attachment.id(),
    );
    Ok(attachment)
}

/// Leaves the session in the socket, beside what the middleware of another bridge left there.
fn attach<A: Adapter, T: Send + Sync + 'static>(
    socket: &Socket<A>,
    attached: impl Fn(Option<Arc<Attached<T>>>) -> Attached<T>,
) {
    let earlier = socket.extensions.insert(attached(None));
    if let Some(earlier) = earlier {
        warn_of_two_bridges(socket.ns());
        socket.extensions.insert(attached(Some(Arc::new(earlier))));
    }
}

fn warn_of_two_bridges(namespace: &str) {
    static WARNED: AtomicBool = AtomicBool::new(false);
    if !WARNED.swap(true, Ordering::Relaxed) {
        tracing::warn!(
            target: target::SETUP,
            namespace,
            "a namespace has the middlewares of two session bridges for one type: its handlers get the \
             session of the one that runs last, and the end of either session disconnects the socket"
        );
    }
}

/// The bytes of the payload as they came, before any parsing.
#[allow(clippy::ref_option, reason = "this is how socketioxide hands it to us")]
fn size_of_payload(auth: &Option<Value>) -> usize {
    match auth {
        None => 0,
        Some(Value::Str(text, _)) => text.len(),
        Some(Value::Bytes(bytes)) => bytes.len(),
    }
}

impl<T: Send + Sync + 'static, H: Clone> Clone for SessionMiddleware<T, H> {
    fn clone(&self) -> Self {
        Self {
            bridge: self.bridge.clone(),
            admits: self.admits,
            on_end: self.on_end.clone(),
        }
    }
}

impl<T: Send + Sync + 'static, H> fmt::Debug for SessionMiddleware<T, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionMiddleware").finish_non_exhaustive()
    }
}
