//! The settings of a bridge.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use super::session_bridge::{OnRejection, SessionBridge};
use crate::{
    extractor::{Handshake, SessionIdExtractor},
    live::{MaxLifetime, TtlOf, Verify, VerifyError},
    rejection::SessionRejection,
    store::SessionStore,
};

const DEFAULT_STORE_TIMEOUT: Duration = Duration::from_secs(2);

/// Builds a [`SessionBridge`]; made by [`SessionBridge::builder`].
///
/// ```
/// use std::time::Duration;
/// # use socketioxide_session::{Keyring, MemoryStore, SecretKey, SessionBridge, SignedCookie};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let keys = Keyring::new(SecretKey::generate()?);
/// let cookie = SignedCookie::new("__Host-sid", &keys)?;
/// let sessions = SessionBridge::builder(cookie, MemoryStore::<String>::new())
///     .ttl(Duration::from_hours(12))
///     .max_stale(Duration::from_mins(10))
///     .build()?;
/// # drop(sessions);
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct SessionBridgeBuilder<T> {
    pub(super) extractor: Box<dyn SessionIdExtractor>,
    pub(super) store: Arc<dyn SessionStore<Data = T>>,
    pub(super) on_rejection: Option<Arc<OnRejection>>,
    pub(super) store_timeout: Duration,
    pub(super) ttl: Option<Duration>,
    pub(super) revalidate_every: Option<Duration>,
    pub(super) max_stale: Option<Duration>,
    pub(super) touch: Touch,
    pub(super) touch_while_connected: bool,
    pub(super) config: Closures<T>,
}

/// The effect of activity.
#[derive(Debug, Clone, Copy)]
pub(super) enum Touch {
    Default,
    Every(Duration),
    Never,
}

pub(super) struct Closures<T> {
    pub(super) ttl_of: Option<Arc<TtlOf<T>>>,
    pub(super) max_lifetime: Option<Arc<MaxLifetime<T>>>,
    pub(super) verify: Option<Arc<Verify<T>>>,
}

impl<T: Send + Sync + 'static> SessionBridge<T> {
    /// Begins to build a bridge.
    ///
    /// ```
    /// use socketioxide_session::{
    ///     EncryptedToken, Keyring, MemoryStore, SecretKey, SessionBridge, SessionIdExtractor, SignedCookie,
    /// };
    ///
    /// let keys = Keyring::new(SecretKey::generate()?);
    /// let credential = EncryptedToken::new("token", &keys)?.or(SignedCookie::new("__Host-sid", &keys)?);
    /// let sessions = SessionBridge::builder(credential, MemoryStore::<String>::new()).build()?;
    /// # drop(sessions);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn builder(
        extractor: impl SessionIdExtractor,
        store: impl SessionStore<Data = T>,
    ) -> SessionBridgeBuilder<T> {
        SessionBridgeBuilder::new(extractor, store)
    }
}

impl<T: Send + Sync + 'static> SessionBridgeBuilder<T> {
    pub(super) fn new(
        extractor: impl SessionIdExtractor,
        store: impl SessionStore<Data = T>,
    ) -> Self {
        Self {
            extractor: Box::new(extractor),
            store: Arc::new(store),
            on_rejection: None,
            store_timeout: DEFAULT_STORE_TIMEOUT,
            ttl: None,
            revalidate_every: None,
            max_stale: None,
            touch: Touch::Default,
            touch_while_connected: false,
            config: Closures {
                ttl_of: None,
                max_lifetime: None,
                verify: None,
            },
        }
    }

    /// Timeout for each call of the store; 2 s, if not set. A call that takes longer is dropped, and
    /// fails with [`Timeout`](crate::store::StoreErrorKind::Timeout).
    ///
    /// ```
    /// # use socketioxide_session::{Keyring, MemoryStore, SecretKey, SessionBridge, SignedCookie};
    /// # let cookie = SignedCookie::new("sid", &Keyring::new(SecretKey::generate()?))?;
    /// # let store = MemoryStore::<String>::new();
    /// use std::time::Duration;
    ///
    /// let sessions = SessionBridge::builder(cookie, store)
    ///     .store_timeout(Duration::from_millis(500))
    ///     .build()?;
    /// # drop(sessions);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn store_timeout(mut self, timeout: Duration) -> Self {
        self.store_timeout = timeout;
        self
    }

    /// Interval at which each live session is loaded again, a fifth more or less; 60 s, if not set.
    ///
    /// It bounds the time until a logout elsewhere is noticed when the store reports no changes, or a
    /// report was lost.
    ///
    /// ```
    /// # use socketioxide_session::{Keyring, MemoryStore, SecretKey, SessionBridge, SignedCookie};
    /// # let cookie = SignedCookie::new("sid", &Keyring::new(SecretKey::generate()?))?;
    /// # let store = MemoryStore::<String>::new();
    /// use std::time::Duration;
    ///
    /// let sessions = SessionBridge::builder(cookie, store)
    ///     .revalidate_every(Duration::from_secs(10)) // the store reports no changes
    ///     .build()?;
    /// # drop(sessions);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn revalidate_every(mut self, interval: Duration) -> Self {
        self.revalidate_every = Some(interval);
        self
    }

    /// Time for which a live session goes on while its loads fail, counted from its last good load; 5
    /// minutes, if not set, or twice [`revalidate_every`](Self::revalidate_every) if that is longer.
    ///
    /// Then it ends as [`StoreUnreachable`](crate::EndReason::StoreUnreachable), or as
    /// [`Unreadable`](crate::EndReason::Unreadable).
    ///
    /// ```
    /// # use socketioxide_session::{Keyring, MemoryStore, SecretKey, SessionBridge, SignedCookie};
    /// # let cookie = SignedCookie::new("sid", &Keyring::new(SecretKey::generate()?))?;
    /// # let store = MemoryStore::<String>::new();
    /// use std::time::Duration;
    ///
    /// let sessions = SessionBridge::builder(cookie, store)
    ///     .max_stale(Duration::from_hours(1)) // rather than signed out while Redis restarts
    ///     .build()?;
    /// # drop(sessions);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn max_stale(mut self, max_stale: Duration) -> Self {
        self.max_stale = Some(max_stale);
        self
    }

    /// Lets the application decide whether a session may go on, with every load that admits a client or
    /// revalidates a live session.
    ///
    /// `Ok(false)` refuses the session as `NO_SESSION` and ends its sockets as
    /// [`Revoked`](crate::EndReason::Revoked); an error, a panic, or no answer within
    /// [`store_timeout`](Self::store_timeout) is `STORE_ERROR`. Callers share the answer as they share
    /// the load. After a change that matters, call [`revalidate`](SessionBridge::revalidate).
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use socketioxide_session::{Keyring, MemoryStore, SecretKey, SessionBridge, SignedCookie};
    /// # struct Users;
    /// # impl Users { async fn is_active(&self, _: &str) -> Result<bool, std::io::Error> { Ok(true) } }
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let keys = Keyring::new(SecretKey::generate()?);
    /// # let cookie = SignedCookie::new("sid", &keys)?;
    /// # let users = Arc::new(Users);
    /// let sessions = SessionBridge::builder(cookie, MemoryStore::<String>::new())
    ///     .verify(move |name| {
    ///         let users = users.clone();
    ///         async move { users.is_active(&name).await }
    ///     })
    ///     .build()?;
    /// # drop(sessions);
    /// # Ok(())
    /// # }
    /// ```
    pub fn verify<F, Fut, E>(mut self, verify: F) -> Self
    where
        F: Fn(Arc<T>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<bool, E>> + Send + 'static,
        E: Into<VerifyError>,
    {
        self.config.verify = Some(Arc::new(move |data| {
            let verifying = verify(data);
            Box::pin(async move { verifying.await.map_err(Into::into) })
        }));
        self
    }

    /// Calls `hook` for every rejection, for metrics or an audit log.
    ///
    /// It runs on a thread for blocking work after the client has its answer, so it may block; while 64
    /// calls are running, further ones are dropped and counted in the log. The handshake that it gets
    /// has no `auth` payload.
    ///
    /// ```
    /// # use socketioxide_session::{Keyring, MemoryStore, SecretKey, SessionBridge, SignedCookie};
    /// # let cookie = SignedCookie::new("sid", &Keyring::new(SecretKey::generate()?))?;
    /// # let store = MemoryStore::<String>::new();
    /// let sessions = SessionBridge::builder(cookie, store)
    ///     .on_rejection(|rejection, handshake| {
    ///         println!("{} at {:?}", rejection.code(), handshake.namespace());
    ///     })
    ///     .build()?;
    /// # drop(sessions);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on_rejection(
        mut self,
        hook: impl Fn(&SessionRejection, &Handshake<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.on_rejection = Some(Arc::new(hook));
        self
    }
}

impl<T> fmt::Debug for SessionBridgeBuilder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionBridgeBuilder")
            .field("store_timeout", &self.store_timeout)
            .field("ttl", &self.ttl)
            .field("revalidate_every", &self.revalidate_every)
            .field("max_stale", &self.max_stale)
            .finish_non_exhaustive()
    }
}
