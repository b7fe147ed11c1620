//! The settings of a bridge that decide how long a session lives.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::builder::{SessionBridgeBuilder, Touch};

impl<T: Send + Sync + 'static> SessionBridgeBuilder<T> {
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
    /// [`max_lifetime`](Self::max_lifetime), does. With zero, no session is created
    /// ([`NoLifetime`](crate::store::StoreErrorKind::NoLifetime)), and a touch changes nothing. If it panics,
    /// the lifetime is a day. It replaces [`ttl`](Self::ttl), so only one of the two can be set.
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
    /// The earlier of this and the store's expiry counts at every load, and no touch goes beyond it. With
    /// a time that has passed, no session is created
    /// ([`NoLifetime`](crate::store::StoreErrorKind::NoLifetime)), and one that exists is over. It is over,
    /// too, if the closure panics.
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

    /// Minimum interval between two touches of a session that is used, shorter than its
    /// [lifetime](Self::ttl). A tenth of that but at most five minutes, if not set.
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
    /// [`touch`](crate::Session::touch) does. Of this and
    /// [`touch_on_activity`](Self::touch_on_activity), the last call counts.
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
}
