//! The settings of a bridge.

use std::{
    fmt,
    future::Future,
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{
    advised::Advised,
    error::BridgeConfigError,
    session_bridge::{Inner, OnRejection, SessionBridge},
    sign_ins::SignIns,
};
use crate::{
    blocking::Blocking,
    extractor::{Handshake, SessionIdExtractor},
    live::{Config, LiveSessions, MaxLifetime, TouchEvery, TtlOf, Verify, VerifyError},
    rejection::SessionRejection,
    store::{GuardedStore, SessionStore},
    transport::Transports,
};

const DEFAULT_TTL: Duration = Duration::from_hours(24);
const DEFAULT_REVALIDATE_EVERY: Duration = Duration::from_mins(1);
const DEFAULT_MAX_STALE: Duration = Duration::from_mins(5);
const DEFAULT_STORE_TIMEOUT: Duration = Duration::from_secs(2);
/// Maximum of every setting, because clocks can't express everything that a `Duration` can.
const MAX: Duration = Duration::from_hours(100 * 365 * 24);
/// Maximum number of calls of `on_rejection` at the same time.
const MAX_REJECTION_CALLS: usize = 64;

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
    extractor: Box<dyn SessionIdExtractor>,
    store: Arc<dyn SessionStore<Data = T>>,
    on_rejection: Option<Arc<OnRejection>>,
    store_timeout: Duration,
    ttl: Option<Duration>,
    revalidate_every: Option<Duration>,
    max_stale: Option<Duration>,
    touch: Touch,
    touch_while_connected: bool,
    config: Closures<T>,
}

/// What activity does.
#[derive(Debug, Clone, Copy)]
enum Touch {
    Default,
    Every(Duration),
    Never,
}

struct Closures<T> {
    ttl_of: Option<Arc<TtlOf<T>>>,
    max_lifetime: Option<Arc<MaxLifetime<T>>>,
    verify: Option<Arc<Verify<T>>>,
}

impl<T: Send + Sync + 'static> SessionBridge<T> {
    /// Begins to build a bridge.
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

    /// Lifetime of a session after it was created or touched; a day, if not set, or twice the interval
    /// of [`touch_on_activity`](Self::touch_on_activity) if that is longer.
    ///
    /// ```
    /// # use socketioxide_session::{Keyring, MemoryStore, SecretKey, SessionBridge, SignedCookie};
    /// # let cookie = SignedCookie::new("sid", &Keyring::new(SecretKey::generate()?))?;
    /// # let store = MemoryStore::<String>::new();
    /// use std::time::Duration;
    ///
    /// let sessions = SessionBridge::builder(cookie, store)
    ///     .ttl(Duration::from_mins(30))
    ///     .build()?;
    /// # drop(sessions);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Lifetime of a session after it was created or touched, from its data: "remember me".
    ///
    /// Evaluated when a session is created, signed in, rotated or touched, with the newest data. An
    /// update that changes the answer touches the session, so a longer one takes effect at once. A
    /// shorter one does not shorten a session that exists; a sign-in, or
    /// [`max_lifetime`](Self::max_lifetime), does. It must not be zero. If it panics, the lifetime is
    /// a day. It replaces [`ttl`](Self::ttl), so only one of the two can be set.
    ///
    /// ```
    /// use std::time::Duration;
    /// # use socketioxide_session::{Keyring, MemoryStore, SecretKey, SessionBridge, SignedCookie};
    ///
    /// #[derive(Clone)]
    /// struct User {
    ///     remember_me: bool,
    /// }
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let keys = Keyring::new(SecretKey::generate()?);
    /// # let cookie = SignedCookie::new("sid", &keys)?;
    /// let sessions = SessionBridge::builder(cookie, MemoryStore::<User>::new())
    ///     .ttl_of(|user| match user.remember_me {
    ///         true => Duration::from_hours(30 * 24),
    ///         false => Duration::from_hours(2),
    ///     })
    ///     .build()?;
    /// # drop(sessions);
    /// # Ok(())
    /// # }
    /// ```
    pub fn ttl_of(mut self, ttl: impl Fn(&T) -> Duration + Send + Sync + 'static) -> Self {
        self.config.ttl_of = Some(Arc::new(ttl));
        self
    }

    /// When a session ends at the latest, however much it is used, from its data. `None`: no limit.
    ///
    /// The earlier of this and the store's expiry counts at every load, and no touch goes beyond it. If
    /// it panics, the session is over.
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// # use socketioxide_session::{Keyring, MemoryStore, SecretKey, SessionBridge, SignedCookie};
    /// # let cookie = SignedCookie::new("sid", &Keyring::new(SecretKey::generate()?))?;
    ///
    /// #[derive(Clone)]
    /// struct User {
    ///     signed_in_at: SystemTime,
    /// }
    ///
    /// let sessions = SessionBridge::builder(cookie, MemoryStore::<User>::new())
    ///     .max_lifetime(|user| Some(user.signed_in_at + Duration::from_hours(12)))
    ///     .build()?;
    /// # drop(sessions);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn max_lifetime(
        mut self,
        latest: impl Fn(&T) -> Option<SystemTime> + Send + Sync + 'static,
    ) -> Self {
        self.config.max_lifetime = Some(Arc::new(latest));
        self
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

    /// Minimum interval between two touches of a session that is used. A tenth of the
    /// [lifetime](Self::ttl) but at most five minutes, if not set.
    ///
    /// A use is the admission of a socket, an event whose handler takes the session or is
    /// [`active`](crate::socketio::active), and an HTTP request that resolves the session. Polls of
    /// Socket.IO are none. Where the lifetime of [`ttl_of`](Self::ttl_of) is not longer than the
    /// interval, the interval is half of the lifetime.
    ///
    /// ```
    /// use std::time::Duration;
    /// # use socketioxide_session::{Keyring, MemoryStore, SecretKey, SessionBridge, SignedCookie};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let keys = Keyring::new(SecretKey::generate()?);
    /// # let cookie = SignedCookie::new("sid", &keys)?;
    /// // A session ends after it was not used for 25 to 30 minutes.
    /// let sessions = SessionBridge::builder(cookie, MemoryStore::<String>::new())
    ///     .ttl(Duration::from_mins(30))
    ///     .touch_on_activity(Duration::from_mins(5))
    ///     .build()?;
    /// # drop(sessions);
    /// # Ok(())
    /// # }
    /// ```
    pub fn touch_on_activity(mut self, interval: Duration) -> Self {
        self.touch = Touch::Every(interval);
        self
    }

    /// Does not extend the lifetime of sessions that are used: only
    /// [`touch`](crate::Session::touch) does.
    ///
    /// ```
    /// # use socketioxide_session::{Keyring, MemoryStore, SecretKey, SessionBridge, SignedCookie};
    /// # let cookie = SignedCookie::new("sid", &Keyring::new(SecretKey::generate()?))?;
    /// # let store = MemoryStore::<String>::new();
    /// let sessions = SessionBridge::builder(cookie, store)
    ///     .no_touch_on_activity()
    ///     .build()?;
    /// # drop(sessions);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn no_touch_on_activity(mut self) -> Self {
        self.touch = Touch::Never;
        self
    }

    /// Counts being connected as a use: a session lives on while it has a socket on any node. Then a
    /// page that is left open keeps its user signed in; see the guide on
    /// [lifetimes](crate::docs::lifetimes).
    ///
    /// ```
    /// # use socketioxide_session::{Keyring, MemoryStore, SecretKey, SessionBridge, SignedCookie};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let keys = Keyring::new(SecretKey::generate()?);
    /// # let cookie = SignedCookie::new("sid", &keys)?;
    /// let sessions = SessionBridge::builder(cookie, MemoryStore::<String>::new())
    ///     .touch_while_connected()
    ///     .build()?;
    /// # drop(sessions);
    /// # Ok(())
    /// # }
    /// ```
    pub fn touch_while_connected(mut self) -> Self {
        self.touch_while_connected = true;
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

    /// Builds the bridge. In a tokio runtime, it follows the store's changes from now on; else from
    /// its first use in one.
    ///
    /// # Errors
    ///
    /// When a setting is zero or longer than a hundred years, or two settings that were made
    /// explicitly contradict each other.
    pub fn build(self) -> Result<SessionBridge<T>, BridgeConfigError> {
        let config = self.config()?;
        let store = GuardedStore::new(self.store, self.store_timeout);
        let live = LiveSessions::new(store, config);
        live.ensure_worker();
        Ok(SessionBridge {
            inner: Arc::new(Inner {
                live,
                extractor: self.extractor,
                on_rejection: self.on_rejection,
                rejections: Blocking::new("`on_rejection`", MAX_REJECTION_CALLS),
                transports: Transports::default(),
                sign_ins: SignIns::default(),
                advised: Advised::default(),
            }),
        })
    }

    fn config(&self) -> Result<Config<T>, BridgeConfigError> {
        self.check()?;
        let touch_every = self.touch_every();
        let interval = touch_every.and_then(|touch| touch.set);
        // A default yields to what was set.
        let default_ttl = DEFAULT_TTL.max(twice(interval.unwrap_or_default()));
        let every = self.revalidate_every.unwrap_or(DEFAULT_REVALIDATE_EVERY);
        let default_stale = DEFAULT_MAX_STALE.max(twice(every));
        let max_stale = self.max_stale.unwrap_or(default_stale);
        let revalidate_every = match self.revalidate_every {
            Some(every) => every,
            None => every.min(max_stale / 2),
        };
        let capabilities = self.store.capabilities();
        Ok(Config {
            ttl: self.ttl.unwrap_or(default_ttl),
            ttl_of: self.config.ttl_of.clone(),
            max_lifetime: self.config.max_lifetime.clone(),
            revalidate_every,
            max_stale,
            touch_every: touch_every.filter(|_| capabilities.touch),
            verify: self.config.verify.clone(),
            foreign_records: capabilities.foreign_records,
        })
    }

    /// Judges what was set, each by itself and with the others.
    fn check(&self) -> Result<(), BridgeConfigError> {
        let interval = match self.touch {
            Touch::Every(interval) => Some(interval),
            Touch::Default | Touch::Never => None,
        };
        in_range("ttl", self.ttl)?;
        in_range("store_timeout", Some(self.store_timeout))?;
        in_range("revalidate_every", self.revalidate_every)?;
        in_range("max_stale", self.max_stale)?;
        in_range("touch_on_activity", interval)?;
        let every = self.revalidate_every;
        in_order("revalidate_every", every, "max_stale", self.max_stale)?;
        in_order("touch_on_activity", interval, "ttl", self.ttl)?;
        if self.ttl.is_some() && self.config.ttl_of.is_some() {
            return Err(conflict("ttl", "ttl_of"));
        }
        if self.touch_while_connected && matches!(self.touch, Touch::Never) {
            return Err(conflict("touch_while_connected", "no_touch_on_activity"));
        }
        Ok(())
    }

    fn touch_every(&self) -> Option<TouchEvery> {
        let set = match self.touch {
            Touch::Never => return None,
            Touch::Default => None,
            Touch::Every(interval) => Some(interval),
        };
        Some(TouchEvery {
            set,
            while_connected: self.touch_while_connected,
        })
    }
}

/// The default of a setting that has to be longer than another one.
fn twice(duration: Duration) -> Duration {
    duration.saturating_mul(2).min(MAX)
}

fn conflict(one: &'static str, other: &'static str) -> BridgeConfigError {
    BridgeConfigError::Conflict { one, other }
}

fn in_range(setting: &'static str, value: Option<Duration>) -> Result<(), BridgeConfigError> {
    match value {
        Some(Duration::ZERO) => Err(BridgeConfigError::Zero { setting }),
        Some(value) if value > MAX => Err(BridgeConfigError::TooLong { setting }),
        _ => Ok(()),
    }
}

fn in_order(
    shorter: &'static str,
    one: Option<Duration>,
    longer: &'static str,
    other: Option<Duration>,
) -> Result<(), BridgeConfigError> {
    match (one, other) {
        (Some(one), Some(other)) if one > other => {
            Err(BridgeConfigError::Contradiction { shorter, longer })
        }
        _ => Ok(()),
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
