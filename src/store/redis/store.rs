//! The store.

use std::{fmt, sync::Arc, time::Duration};

use super::{
    codec::Records,
    config_error::RedisConfigError,
    connections::Connections,
    driver::{Client, Driver, FredDriver, Pool},
    sessions::Sessions,
    users::{UserId, Users},
};

pub(super) const DEFAULT_HEARTBEAT: Duration = Duration::from_secs(1);
/// Sessions in Redis 6.2 or later, or Valkey: a single server, one behind Sentinel, or a cluster.
///
/// ```no_run
/// use socketioxide_session::RedisStore;
/// # async fn connect() -> Result<(), Box<dyn std::error::Error>> {
/// # type User = String;
/// let store = RedisStore::<User>::connect("redis://127.0.0.1").await?;
/// # Ok(()) }
/// ```
///
/// # Behaviour
///
/// 1. A session is one key, `{prefix}{id}`. Its value is the session's data as a JSON object of up to
///    64 KiB, and its expiry is the session's. Other programs may read and write it.
/// 2. A save merges three ways: what the loaded data had and the new data hasn't is removed, and fields
///    that this program's type doesn't know are kept, recursively, to the last byte.
/// 3. A save compares the stored bytes in a script on the server. It never overwrites another change and
///    never brings a session back, also when it arrives after its timeout.
/// 4. Changes by any program are reported by RESP3 `CLIENT TRACKING`, without any configuration of the
///    server. A server without `HELLO` is used with RESP2, and one that refuses `CLIENT TRACKING` without
///    reports; the log says so once. The bridge then loads live sessions again every
///    [`revalidate_every`](crate::bridge::SessionBridgeBuilder::revalidate_every).
/// 5. fred does not pass on the report of a flushed database. A heartbeat notices it within two seconds, by a
///    key `[socketioxide-session]mark` at each server. A server that hangs is noticed the same way.
/// 6. A server that became a replica (`READONLY`, `MASTERDOWN`) is left, and its address is looked up
///    again. So a failover behind one host name needs no restart.
/// 7. In a cluster a rename copies the session, and deletes the old key only if it has not changed since.
///    Saves of this crate wait meanwhile, up to two seconds. It fails when another program writes the
///    session all the time; it never leaves a moment without the session. When the answer to the deletion is lost, it
///    fails, and a copy under the new id may stay until it expires.
/// 8. A rotation leaves a key `[socketioxide-session]replaced:{hash}` for ten seconds, where the hash is
///    one of the old id.
///
/// # The index of users
///
/// With [`user_id`](super::RedisStoreBuilder::user_id), a hash `[socketioxide-session]user:{user} {prefix}`
/// holds `id → created,written`, in milliseconds since 1970.
///
/// 1. The entry of a session is written before the session, by [`create`](crate::SessionStore::create), a
///    [`rename`](crate::SessionStore::rename), which keeps the time of creation, and a
///    [`save`](crate::SessionStore::save) that changes the user. When it can't be written, the call fails.
/// 2. A load or a touch adds a missing entry, and extends the life of the hash, in the background, seldom.
///    So sessions that another program created, or that are older than the index, are indexed at their
///    next load here; until then they are missing from listings. A session that only another program
///    keeps alive may be missing until its next load here, because its hash may have expired before it.
/// 3. An entry may be of a session that has ended or has another user by now. The bridge loads each and
///    compares. A listing removes, in the background, the entries without a session that were written
///    more than a minute ago, and so does a node that has added many for one user, so that they don't pile up
///    where sessions are never listed.
/// 4. A create costs one script more, a rename a load and a script, and a save that changes the user up to
///    three commands; a save that does not change the user, a touch, a load and a deletion cost no further
///    round trip.
///
/// # Commands and permissions
///
/// | command | for |
/// |---|---|
/// | `GET`, `SET`, `PTTL`, `DEL`, `EVAL` | sessions |
/// | `GET`, `SET`, `PTTL`, `PEXPIRE`, `EXISTS`, `RENAMENX`, `DEL` in scripts | sessions |
/// | `GETEX` in a script | records of tower-sessions |
/// | `HSET`, `HGET`, `HDEL`, `HGETALL`, `TIME` in scripts | the index of users, if there is one |
/// | `HELLO`, `CLIENT TRACKING` | reports of changes; without them the store works without reports |
/// | `SELECT` | a database in the URL |
/// | `CLUSTER SLOTS`, `CLUSTER INFO` | a cluster |
/// | `ROLE`, at the sentinels `SENTINEL` | Sentinel |
/// | `PING` | only with RESP2 and without a password |
/// | `CLIENT ID`, `INFO` | sent by the driver when it connects; refused without harm |
///
/// The keys are those of the prefix, and `[socketioxide-session]*`. [`connect`](Self::connect) returns an
/// error that names the command, or the pattern of the keys, when one for the sessions or for the index is
/// refused. (Without permission for `[socketioxide-session]mark*` alone, the store works, and the log says
/// that a flushed database is not noticed at once.)
///
/// An ACL user for all of it, with the default prefix (without an index, leave out
/// `+hset +hget +hdel +hgetall +time`; for records of tower-sessions add `+getex`, and instead of
/// `~session:*` write `~` and 22 question marks, because their keys are ids without a prefix):
///
/// ```text
/// ACL SETUSER app on '>password' '~session:*' '~\[socketioxide-session\]*' resetchannels -@all +get +set +pttl +pexpire +exists +renamenx +del +hset +hget +hdel +hgetall +time +eval +hello +client|tracking +client|id +info +select +ping +role +cluster|slots +cluster|info
/// ```
///
/// # Deployment caveats
///
/// - **Tracking costs memory at the server.** Every session that a node reads, also one that only HTTP
///   requests read, and every id with a good signature whose session is gone, stays in the server's tracking
///   table until it changes or expires: about 135 bytes.
///   The table holds up to `tracking-table-max-keys` keys (1,000,000 by default; shared by all clients).
///   Beyond that the server drops keys at random and reports each as changed, which costs a load if the
///   session is live. Nothing is missed, but such reports of a session are followed more and more slowly,
///   down to one load in five seconds. How large it must be, and what else a server and a node need,
///   is calculated in [`docs::nodes`](crate::docs::nodes#sizes).
/// - **Eviction ends sessions.** With `maxmemory` and an `allkeys-` policy the server deletes sessions
///   that are in use. Use `noeviction`, or a database server of its own.
/// - **Replication is asynchronous.** After a failover the last writes before it may be missing: an
///   ended session may exist again.
/// - **A rename of `CLIENT`, `EVAL` or another needed command** in the server's configuration counts as
///   its refusal.
/// - **Proxies** that don't pass `HELLO` or `CLIENT TRACKING` through, or share one server connection
///   among clients, leave the store without reports.
/// - **While a slot of a cluster is moved,** sessions of that slot that have moved already can't be
///   loaded until the driver has followed.
pub struct RedisStore<T> {
    pub(super) sessions: Sessions<T>,
    pub(super) users: Option<Arc<Users<T>>>,
    pub(super) heartbeat: Duration,
}

impl<T> RedisStore<T> {
    pub(super) fn new(
        connections: Connections,
        records: Records,
        prefix: Option<Arc<str>>,
        heartbeat: Duration,
    ) -> Self {
        let prefix = prefix.unwrap_or_else(|| records.default_prefix().into());
        Self {
            sessions: Sessions::new(Arc::new(connections), prefix, Arc::new(records)),
            users: None,
            heartbeat,
        }
    }

    /// Uses a client of your own, which is connected or will be, and which you close.
    ///
    /// It should have a command timeout, a reconnect policy without a limit, no `max_command_buffer_len`,
    /// and RESP3, without which no changes are reported. For a cluster it should have
    /// `ClusterDiscoveryPolicy::UseCache`; otherwise the loss of the nodes in its configuration is the
    /// loss of all.
    ///
    /// ```no_run
    /// use fred::{clients::Client, interfaces::ClientLike, types::{RespVersion, config::Config}};
    /// use socketioxide_session::RedisStore;
    /// # async fn connect() -> Result<(), Box<dyn std::error::Error>> {
    /// # type User = String;
    /// let mut config = Config::from_url("redis://127.0.0.1")?;
    /// config.version = RespVersion::RESP3;
    /// let client = Client::new(config, None, None, None);
    /// client.init().await?;
    /// let store = RedisStore::<User>::from_client(client);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn from_client(client: Client) -> Self {
        Self::of_clients(vec![client])
    }

    /// Uses the clients of a pool of your own; see [`from_client`](Self::from_client).
    ///
    /// ```no_run
    /// # async fn connect() -> Result<(), Box<dyn std::error::Error>> {
    /// # type User = String;
    /// use fred::prelude::{ClientLike as _, Config, Pool};
    /// use fred::types::RespVersion;
    /// use socketioxide_session::RedisStore;
    ///
    /// // Reports of changes need RESP3.
    /// let config = Config { version: RespVersion::RESP3, ..Config::from_url("redis://127.0.0.1")? };
    /// let pool = Pool::new(config, None, None, None, 2)?;
    /// pool.init().await?;
    /// let store = RedisStore::<User>::from_pool(&pool);
    /// # drop(store);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn from_pool(pool: &Pool) -> Self {
        Self::of_clients(pool.clients().to_vec())
    }

    fn of_clients(clients: Vec<Client>) -> Self {
        let driver = |client| Arc::new(FredDriver::new(client)) as Arc<dyn Driver>;
        let drivers = clients.into_iter().map(driver).collect();
        let connections = Connections::new(drivers, None);
        Self::new(connections, Records::default(), None, DEFAULT_HEARTBEAT)
    }

    /// Reads and writes records in another format than this crate's own JSON, and uses the usual prefix
    /// of their keys.
    ///
    /// ```no_run
    /// use serde_json::Value;
    /// use socketioxide_session::{RedisStore, interop::express::ExpressRecords};
    ///
    /// # async fn connect() -> Result<(), Box<dyn std::error::Error>> {
    /// let store = RedisStore::<Value>::connect("redis://127.0.0.1").await?.with_records(ExpressRecords::new());
    /// # drop(store);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_records(self, records: impl Into<Records>) -> Self {
        let records = records.into();
        let prefix = records.default_prefix().into();
        let connections = self.sessions.connections.clone();
        self.with_sessions(Sessions::new(connections, prefix, Arc::new(records)))
    }

    /// Uses another prefix of keys than `session:`.
    ///
    /// ```no_run
    /// use socketioxide_session::RedisStore;
    ///
    /// # async fn connect() -> Result<(), Box<dyn std::error::Error>> {
    /// // Two applications on one server.
    /// let store = RedisStore::<String>::connect("redis://127.0.0.1").await?.with_prefix("shop:session:")?;
    /// # drop(store);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Prefix`](RedisConfigError::Prefix) when it contains a brace, which a cluster would take for a
    /// hash tag.
    pub fn with_prefix(self, prefix: &str) -> Result<Self, RedisConfigError> {
        let prefix = checked_prefix(prefix)?;
        let connections = self.sessions.connections.clone();
        let records = self.sessions.records.clone();
        Ok(self.with_sessions(Sessions::new(connections, prefix, records)))
    }

    /// Indexes the sessions by the user that they belong to, as
    /// [`RedisStoreBuilder::user_id`](super::RedisStoreBuilder::user_id) does. For a store with a client
    /// of your own; the permission for the commands is not tried.
    ///
    /// ```no_run
    /// # use socketioxide_session::RedisStore;
    /// # struct User { id: u64 }
    /// # fn indexed(client: fred::clients::Client) {
    /// let store = RedisStore::<User>::from_client(client);
    /// let store = store.with_user_id(|user| Some(user.id.to_string()));
    /// # drop(store); }
    /// ```
    #[must_use]
    pub fn with_user_id(
        self,
        user_id: impl Fn(&T) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.indexed(Arc::new(user_id))
    }

    pub(super) fn indexed(self, user_id: Arc<UserId<T>>) -> Self {
        let users = Users::new(self.sessions.clone(), user_id);
        Self {
            users: Some(Arc::new(users)),
            ..self
        }
    }

    fn with_sessions(self, sessions: Sessions<T>) -> Self {
        let user_id = self.users.as_ref().map(|users| users.user_id().clone());
        let store = Self {
            sessions,
            users: None,
            ..self
        };
        match user_id {
            Some(user_id) => store.indexed(user_id),
            None => store,
        }
    }
}

pub(super) fn checked_prefix(prefix: &str) -> Result<Arc<str>, RedisConfigError> {
    if prefix.contains(['{', '}']) {
        return Err(RedisConfigError::Prefix(prefix.to_owned()));
    }
    Ok(prefix.into())
}

impl<T> Clone for RedisStore<T> {
    fn clone(&self) -> Self {
        Self {
            sessions: self.sessions.clone(),
            users: self.users.clone(),
            heartbeat: self.heartbeat,
        }
    }
}

// Without the connections: their configuration holds the password.
impl<T> fmt::Debug for RedisStore<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("prefix", &self.sessions.prefix)
            .field("connections", &self.sessions.connections.all().len())
            .finish_non_exhaustive()
    }
}
