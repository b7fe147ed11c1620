//! Ties extractor, store and live sessions together.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::request::Parts;

use crate::{
    extractor::{OriginPolicy, SessionIdExtractor},
    handshake::Handshake,
    hook::HookThread,
    id::SessionId,
    live::{Attachment, Config, Live, LiveSocket, LoadError, UpdateError},
    rejection::{NoSessionReason, SessionRejection},
    session::Session,
    store::{Created, GuardedStore, SessionStore, StoreError, StoreErrorKind},
    transport::{Spent, Transport, Transports},
};

type OnRejection = dyn Fn(&SessionRejection, &Handshake<'_>) + Send + Sync;

const DAY: Duration = Duration::from_hours(24);
/// No setting is longer: clocks can't express everything that a `Duration` can.
const LONGEST: Duration = Duration::from_hours(100 * 365 * 24);
/// How often another id is tried when one is taken, which 128 random bits never are.
const CREATE_ATTEMPTS: usize = 3;

/// Brings the sessions of HTTP to Socket.IO: an extractor that says who a client is, and a store
/// that says what is known of it. Cheap to clone; one for an application.
pub struct SessionBridge<T: Send + Sync + 'static> {
    inner: Arc<Inner<T>>,
}

struct Inner<T> {
    live: Live<T>,
    extractor: Box<dyn SessionIdExtractor>,
    on_rejection: Option<Arc<OnRejection>>,
    hooks: Arc<HookThread>,
    transports: Transports<T>,
    warned: AtomicBool,
}

impl<T: Send + Sync + 'static> SessionBridge<T> {
    /// Begins to build a bridge.
    pub fn builder(
        extractor: impl SessionIdExtractor,
        store: impl SessionStore<Data = T>,
    ) -> SessionBridgeBuilder<T> {
        SessionBridgeBuilder {
            extractor: Box::new(extractor),
            store: Arc::new(store),
            store_timeout: Duration::from_secs(2),
            on_rejection: None,
            config: Config {
                ttl: DAY,
                revalidate_every: Duration::from_mins(1),
                max_stale: Duration::from_mins(5),
                touch_every: None,
            },
        }
    }

    /// Finds the session of a handshake.
    ///
    /// # Errors
    ///
    /// When there is none, or it can't be known. The rejection is logged, and given to the hook.
    pub async fn resolve(&self, handshake: &Handshake<'_>) -> Result<Session<T>, SessionRejection> {
        let resolved = async {
            let id = self.identify(handshake)?;
            let view = self.inner.live.resolve(&id).await;
            let view = view.map_err(|error| refused(&id, error))?;
            Ok(Session::new(self.inner.live.clone(), id, view))
        };
        let session = resolved
            .await
            .inspect_err(|rejection| self.report(rejection, handshake))?;
        session.used();
        Ok(session)
    }

    /// Makes a new session that lives for the bridge's [`ttl`](SessionBridgeBuilder::ttl).
    ///
    /// # Errors
    ///
    /// When the store fails, or the operating system has no randomness.
    pub async fn create(&self, data: T) -> Result<Session<T>, StoreError> {
        self.create_for(data, self.inner.live.config().ttl).await
    }

    /// Makes a new session that lives for `ttl`. (With
    /// [`touch_on_activity`](SessionBridgeBuilder::touch_on_activity), a use lets it live for the
    /// bridge's `ttl` at least.)
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create).
    pub async fn create_for(&self, data: T, ttl: Duration) -> Result<Session<T>, StoreError> {
        for _ in 0..CREATE_ATTEMPTS {
            let id = new_id()?;
            if self.inner.live.store().create(&id, &data, ttl).await? == Created::Created {
                let view = self.inner.live.view_of_created(&id, data, ttl);
                return Ok(Session::new(self.inner.live.clone(), id, view));
            }
        }
        let why = "every new session id was taken";
        Err(StoreError::new(StoreErrorKind::Other, why))
    }

    /// Gives a session a new id, and gives a handle on it: to be done at login and at each change of
    /// rights, so that an id which somebody else knew, or planted, before is worth nothing after.
    ///
    /// The sockets of the old id end: here as `Rotated`, on other nodes as `Deleted`. Give the client
    /// the new credential, and let it connect again.
    ///
    /// # Errors
    ///
    /// When the session has ended, or the store fails. After a failure of the store, the session may
    /// be gone.
    pub async fn rotate(&self, session: &Session<T>) -> Result<Session<T>, UpdateError> {
        let new = new_id().map_err(UpdateError::Store)?;
        let view = self
            .inner
            .live
            .rotate(session.id(), &new, session.view())
            .await?;
        Ok(Session::new(self.inner.live.clone(), new, view))
    }

    /// Ends a session by its id, as [`Session::end`] does.
    ///
    /// # Errors
    ///
    /// When the store fails; see [`Session::end`].
    pub async fn end(&self, id: &SessionId) -> Result<(), StoreError> {
        self.inner.live.end(id).await
    }

    /// How many sessions this node keeps an eye on: those with sockets here, and those that somebody
    /// waits for. For metrics.
    #[must_use]
    pub fn live_sessions(&self) -> usize {
        self.inner.live.session_count()
    }

    /// How many sockets of sessions are open here. For metrics.
    #[must_use]
    pub fn live_sockets(&self) -> usize {
        self.inner.live.socket_count()
    }

    /// How many polling transports are bound to their sessions, see
    /// [`SessionLayer::insecure_unbound_sid`](crate::SessionLayer::insecure_unbound_sid). For metrics.
    #[must_use]
    pub fn bound_transports(&self) -> usize {
        self.inner.transports.bound_count()
    }

    /// Lets a socket in: found, registered, and known to be live.
    pub(crate) async fn admit(
        &self,
        handshake: &Handshake<'_>,
        transport: Option<&Transport<T>>,
        socket: Arc<dyn LiveSocket>,
    ) -> Result<Attachment<T>, SessionRejection> {
        let id = self.identify(handshake)?;
        let Some(transport) = transport else {
            self.warn_without_layer();
            let admitted = self.inner.live.admit(&id, socket).await;
            return admitted.map_err(|error| refused(&id, error));
        };
        let asking = transport.budget.ask(&id).await.map_err(too_often)?;
        let admitted = self.inner.live.admit(&id, socket).await;
        match &admitted {
            Ok(_) => asking.admitted(),
            Err(LoadError::Gone) => {
                asking.gone();
                self.inner.transports.release(transport, &id);
            }
            Err(LoadError::Store(_)) => asking.failed(),
        }
        admitted.map_err(|error| refused(&id, error))
    }

    /// The session that the opening request of a transport shows by itself: what comes in the `auth`
    /// payload comes only once. Nobody has asked whether there is such a session.
    pub(crate) fn opener(&self, opening: &Parts) -> Option<SessionId> {
        let handshake = Handshake::from_parts(opening).as_continuation();
        self.identify(&handshake).ok()
    }

    /// Binds a polling transport to the session that it was opened with.
    pub(crate) fn bind(&self, transport: &Transport<T>, sid: &str, id: &SessionId) {
        self.inner.transports.bind(transport, sid, id);
    }

    /// The session of a polling transport has connected.
    pub(crate) fn connected(
        &self,
        transport: &Transport<T>,
        sid: &str,
        session: &Attachment<T>,
        opening: &Parts,
    ) {
        let transports = &self.inner.transports;
        // Something between the layer and Socket.IO has hidden the `sid` from the layer.
        if !transports.is_bound(sid) && self.opener(opening).as_ref() == Some(session.id()) {
            transports.bind(transport, sid, session.id());
        }
        transports.connected(sid, session.id(), &session.view().end);
    }

    /// Whether a request may act for the transport with this `sid`: nobody's, or its own.
    pub(crate) fn may_continue(&self, sid: &str, handshake: &Handshake<'_>) -> bool {
        let transports = &self.inner.transports;
        if !transports.is_bound(sid) {
            return true;
        }
        let rejection = match self.identify(handshake) {
            Ok(id) if transports.is_owner(sid, &id) => return true,
            Ok(_) => SessionRejection::NoSession(NoSessionReason::ForeignTransport),
            Err(rejection) => rejection,
        };
        self.report(&rejection, handshake);
        false
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    fn warn_without_layer(&self) {
        if !self.inner.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "a Socket.IO transport did not pass through `SessionBridge::layer`, so its `sid` is \
                 not bound to its session, and nothing bounds how often it asks the store: add the \
                 layer outside of the one of Socket.IO"
            );
        }
    }

    /// Tells the operator of a rejection: what the client sees, and why. Never a secret.
    pub(crate) fn report(&self, rejection: &SessionRejection, handshake: &Handshake<'_>) {
        log(rejection, handshake);
        let Some(hook) = self.inner.on_rejection.clone() else {
            return;
        };
        let rejection = rejection.clone();
        let parts = handshake.parts().clone();
        let namespace = handshake.namespace().map(str::to_owned);
        let (socket_io, continuation) = (handshake.is_socket_io(), handshake.is_continuation());
        self.inner.hooks.run(Box::new(move || {
            let mut handshake = Handshake::from_parts(&parts);
            if socket_io {
                handshake = handshake.as_transport();
            }
            if continuation {
                handshake = handshake.as_continuation();
            }
            if let Some(namespace) = &namespace {
                handshake = handshake.with_namespace(namespace);
            }
            hook(&rejection, &handshake);
        }));
    }

    fn identify(&self, handshake: &Handshake<'_>) -> Result<SessionId, SessionRejection> {
        let extract = || self.inner.extractor.extract(handshake);
        match catch_unwind(AssertUnwindSafe(extract)) {
            Ok(id) => Ok(id?),
            Err(_panic) => {
                let error = StoreError::panicked("the session id extractor");
                Err(SessionRejection::StoreError(error))
            }
        }
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

fn new_id() -> Result<SessionId, StoreError> {
    SessionId::generate().map_err(|error| StoreError::new(StoreErrorKind::Other, error))
}

fn too_often(spent: Spent) -> SessionRejection {
    match spent {
        Spent::Gone => SessionRejection::NoSession(NoSessionReason::TooManyAttempts),
        Spent::Failing => {
            let why = "the store fails, and was asked often enough for this transport";
            SessionRejection::StoreError(StoreError::new(StoreErrorKind::Unavailable, why))
        }
    }
}

fn refused(id: &SessionId, error: LoadError) -> SessionRejection {
    match error {
        LoadError::Gone => SessionRejection::gone(id),
        LoadError::Store(error) => SessionRejection::StoreError(error),
    }
}

fn log(rejection: &SessionRejection, handshake: &Handshake<'_>) {
    let code = rejection.code();
    let cause = std::error::Error::source(rejection).map(|cause| Causes(cause).to_string());
    let (cause, session) = (cause.as_deref(), rejection.fingerprint());
    let namespace = handshake.namespace();
    match rejection {
        SessionRejection::Forbidden(_) => {
            let advice = OriginPolicy::advice(handshake).map(tracing::field::display);
            tracing::warn!(code, cause, advice, namespace, "session rejected");
        }
        SessionRejection::StoreError(_) => {
            tracing::error!(code, cause, session, namespace, "session rejected");
        }
        SessionRejection::NoCookie | SessionRejection::NoToken => {
            tracing::debug!(code, cause, session, namespace, "session rejected");
        }
        _ => tracing::info!(code, cause, session, namespace, "session rejected"),
    }
}

/// An error and what caused it, in one line.
struct Causes<'a>(&'a (dyn std::error::Error + 'static));

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut next = self.0.source();
        while let Some(cause) = next {
            write!(f, ": {cause}")?;
            next = cause.source();
        }
        Ok(())
    }
}

/// Builds a [`SessionBridge`].
#[must_use]
pub struct SessionBridgeBuilder<T> {
    extractor: Box<dyn SessionIdExtractor>,
    store: Arc<dyn SessionStore<Data = T>>,
    store_timeout: Duration,
    on_rejection: Option<Arc<OnRejection>>,
    config: Config,
}

impl<T: Send + Sync + 'static> SessionBridgeBuilder<T> {
    /// How long a session lives after it was made or touched; a day, if not set.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.config.ttl = ttl;
        self
    }

    /// How long each call of the store may take; 2 s, if not set. A call that takes longer is
    /// dropped, and fails with [`Timeout`](StoreErrorKind::Timeout).
    pub fn store_timeout(mut self, timeout: Duration) -> Self {
        self.store_timeout = timeout;
        self
    }

    /// How often the store is asked about each live session, a fifth more or less; 60 s, if not set,
    /// and at least 10 ms. This is how soon a logout elsewhere is noticed when the store reports no
    /// changes, or a report was lost.
    pub fn revalidate_every(mut self, interval: Duration) -> Self {
        self.config.revalidate_every = interval.clamp(Duration::from_millis(10), LONGEST);
        self
    }

    /// How long a live session goes on while the store can't be asked about it; 5 minutes, if not
    /// set. Then it ends with [`StoreUnreachable`](crate::EndReason::StoreUnreachable).
    pub fn max_stale(mut self, max_stale: Duration) -> Self {
        self.config.max_stale = max_stale.min(LONGEST);
        self
    }

    /// Keeps a session alive that is used: an event or an HTTP request which takes it touches it, at
    /// most once per `interval`. The touches are collected and written together. A session that
    /// lives longer than [`ttl`](Self::ttl) is not shortened. If not set, only
    /// [`touch`](Session::touch) does.
    pub fn touch_on_activity(mut self, interval: Duration) -> Self {
        self.config.touch_every = Some(interval);
        self
    }

    /// Calls `hook` for every rejection, for metrics or an audit log. It runs on a thread of its own
    /// after the client has its answer, so it may block; when a thousand wait, further ones are
    /// dropped with a warning. The handshake it sees has no `auth` payload.
    pub fn on_rejection(
        mut self,
        hook: impl Fn(&SessionRejection, &Handshake<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.on_rejection = Some(Arc::new(hook));
        self
    }

    /// Builds the bridge.
    #[must_use]
    pub fn build(self) -> SessionBridge<T> {
        let hooks = Arc::new(HookThread::default());
        let store = GuardedStore::new(self.store, self.store_timeout);
        SessionBridge {
            inner: Arc::new(Inner {
                live: Live::new(store, self.config, hooks.clone()),
                extractor: self.extractor,
                on_rejection: self.on_rejection,
                hooks,
                transports: Transports::default(),
                warned: AtomicBool::new(false),
            }),
        }
    }
}

impl<T> fmt::Debug for SessionBridgeBuilder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionBridgeBuilder")
            .field("store_timeout", &self.store_timeout)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
