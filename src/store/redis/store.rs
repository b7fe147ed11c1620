//! The store.

use std::{fmt, marker::PhantomData, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    codec::{Codec, Records, Touch},
    commands::{self, MAX_TTL},
    config_error::RedisConfigError,
    connections::Connections,
    driver::{Client, Driver, FredDriver, Pool, SetIf},
    error::{failed, too_large},
    feed,
    own_keys::replaced_mark,
    rename,
};
use crate::{
    id::SessionId,
    store::{
        Capabilities, Changes, Created, REPLACED_MARK_TTL, Record, Revision, Saved, SessionStore,
        StoreError,
    },
};

pub(super) const DEFAULT_HEARTBEAT: Duration = Duration::from_secs(1);
/// Maximum length of a session as JSON.
const MAX_VALUE_BYTES: usize = 64 * 1024;

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
/// 5. A flushed database is not reported by tracking. A heartbeat notices it within two seconds, by a
///    key `[socketioxide-session]mark` at each server. A server that hangs is noticed the same way.
/// 6. A server that became a replica (`READONLY`, `MASTERDOWN`) is left, and its address is looked up
///    again. So a failover behind one host name needs no restart.
/// 7. In a cluster a rename copies the session, and deletes the old key only if it has not changed since.
///    Saves of this crate wait meanwhile, up to two seconds. It fails when another program writes the
///    session all the time; it never leaves a moment without the session. When the answer to the deletion is lost, it fails, and a copy under the new id may stay until it
///    expires.
/// 8. A rotation leaves a key `[socketioxide-session]replaced:{hash}` for ten seconds, where the hash is
///    one of the old id.
///
/// # Commands and permissions
///
/// | command | for |
/// |---|---|
/// | `GET`, `SET`, `PTTL`, `DEL`, `EVAL` | sessions |
/// | `GET`, `SET`, `PTTL`, `PEXPIRE`, `EXISTS`, `RENAMENX`, `DEL` in scripts | sessions |
/// | `HELLO`, `CLIENT TRACKING` | reports of changes; without them the store works without reports |
/// | `SELECT` | a database in the URL |
/// | `CLUSTER SLOTS`, `CLUSTER INFO` | a cluster |
/// | `ROLE`, at the sentinels `SENTINEL` | Sentinel |
/// | `PING` | only with RESP2 and without a password |
/// | `CLIENT ID`, `INFO` | sent by the driver when it connects; refused without harm |
///
/// [`connect`](Self::connect) returns an error that names the command when one for the sessions is
/// refused. An ACL user for all of it, with the default prefix:
///
/// ```text
/// ACL SETUSER app on '>password' '~session:*' '~\[socketioxide-session\]*' resetchannels -@all +get +set +pttl +pexpire +exists +renamenx +del +eval +hello +client|tracking +client|id +info +select +ping +role +cluster|slots +cluster|info
/// ```
///
/// # Deployment caveats
///
/// - **Tracking costs memory at the server.** Every session that a node reads, also one that only HTTP
///   requests read, stays in the server's tracking table until it changes or expires: about 150 bytes.
///   The table holds up to `tracking-table-max-keys` keys (1,000,000 by default; shared by all clients).
///   Beyond that the server drops keys at random and reports each as changed, which costs a load if the
///   session is live, and nothing is missed.
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
    connections: Arc<Connections>,
    prefix: Arc<str>,
    records: Arc<Records>,
    heartbeat: Duration,
    data: PhantomData<fn() -> T>,
}

impl<T> RedisStore<T> {
    pub(super) fn new(
        connections: Connections,
        records: Records,
        prefix: Option<Arc<str>>,
        heartbeat: Duration,
    ) -> Self {
        Self {
            connections: Arc::new(connections),
            prefix: prefix.unwrap_or_else(|| records.default_prefix().into()),
            records: Arc::new(records),
            heartbeat,
            data: PhantomData,
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
    #[must_use]
    pub fn with_records(self, records: impl Into<Records>) -> Self {
        let records = records.into();
        Self {
            prefix: records.default_prefix().into(),
            records: Arc::new(records),
            ..self
        }
    }

    /// Uses another prefix of keys than `session:`.
    ///
    /// # Errors
    ///
    /// [`Prefix`](RedisConfigError::Prefix) when it contains a brace, which a cluster would take for a
    /// hash tag.
    pub fn with_prefix(self, prefix: &str) -> Result<Self, RedisConfigError> {
        let prefix = checked_prefix(prefix)?;
        Ok(Self { prefix, ..self })
    }

    fn key(&self, id: &SessionId) -> String {
        [&*self.prefix, id.expose()].concat()
    }
}

pub(super) fn checked_prefix(prefix: &str) -> Result<Arc<str>, RedisConfigError> {
    if prefix.contains(['{', '}']) {
        return Err(RedisConfigError::Prefix(prefix.to_owned()));
    }
    Ok(prefix.into())
}

impl<T: Serialize + DeserializeOwned> RedisStore<T> {
    fn codec(&self) -> &dyn Codec<T> {
        self.records.codec()
    }
}

fn bounded(value: Vec<u8>) -> Result<Bytes, StoreError> {
    if value.len() > MAX_VALUE_BYTES {
        return Err(too_large(value.len()));
    }
    Ok(value.into())
}

#[async_trait]
impl<T> SessionStore for RedisStore<T>
where
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    type Data = T;

    async fn create(&self, id: &SessionId, data: &T, ttl: Duration) -> Result<Created, StoreError> {
        let value = bounded(self.codec().create(id, data, ttl)?)?;
        let (driver, _permit) = self.connections.next()?;
        let ttl = Some(ttl.min(MAX_TTL));
        let created = driver
            .set(&self.key(id), value.clone(), ttl, SetIf::Missing)
            .await;
        Ok(if created.map_err(failed)? {
            Created::Created(value.into())
        } else {
            Created::Taken
        })
    }

    async fn load(&self, id: &SessionId) -> Result<Option<Record<T>>, StoreError> {
        let (driver, _permit) = self.connections.next()?;
        let found = commands::load(&**driver, &self.key(id)).await;
        let Some((value, ttl)) = found.map_err(failed)? else {
            return Ok(None);
        };
        let data = self.codec().decode(&value)?;
        Ok(data.map(|data| Record::new(data, ttl, value.into())))
    }

    async fn save(
        &self,
        id: &SessionId,
        data: &T,
        expected: &Revision,
    ) -> Result<Saved, StoreError> {
        // A revision of another store is none of this one's: nothing equals it.
        let expected = Bytes::copy_from_slice(expected.as_bytes().unwrap_or_default());
        let value = if expected.is_empty() {
            Bytes::new()
        } else {
            bounded(self.codec().update(&expected, data)?)?
        };
        let (driver, _permit) = self.connections.next()?;
        let saved = commands::save(&**driver, &self.key(id), expected, value.clone()).await;
        Ok(match saved.map_err(failed)? {
            commands::Swap::Done => Saved::Saved(value.into()),
            commands::Swap::Differs => Saved::Conflict,
            commands::Swap::Missing => Saved::Gone,
        })
    }

    async fn touch(&self, id: &SessionId, _: &T, ttl: Duration) -> Result<bool, StoreError> {
        let (driver, _permit) = self.connections.next()?;
        let key = self.key(id);
        let touched = match self.codec().touch() {
            Touch::Given => commands::touch(&**driver, &key, ttl).await,
            Touch::Script { source, ttl } => commands::touch_by(&**driver, source, &key, ttl).await,
        };
        touched.map_err(failed)
    }

    async fn keep_alive(
        &self,
        id: &SessionId,
        data: &T,
        ttl: Duration,
        interval: Duration,
    ) -> Result<Option<Duration>, StoreError> {
        if let Touch::Script { .. } = self.codec().touch() {
            let exists = self.touch(id, data, ttl).await?;
            return Ok(exists.then_some(ttl));
        }
        let (driver, _permit) = self.connections.next()?;
        let left = commands::keep_alive(&**driver, &self.key(id), ttl, interval).await;
        left.map_err(failed)
    }

    async fn rename(&self, old: &SessionId, new: &SessionId) -> Result<bool, StoreError> {
        let (driver, _permit) = self.connections.next()?;
        let (old, new) = (self.key(old), self.key(new));
        if driver.is_clustered() {
            rename::rename(driver, old, new).await
        } else {
            commands::rename(&**driver, &old, &new).await
        }
    }

    async fn delete(&self, id: &SessionId) -> Result<bool, StoreError> {
        let (driver, _permit) = self.connections.next()?;
        driver.delete(&self.key(id)).await.map_err(failed)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            foreign_records: self.codec().foreign_records(),
            ..Capabilities::default()
        }
    }

    fn changes(&self) -> Option<Changes> {
        if !self.connections.can_report() {
            return None;
        }
        feed::changes(self.connections.all(), &self.prefix, self.heartbeat)
    }

    async fn mark_replaced(&self, id: &SessionId) -> Result<(), StoreError> {
        let (driver, _permit) = self.connections.next()?;
        let (key, ttl) = (replaced_mark(id), Some(REPLACED_MARK_TTL));
        let marked = driver.set(&key, Bytes::from_static(b"1"), ttl, SetIf::Always);
        marked.await.map(|_| ()).map_err(failed)
    }

    async fn was_replaced(&self, id: &SessionId) -> Result<bool, StoreError> {
        let (driver, _permit) = self.connections.next()?;
        let mark = driver.get(&replaced_mark(id)).await;
        mark.map(|mark| mark.is_some()).map_err(failed)
    }
}

impl<T> Clone for RedisStore<T> {
    fn clone(&self) -> Self {
        Self {
            connections: self.connections.clone(),
            prefix: self.prefix.clone(),
            records: self.records.clone(),
            heartbeat: self.heartbeat,
            data: PhantomData,
        }
    }
}

// Without the connections: their configuration holds the password.
impl<T> fmt::Debug for RedisStore<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("prefix", &self.prefix)
            .field("connections", &self.connections.all().len())
            .finish_non_exhaustive()
    }
}
