//! Builds a store.

use std::{fmt, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    codec::Records,
    config_error::RedisConfigError,
    connections::Connections,
    driver::Settings,
    probe::{probe, probe_index, probe_look_up},
    store::{DEFAULT_HEARTBEAT, RedisStore, checked_prefix},
    users::UserId,
};

/// Builds a [`RedisStore`]; see [`RedisStore::builder`].
///
/// With these settings every call ends: a command fails after the command timeout, or at once while
/// there is no connection or while 10,000 others wait; it is never sent again after its connection
/// broke; a connection without an answer for a second is closed; and the store reconnects without a
/// limit of attempts, with pauses of up to 5 s.
///
/// ```no_run
/// use std::time::Duration;
/// use socketioxide_session::RedisStore;
/// # async fn connect() -> Result<(), Box<dyn std::error::Error>> {
/// # type User = String;
/// let store: RedisStore<User> = RedisStore::<User>::builder("redis://127.0.0.1")?
///     .prefix("app:")?
///     .command_timeout(Duration::from_millis(300))?
///     .connect()
///     .await?;
/// # Ok(()) }
/// ```
#[must_use]
pub struct RedisStoreBuilder<T> {
    settings: Settings,
    prefix: Option<Arc<str>>,
    records: Records,
    heartbeat: Duration,
    user_id: Option<Arc<UserId<T>>>,
}

impl<T> RedisStore<T> {
    /// Connects to the server or servers of this URL with the default settings.
    ///
    /// | scheme | connects to |
    /// |---|---|
    /// | `redis://[user:password@]host[:port][/database]` | a single server |
    /// | `redis-sentinel://host[:port]?node=host:port&sentinelServiceName=name` | the primary that Sentinel names |
    /// | `redis-cluster://host[:port]?node=host:port` | a cluster |
    /// | `redis+unix:///path` | a single server, through a Unix socket |
    ///
    /// With the feature `redis-tls` also `rediss://`, `rediss-sentinel://` and `rediss-cluster://`.
    ///
    /// ```no_run
    /// # async fn connect() -> Result<(), Box<dyn std::error::Error>> {
    /// # type User = String;
    /// use socketioxide_session::RedisStore;
    ///
    /// let store = RedisStore::<User>::connect("redis://user:password@redis.internal/1").await?;
    /// # drop(store);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`builder`](Self::builder) and [`RedisStoreBuilder::connect`].
    pub async fn connect(url: &str) -> Result<Self, RedisConfigError> {
        Self::builder(url)?.connect().await
    }

    /// Builds a store with other settings than the default ones. The schemes of the URL are those of
    /// [`connect`](Self::connect).
    ///
    /// # Errors
    ///
    /// When the URL can't be parsed, or asks for TLS without the feature `redis-tls`.
    pub fn builder(url: &str) -> Result<RedisStoreBuilder<T>, RedisConfigError> {
        Ok(RedisStoreBuilder {
            settings: Settings::from_url(url)?,
            prefix: None,
            records: Records::default(),
            heartbeat: DEFAULT_HEARTBEAT,
            user_id: None,
        })
    }
}

impl<T> RedisStoreBuilder<T> {
    /// The prefix of the keys; `session:` by default.
    ///
    /// # Errors
    ///
    /// [`Prefix`](RedisConfigError::Prefix) when it contains a brace, which a cluster would take for a
    /// hash tag.
    ///
    /// ```
    /// # use socketioxide_session::RedisStore;
    /// let builder = RedisStore::<()>::builder("redis://127.0.0.1").unwrap();
    /// assert!(builder.prefix("{app}:").is_err());
    /// ```
    pub fn prefix(mut self, prefix: &str) -> Result<Self, RedisConfigError> {
        self.prefix = Some(checked_prefix(prefix)?);
        Ok(self)
    }

    /// The format of the records, and with it the default of the prefix; this crate's own JSON by
    /// default. See [`interop::express`](crate::interop::express).
    ///
    /// ```
    /// use socketioxide_session::{RedisStore, interop::express::ExpressRecords};
    ///
    /// let records = ExpressRecords::new().field("passport.user").unwrap();
    /// let builder = RedisStore::<()>::builder("redis://127.0.0.1").unwrap().records(records);
    /// # drop(builder);
    /// ```
    pub fn records(mut self, records: impl Into<Records>) -> Self {
        self.records = records.into();
        self
    }

    /// Indexes the sessions by the user that they belong to; `None` or an empty text: to none. Needed for
    /// [`sessions_of_user`](crate::SessionBridge::sessions_of_user) and its like. See "The index of users"
    /// of [`RedisStore`].
    ///
    /// All nodes must have the same index: the same closure and the same prefix. An id of more than 1 KiB, and
    /// a panic of the closure, are errors where a session is created or saved.
    ///
    /// ```no_run
    /// # use socketioxide_session::RedisStore;
    /// # struct User { id: u64 }
    /// # async fn connect() -> Result<(), Box<dyn std::error::Error>> {
    /// let store = RedisStore::<User>::builder("redis://127.0.0.1")?
    ///     .user_id(|user| Some(user.id.to_string()))
    ///     .connect()
    ///     .await?;
    /// # drop(store);
    /// # Ok(()) }
    /// ```
    pub fn user_id(
        mut self,
        user_id: impl Fn(&T) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.user_id = Some(Arc::new(user_id));
        self
    }

    /// Timeout for a command; 500 ms by default. A server that does not answer a heartbeat for as long, or for
    /// 500 ms if that is longer, counts as one that hangs, and a connection that is silent for twice as long, or for
    /// a second, is closed.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use socketioxide_session::RedisStore;
    /// let builder = RedisStore::<()>::builder("redis://127.0.0.1").unwrap();
    /// let builder = builder.command_timeout(Duration::from_millis(200)).unwrap();
    /// assert!(builder.command_timeout(Duration::ZERO).is_err());
    /// ```
    ///
    /// # Errors
    ///
    /// [`Zero`](RedisConfigError::Zero) when it is zero.
    pub fn command_timeout(mut self, timeout: Duration) -> Result<Self, RedisConfigError> {
        self.settings.command_timeout = not_zero("command_timeout", timeout)?;
        Ok(self)
    }

    /// Timeout for [`connect`](Self::connect), which waits for a server that is not up yet; 5 s by default.
    /// A later reconnection has the same timeout, but at most 5 s, and is tried again without end.
    ///
    /// # Errors
    ///
    /// [`Zero`](RedisConfigError::Zero) when it is zero.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use socketioxide_session::RedisStore;
    /// # async fn connect() -> Result<(), Box<dyn std::error::Error>> {
    /// // The server may be started after this program.
    /// let builder = RedisStore::<()>::builder("redis://redis")?;
    /// let store: RedisStore<()> = builder.connect_timeout(Duration::from_secs(60))?.connect().await?;
    /// # Ok(()) }
    /// ```
    pub fn connect_timeout(mut self, timeout: Duration) -> Result<Self, RedisConfigError> {
        self.settings.connect_timeout = not_zero("connect_timeout", timeout)?;
        Ok(self)
    }

    /// Number of connections to each server; one by default. One connection carries many commands at the
    /// same time.
    ///
    /// # Errors
    ///
    /// [`Zero`](RedisConfigError::Zero) when it is zero.
    ///
    /// ```
    /// # use socketioxide_session::RedisStore;
    /// let builder = RedisStore::<()>::builder("redis://127.0.0.1").unwrap();
    /// assert!(builder.connections(0).is_err());
    /// ```
    pub fn connections(mut self, connections: usize) -> Result<Self, RedisConfigError> {
        if connections == 0 {
            return Err(RedisConfigError::Zero("connections"));
        }
        self.settings.connections = connections;
        Ok(self)
    }

    /// Interval at which each server is looked at, by two small commands per connection; 1 s by default.
    /// A server that hangs, and a database that was flushed, are noticed after this interval plus half
    /// a second, or plus the [timeout](Self::command_timeout) of a command if that is longer. Without reports of
    /// changes there is no heartbeat.
    ///
    /// # Errors
    ///
    /// [`Zero`](RedisConfigError::Zero) when it is zero.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use socketioxide_session::RedisStore;
    /// let builder = RedisStore::<()>::builder("redis://127.0.0.1").unwrap();
    /// let builder = builder.heartbeat(Duration::from_secs(5)).unwrap();
    /// assert!(builder.heartbeat(Duration::ZERO).is_err());
    /// ```
    pub fn heartbeat(mut self, interval: Duration) -> Result<Self, RedisConfigError> {
        self.heartbeat = not_zero("heartbeat", interval)?;
        Ok(self)
    }

    /// Trusts these certificates in PEM, in addition to those that the operating system trusts. For a
    /// `rediss://` server with a private certificate authority.
    ///
    /// ```no_run
    /// # use socketioxide_session::RedisStore;
    /// # async fn connect() -> Result<(), Box<dyn std::error::Error>> {
    /// let authority = std::fs::read("provider-ca.pem")?;
    /// let builder = RedisStore::<()>::builder("rediss://redis.example.com")?.trust(&authority)?;
    /// # drop(builder);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Certificate`](RedisConfigError::Certificate) when there is none, or one can't be parsed.
    #[cfg(feature = "redis-tls")]
    pub fn trust(mut self, pem: &[u8]) -> Result<Self, RedisConfigError> {
        self.settings.trust(pem)?;
        Ok(self)
    }

    /// Connects. Waits until the [timeout](Self::connect_timeout) for a server that is not up yet. Then
    /// tries each needed command on keys that do not exist.
    ///
    /// # Errors
    ///
    /// [`Connect`](RedisConfigError::Connect) and [`ConnectTimeout`](RedisConfigError::ConnectTimeout)
    /// when the server can't be reached or refuses the password,
    /// [`CommandRefused`](RedisConfigError::CommandRefused) when it refuses a needed command,
    /// [`KeysRefused`](RedisConfigError::KeysRefused) when it refuses needed keys.
    pub async fn connect(self) -> Result<RedisStore<T>, RedisConfigError> {
        let deadline = Instant::now() + self.settings.connect_timeout;
        let (drivers, in_use) = self.settings.connect(deadline).await?;
        let prefix = self
            .prefix
            .unwrap_or_else(|| self.records.default_prefix().into());
        probe(&*drivers[0], &prefix, deadline).await?;
        if self.records.have_guessable_ids() {
            probe_look_up(&*drivers[0], &prefix, deadline).await?;
        }
        if self.user_id.is_some() {
            probe_index(&*drivers[0], &prefix, deadline).await?;
        }
        let connections = Connections::new(drivers, Some(in_use));
        let store = RedisStore::new(connections, self.records, Some(prefix), self.heartbeat);
        Ok(match self.user_id {
            Some(user_id) => store.indexed(user_id),
            None => store,
        })
    }
}

fn not_zero(setting: &'static str, duration: Duration) -> Result<Duration, RedisConfigError> {
    match duration {
        Duration::ZERO => Err(RedisConfigError::Zero(setting)),
        duration => Ok(duration),
    }
}

// Without the settings: they hold the password.
impl<T> fmt::Debug for RedisStoreBuilder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStoreBuilder")
            .field("prefix", &self.prefix)
            .field("heartbeat", &self.heartbeat)
            .field("user_index", &self.user_id.is_some())
            .finish_non_exhaustive()
    }
}
