//! Connecting with settings that never wait for ever.

use std::{fmt, sync::Arc, time::Duration};

use fred::{
    clients::Client,
    error::Error,
    interfaces::ClientLike as _,
    types::{
        ConnectHandle, RespVersion,
        config::{
            ClusterDiscoveryPolicy, Config, ConnectionConfig, PerformanceConfig, ReconnectPolicy,
            ServerConfig, TcpConfig, UnresponsiveConfig,
        },
    },
};

use futures_util::future::try_join_all;
use tokio::sync::watch;

use super::{DEFAULT_PREFIX, RedisStore, tls};

/// How often a command is sent in a cluster, where a server may say that another one has the key: more
/// often than fred follows such words, else its whole connection ends. It is not sent again when a
/// connection breaks.
const CLUSTER_ATTEMPTS: u32 = 8;
/// How long closing may take.
const CLOSING: Duration = Duration::from_secs(1);
/// How soon what keeps a connection up is started again, should it end.
const RESTART: Duration = Duration::from_millis(500);
/// A connection that owes an answer for so long is given up: this is also how soon a server that
/// hangs counts as lost.
const UNRESPONSIVE: Duration = Duration::from_secs(1);

/// So many reports may wait to be read. Of more at one time, nobody knows which sessions they are of,
/// and all are loaded again.
const MAX_REPORTS: usize = 1024;

/// Builds a [`RedisStore`]; made by [`RedisStore::builder`].
///
/// fred's own defaults wait for ever. These don't: a command fails after 500 ms, or at once while there
/// is no connection or ten thousand others wait; it is not sent again when its connection breaks; a connection that does not answer is closed after a
/// second; and reconnecting goes on without end, with growing pauses of up to 5 s.
#[must_use]
pub struct RedisStoreBuilder {
    config: Config,
    #[cfg(feature = "redis-tls")]
    tls: Option<tls::Roots>,
    prefix: Arc<str>,
    command_timeout: Duration,
    connect_timeout: Duration,
    connections: usize,
}

impl RedisStoreBuilder {
    pub(super) fn new(url: &str) -> Result<Self, RedisConfigError> {
        let plain = tls::without(url);
        if plain.is_some() && cfg!(not(feature = "redis-tls")) {
            return Err(RedisConfigError::Tls);
        }
        // fred's words may quote the URL, and with it the password.
        let config = Config::from_url(plain.as_deref().unwrap_or(url));
        let mut config = config.map_err(|_| RedisConfigError::Url)?;
        config.version = RespVersion::RESP3;
        // Else fred asks nobody but the nodes of the URL, and when they are down, the others that it
        // knows, and the replica that took over, are of no use.
        if let ServerConfig::Clustered { policy, .. } = &mut config.server {
            *policy = ClusterDiscoveryPolicy::UseCache;
        }
        Ok(Self {
            config,
            #[cfg(feature = "redis-tls")]
            tls: plain.is_some().then(tls::Roots::default),
            prefix: DEFAULT_PREFIX.into(),
            command_timeout: Duration::from_millis(500),
            connect_timeout: Duration::from_secs(5),
            connections: 1,
        })
    }

    /// What the keys begin with; `session:`, if not set.
    ///
    /// # Errors
    ///
    /// When it holds a brace, which a cluster would take for a hash tag.
    pub fn prefix(mut self, prefix: &str) -> Result<Self, RedisConfigError> {
        self.prefix = checked_prefix(prefix)?;
        Ok(self)
    }

    /// How long a command may take; 500 ms, if not set.
    pub fn command_timeout(mut self, timeout: Duration) -> Self {
        self.command_timeout = timeout;
        self
    }

    /// How long connecting may take; 5 s, if not set.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How many connections there are to each server, at least one; one, if not set. One carries
    /// many commands at the same time.
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections.max(1);
        self
    }

    /// Trusts these certificates too, beside those that the operating system trusts: one or more in
    /// PEM. For a `rediss://` server whose certificate is by an authority of its own.
    ///
    /// # Errors
    ///
    /// When there is none in it, or one can't be parsed.
    #[cfg(feature = "redis-tls")]
    pub fn trust(mut self, pem: &[u8]) -> Result<Self, RedisConfigError> {
        self.tls.get_or_insert_default().add(pem)?;
        Ok(self)
    }

    /// Connects.
    ///
    /// # Errors
    ///
    /// When the server can't be reached.
    pub async fn connect<T>(self) -> Result<RedisStore<T>, RedisConfigError> {
        let config = self.config;
        #[cfg(feature = "redis-tls")]
        let config = Config {
            tls: match self.tls {
                Some(roots) => Some(roots.connector()?.into()),
                None => None,
            },
            ..config
        };
        let performance = PerformanceConfig {
            default_command_timeout: self.command_timeout,
            broadcast_channel_capacity: MAX_REPORTS,
            ..PerformanceConfig::default()
        };
        // A command whose connection broke may have been carried out: whoever sent it decides.
        let clustered = config.server.is_clustered();
        let attempts = if clustered { CLUSTER_ATTEMPTS } else { 1 };
        let connection = ConnectionConfig {
            connection_timeout: self.connect_timeout,
            internal_command_timeout: self.connect_timeout,
            max_command_attempts: attempts,
            // The store has a bound of its own.
            max_command_buffer_len: 0,
            unresponsive: UnresponsiveConfig {
                max_timeout: Some(UNRESPONSIVE),
                interval: UNRESPONSIVE / 4,
            },
            tcp: TcpConfig {
                nodelay: Some(true),
                ..TcpConfig::default()
            },
            ..ConnectionConfig::default()
        };
        let policy = ReconnectPolicy::new_exponential(0, 50, 5_000, 2);
        let client = || {
            let (performance, connection) = (performance.clone(), connection.clone());
            let policy = Some(policy.clone());
            Client::new(config.clone(), Some(performance), Some(connection), policy)
        };
        let clients: Vec<Client> = (0..self.connections).map(|_| client()).collect();
        let connecting = try_join_all(clients.iter().map(Client::init));
        let connected = match tokio::time::timeout(self.connect_timeout, connecting).await {
            Ok(connected) => connected.map_err(RedisConfigError::Connect),
            Err(_elapsed) => Err(RedisConfigError::ConnectTimeout),
        };
        let tasks = connected.inspect_err(|_| {
            for client in clients.clone() {
                tokio::spawn(close(client));
            }
        })?;
        let (in_use, dropped) = watch::channel(());
        for (client, task) in clients.iter().zip(tasks) {
            let performance = performance.clone();
            tokio::spawn(keep_up(client.clone(), performance, task, dropped.clone()));
        }
        Ok(RedisStore::from_clients(clients, self.prefix, Some(in_use)))
    }
}

/// fred's task for a client must not end: without it, every command would time out for ever. When
/// nobody has the store any more, it is ended.
async fn keep_up(
    client: Client,
    performance: PerformanceConfig,
    mut task: ConnectHandle,
    mut dropped: watch::Receiver<()>,
) {
    loop {
        tokio::select! {
            _ = dropped.changed() => {
                close(client).await;
                task.abort();
                return;
            }
            ended = &mut task => {
                let error = ended.ok().and_then(Result::err);
                let error = error.as_ref().map(tracing::field::display);
                tracing::error!(error, "the connection to Redis has ended; it is made anew");
            }
        }
        tokio::time::sleep(RESTART).await;
        // fred has lost count of the commands that wait, and would send none before many are there.
        client.update_perf_config(PerformanceConfig {
            max_feed_count: 0,
            ..performance.clone()
        });
        task = client.connect();
    }
}

async fn close(client: Client) {
    let _ = tokio::time::timeout(CLOSING, client.quit()).await;
}

pub(super) fn checked_prefix(prefix: &str) -> Result<Arc<str>, RedisConfigError> {
    if prefix.contains(['{', '}']) {
        return Err(RedisConfigError::Prefix(prefix.to_owned()));
    }
    Ok(prefix.into())
}

// The configuration shows the password.
impl fmt::Debug for RedisStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStoreBuilder")
            .field("prefix", &self.prefix)
            .field("command_timeout", &self.command_timeout)
            .finish_non_exhaustive()
    }
}

/// What is wrong with the configuration of a [`RedisStore`].
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum RedisConfigError {
    /// The URL can't be parsed. It is not shown, as it may hold a password.
    #[error("the URL of the Redis server can't be parsed")]
    Url,
    /// The URL wants TLS, for which the feature `redis-tls` is needed.
    #[error("to speak TLS to Redis, the feature `redis-tls` is needed")]
    Tls,
    /// A certificate can't be parsed, or TLS can't be set up.
    #[error("TLS can't be set up")]
    Certificate(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// The prefix holds a brace.
    #[error("{0:?} holds a brace, and can't be a prefix of keys")]
    Prefix(String),
    /// The server can't be reached.
    #[error("the Redis server can't be reached")]
    Connect(#[source] Error),
    /// The server did not answer in time.
    #[error("the Redis server did not answer in time")]
    ConnectTimeout,
}
