//! Ties extractor, store and live sessions together.

mod builder;
mod report;
mod transports;

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

pub use builder::SessionBridgeBuilder;

use crate::{
    extractor::SessionIdExtractor,
    handshake::Handshake,
    hook::HookThread,
    id::SessionId,
    live::{Live, LoadError, UpdateError},
    rejection::SessionRejection,
    session::Session,
    store::{Created, SessionStore, StoreError, StoreErrorKind},
    transport::Transports,
};

type OnRejection = dyn Fn(&SessionRejection, &Handshake<'_>) + Send + Sync;

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
    warned: Warned,
}

/// What the operator was told once.
#[derive(Default)]
struct Warned {
    no_layer: AtomicBool,
    hidden_sid: AtomicBool,
}

impl<T: Send + Sync + 'static> SessionBridge<T> {
    /// Begins to build a bridge.
    pub fn builder(
        extractor: impl SessionIdExtractor,
        store: impl SessionStore<Data = T>,
    ) -> SessionBridgeBuilder<T> {
        SessionBridgeBuilder::new(extractor, store)
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
    /// [`SessionLayer::insecure_unbound_sid`](crate::http::SessionLayer::insecure_unbound_sid). For metrics.
    #[must_use]
    pub fn bound_transports(&self) -> usize {
        self.inner.transports.bound_count()
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
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

fn refused(id: &SessionId, error: LoadError) -> SessionRejection {
    match error {
        LoadError::Gone => SessionRejection::gone(id),
        LoadError::Store(error) => SessionRejection::StoreError(error),
    }
}
