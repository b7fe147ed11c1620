//! Sessions in Redis, for more than one machine.

mod builder;
mod commands;
mod error;
mod feed;
mod merge;
mod tls;

use std::{
    fmt,
    marker::PhantomData,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use fred::{
    clients::{Client, Pool},
    interfaces::ClientLike as _,
    types::RespVersion,
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::{Semaphore, SemaphorePermit, watch};

pub use builder::{RedisConfigError, RedisStoreBuilder};

use self::error::{decode, too_large, too_many, unavailable};
use super::{Changes, Created, Record, Revision, Saved, SessionStore, StoreError};
use crate::id::SessionId;

const DEFAULT_PREFIX: &str = "session:";
/// No session is larger, as JSON.
const MAX_VALUE_BYTES: usize = 64 * 1024;
/// So many commands may wait for their answers; further ones fail at once.
const MAX_WAITING: usize = 10_000;

/// Keeps sessions in Redis (6 or later; 7 tried), on a single server, behind Sentinel, or on a
/// cluster.
///
/// - A session is one key, `{prefix}{id}`, whose value is the session's data as a JSON object, and
///   whose expiry is the session's. Other programs may read and write it.
/// - A save merges three ways: what the loaded data had and the new data hasn't is removed, and what
///   this program's type does not know is kept, recursively in objects, to the last byte.
/// - A save compares the stored bytes in a script on the server, so it never overwrites and never
///   brings back; a command that arrives late, after its time is up, finds that as any other does.
/// - Changes are reported with RESP3 `CLIENT TRACKING` on the connections that read: whoever made
///   them, and without any configuration of the server. Without RESP3 nothing is reported, and the
///   bridge asks again every [`revalidate_every`](crate::bridge::SessionBridgeBuilder::revalidate_every).
///   `FLUSHALL` is not reported; it is found then too.
/// - In a cluster, two ids lie on two servers, so a renaming copies first, and then deletes the old
///   one if that has not changed meanwhile. When nobody knows whether that was done, as no answer came
///   in time, the copy is taken back: at worst, somebody is logged out. While a slot is moved from one
///   server to another, its sessions that have moved already can't be loaded.
///
/// Values of more than 64 KiB are refused.
pub struct RedisStore<T> {
    clients: Arc<Clients>,
    prefix: Arc<str>,
    data: PhantomData<fn() -> T>,
}

struct Clients {
    all: Vec<Client>,
    next: AtomicUsize,
    /// fred's own bound makes it lose count when it is reached, and then it sends nothing any more.
    room: Semaphore,
    /// Dropped with the last store: those that keep the connections up then end them.
    _in_use: Option<watch::Sender<()>>,
}

impl<T> RedisStore<T> {
    /// Connects to `redis://`, `redis-sentinel://`, `redis-cluster://` or `redis+unix://`, with
    /// defaults that never wait for ever; see [`RedisStoreBuilder`]. With the feature `redis-tls` also
    /// to `rediss://`, `rediss-sentinel://` and `rediss-cluster://`.
    ///
    /// # Errors
    ///
    /// When the URL can't be parsed, or the server can't be reached.
    pub async fn connect(url: &str) -> Result<Self, RedisConfigError> {
        Self::builder(url)?.connect().await
    }

    /// Begins to build a store with other settings.
    ///
    /// # Errors
    ///
    /// When the URL can't be parsed.
    pub fn builder(url: &str) -> Result<RedisStoreBuilder, RedisConfigError> {
        RedisStoreBuilder::new(url)
    }

    /// Uses a client of your own, which is connected or will be, and which you close. It should have a
    /// command timeout, a reconnect policy, no `max_command_buffer_len`, and RESP3, without which no changes are reported; in a cluster
    /// `ClusterDiscoveryPolicy::UseCache`, without which the loss of the nodes that it was given is
    /// the loss of all.
    #[must_use]
    pub fn from_client(client: Client) -> Self {
        Self::from_clients(vec![client], DEFAULT_PREFIX.into(), None)
    }

    /// Uses a pool of your own; see [`from_client`](Self::from_client).
    #[must_use]
    pub fn from_pool(pool: &Pool) -> Self {
        Self::from_clients(pool.clients().to_vec(), DEFAULT_PREFIX.into(), None)
    }

    /// Another prefix of keys than `session:`.
    ///
    /// # Errors
    ///
    /// When it holds a brace, which a cluster would take for a hash tag.
    pub fn with_prefix(self, prefix: &str) -> Result<Self, RedisConfigError> {
        let prefix = builder::checked_prefix(prefix)?;
        Ok(Self { prefix, ..self })
    }

    fn from_clients(all: Vec<Client>, prefix: Arc<str>, in_use: Option<watch::Sender<()>>) -> Self {
        let clients = Clients {
            all,
            next: AtomicUsize::new(0),
            room: Semaphore::new(MAX_WAITING),
            _in_use: in_use,
        };
        Self {
            clients: Arc::new(clients),
            prefix,
            data: PhantomData,
        }
    }

    /// A client, and the room for one command.
    fn client(&self) -> Result<(&Client, SemaphorePermit<'_>), StoreError> {
        let room = self.clients.room.try_acquire().map_err(too_many)?;
        let all = &self.clients.all;
        let next = self.clients.next.fetch_add(1, Ordering::Relaxed) % all.len();
        Ok((&all[next], room))
    }

    fn key(&self, id: &SessionId) -> String {
        format!("{}{}", self.prefix, id.expose())
    }
}

fn encode(data: &impl Serialize) -> Result<Bytes, StoreError> {
    let value = serde_json::to_vec(data).map_err(error::encode)?;
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
        let value = encode(data)?;
        let (client, _room) = self.client()?;
        let created = commands::create(client, &self.key(id), value.clone(), ttl).await;
        Ok(if created.map_err(unavailable)? {
            Created::Created(value.into())
        } else {
            Created::Taken
        })
    }

    async fn load(&self, id: &SessionId) -> Result<Option<Record<T>>, StoreError> {
        let (client, _room) = self.client()?;
        let found = commands::load(client, &self.key(id)).await;
        let Some((value, ttl)) = found.map_err(unavailable)? else {
            return Ok(None);
        };
        let data: T = serde_json::from_slice(&value).map_err(decode)?;
        Ok(Some(Record::new(data, ttl, value.into())))
    }

    async fn save(
        &self,
        id: &SessionId,
        data: &T,
        expected: &Revision,
    ) -> Result<Saved, StoreError> {
        // A revision of another store is none of this one's: nothing equals it.
        let expected = Bytes::copy_from_slice(expected.as_bytes().unwrap_or_default());
        let value = match merge::merged::<T>(&expected, data)? {
            Some(merged) => encode(&merged)?,
            None => encode(data)?,
        };
        let (client, _room) = self.client()?;
        let saved = commands::save(client, &self.key(id), expected, value.clone()).await;
        Ok(match saved.map_err(unavailable)? {
            commands::Swap::Done => Saved::Saved(value.into()),
            commands::Swap::Differs => Saved::Conflict,
            commands::Swap::Missing => Saved::Gone,
        })
    }

    async fn touch(&self, id: &SessionId, _: &T, ttl: Duration) -> Result<bool, StoreError> {
        let (client, _room) = self.client()?;
        let touched = commands::touch(client, &self.key(id), ttl).await;
        touched.map_err(unavailable)
    }

    async fn rename(&self, old: &SessionId, new: &SessionId) -> Result<bool, StoreError> {
        let (client, _room) = self.client()?;
        let (old, new) = (self.key(old), self.key(new));
        if client.is_clustered() {
            commands::rename_across_slots(client, old, new).await
        } else {
            commands::rename(client, old, new).await
        }
    }

    async fn delete(&self, id: &SessionId) -> Result<bool, StoreError> {
        let (client, _room) = self.client()?;
        let deleted = commands::delete(client, &self.key(id)).await;
        deleted.map_err(unavailable)
    }

    fn changes(&self) -> Option<Changes> {
        let resp3 = |client: &Client| client.protocol_version() == RespVersion::RESP3;
        if !self.clients.all.iter().all(resp3) {
            tracing::warn!("without RESP3, Redis reports no changes of sessions");
            return None;
        }
        feed::changes(&self.clients.all, &self.prefix)
    }
}

impl<T> Clone for RedisStore<T> {
    fn clone(&self) -> Self {
        Self {
            clients: self.clients.clone(),
            prefix: self.prefix.clone(),
            data: PhantomData,
        }
    }
}

// Without the clients: their configuration shows the password.
impl<T> fmt::Debug for RedisStore<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("prefix", &self.prefix)
            .field("connections", &self.clients.all.len())
            .finish_non_exhaustive()
    }
}
