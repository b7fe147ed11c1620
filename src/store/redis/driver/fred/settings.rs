//! Connects with settings under which every call ends.

use std::{sync::Arc, time::Duration};

use fred::{
    clients::Client,
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
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use super::{
    super::{super::config_error::RedisConfigError, Driver, DriverError, Failure},
    FredDriver, classified,
    keep_up::{close, keep_up},
    tls,
};
use crate::observe::target;

/// Maximum number of times that a command is sent in a cluster, because each server may redirect it.
/// It is more than fred's limit of redirections, whose excess ends the whole client.
const CLUSTER_ATTEMPTS: u32 = 8;
/// Time without an answer after which a connection is closed; twice the timeout of a command, if that is longer.
const UNRESPONSIVE: Duration = Duration::from_secs(1);
/// Maximum number of reports that wait to be read. Of further ones only the loss is known, so that all
/// sessions are loaded again.
const MAX_REPORTS: usize = 1024;
/// Maximum time of one attempt to connect. A server that hangs would use up the whole timeout otherwise.
const MAX_ATTEMPT: Duration = Duration::from_secs(5);
/// Delay between two attempts to connect.
const RETRY: Duration = Duration::from_millis(100);

/// Addresses and settings of the connections.
pub(in crate::store::redis) struct Settings {
    config: Config,
    #[cfg(feature = "redis-tls")]
    tls: Option<tls::Roots>,
    pub(in crate::store::redis) command_timeout: Duration,
    pub(in crate::store::redis) connect_timeout: Duration,
    pub(in crate::store::redis) connections: usize,
}

/// Connected drivers. They are closed once the guard is dropped.
pub(in crate::store::redis) type Connected = (Vec<Arc<dyn Driver>>, watch::Sender<()>);

impl Settings {
    pub(in crate::store::redis) fn from_url(url: &str) -> Result<Self, RedisConfigError> {
        let plain = tls::without(url);
        if plain.is_some() && cfg!(not(feature = "redis-tls")) {
            return Err(RedisConfigError::Tls);
        }
        if !has_known_scheme(url) {
            return Err(RedisConfigError::Url);
        }
        // The text of fred's error may quote the URL, and with it the password.
        let config = Config::from_url(plain.as_deref().unwrap_or(url));
        let mut config = config.map_err(|_| RedisConfigError::Url)?;
        config.version = RespVersion::RESP3;
        // Work-around 5.
        if let ServerConfig::Clustered { policy, .. } = &mut config.server {
            *policy = ClusterDiscoveryPolicy::UseCache;
        }
        Ok(Self {
            config,
            #[cfg(feature = "redis-tls")]
            tls: plain.is_some().then(tls::Roots::default),
            command_timeout: Duration::from_millis(500),
            connect_timeout: Duration::from_secs(5),
            connections: 1,
        })
    }

    #[cfg(feature = "redis-tls")]
    pub(in crate::store::redis) fn trust(&mut self, pem: &[u8]) -> Result<(), RedisConfigError> {
        self.tls.get_or_insert_default().add(pem)
    }

    /// Connects. Waits until the deadline for a server that is not up yet, and speaks RESP2 to one that
    /// refuses `HELLO`.
    pub(in crate::store::redis) async fn connect(
        mut self,
        deadline: Instant,
    ) -> Result<Connected, RedisConfigError> {
        #[cfg(feature = "redis-tls")]
        if let Some(roots) = self.tls.take() {
            self.config.tls = Some(roots.connector()?.into());
        }
        let mut last = None;
        loop {
            let error = match self.attempt(deadline).await {
                Ok(connected) => return Ok(connected),
                Err(Some(error)) => error,
                Err(None) => return Err(RedisConfigError::late(last)),
            };
            match error.failure() {
                // Valkey answers NOAUTH to a command that it does not know.
                Failure::Denied | Failure::Auth if self.config.version == RespVersion::RESP3 => {
                    self.config.version = RespVersion::RESP2;
                    continue;
                }
                Failure::Timeout
                | Failure::Disconnected
                | Failure::Starting
                | Failure::NotNow
                | Failure::Demoted => last = Some(error),
                _ => return Err(RedisConfigError::connect(error)),
            }
            let next = Instant::now() + RETRY;
            if next >= deadline {
                return Err(RedisConfigError::late(last));
            }
            tokio::time::sleep_until(next).await;
        }
    }

    /// One attempt; `None` when the deadline came.
    async fn attempt(&self, deadline: Instant) -> Result<Connected, Option<DriverError>> {
        let clients: Vec<Client> = (0..self.connections).map(|_| self.client()).collect();
        let connecting = try_join_all(clients.iter().map(Client::init));
        let tasks = match timeout_at(deadline, connecting).await {
            Ok(Ok(tasks)) => tasks,
            failed => {
                for client in clients {
                    tokio::spawn(close(client));
                }
                return Err(failed.ok().and_then(Result::err).map(classified));
            }
        };
        if self.config.version == RespVersion::RESP2 {
            tracing::warn!(
                target: target::FEED,
                "the Redis server refuses HELLO; it is used with RESP2, without reports of changes"
            );
        }
        Ok(self.kept_up(clients, tasks))
    }

    fn kept_up(&self, clients: Vec<Client>, tasks: Vec<ConnectHandle>) -> Connected {
        let (in_use, dropped) = watch::channel(());
        for (client, task) in clients.iter().zip(tasks) {
            let kept = keep_up(client.clone(), self.performance(), task, dropped.clone());
            tokio::spawn(kept);
        }
        let driver = |client| Arc::new(FredDriver::new(client)) as Arc<dyn Driver>;
        (clients.into_iter().map(driver).collect(), in_use)
    }

    fn client(&self) -> Client {
        let policy = ReconnectPolicy::new_exponential(0, 50, 5_000, 2);
        Client::new(
            self.config.clone(),
            Some(self.performance()),
            Some(self.connection()),
            Some(policy),
        )
    }

    fn performance(&self) -> PerformanceConfig {
        PerformanceConfig {
            default_command_timeout: self.command_timeout,
            broadcast_channel_capacity: MAX_REPORTS,
            ..PerformanceConfig::default()
        }
    }

    fn connection(&self) -> ConnectionConfig {
        // A command whose connection broke may have been run, so that only the caller can send it again.
        let clustered = self.config.server.is_clustered();
        let attempt = self.connect_timeout.min(MAX_ATTEMPT);
        ConnectionConfig {
            connection_timeout: attempt,
            internal_command_timeout: attempt,
            max_command_attempts: if clustered { CLUSTER_ATTEMPTS } else { 1 },
            // Work-around 3.
            max_command_buffer_len: 0,
            unresponsive: UnresponsiveConfig {
                max_timeout: Some(UNRESPONSIVE.max(self.command_timeout * 2)),
                interval: UNRESPONSIVE / 4,
            },
            tcp: TcpConfig {
                nodelay: Some(true),
                ..TcpConfig::default()
            },
            ..ConnectionConfig::default()
        }
    }
}

/// Whether the scheme is one of Redis. fred takes any other for that of a single server.
fn has_known_scheme(url: &str) -> bool {
    let url = url.trim_start_matches(|c: char| c <= ' ');
    let scheme = url.split(':').next().unwrap_or_default();
    let (library, deployment) = match scheme.find(['-', '+']) {
        Some(at) => scheme.split_at(at),
        None => (scheme, ""),
    };
    let is_one_of = |text: &str, all: &[&str]| all.iter().any(|one| text.eq_ignore_ascii_case(one));
    is_one_of(library, &["redis", "rediss", "valkey", "valkeys"])
        && is_one_of(deployment, &["", "-cluster", "-sentinel", "+unix"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_schemes_of_redis_are_taken() {
        for (url, known) in [
            ("redis://a", true),
            ("REDISS-Cluster://a", true),
            (" valkey-sentinel://a", true),
            ("redis+unix:///a", true),
            ("http://a", false),
            ("redis-clusters://a", false),
            ("redis", true),
            ("", false),
        ] {
            assert_eq!(has_known_scheme(url), known, "{url}");
        }
    }
}
