//! The driver over fred.
//!
//! Work-arounds for its router, each with the test that fails without it:
//!
//! 1. Scripts and `CLIENT TRACKING` are custom commands to one server. fred's own ones go to all
//!    nodes of a cluster at once, and all other commands wait until the last node has answered.
//!    (`one_master_hangs_and_the_others_answer`)
//! 2. Each command is sent with `fail_fast`; otherwise it waits for the reconnection of its server.
//!    (`a_server_that_hangs_is_a_timeout_and_a_late_write_brings_nothing_back`)
//! 3. The bound on waiting commands is the store's. Beyond fred's own bound it loses count of them, and
//!    sends nothing any more. (`more_commands_than_can_wait_break_nothing`)
//! 4. fred's task for a client can end; it is started again, with a flush after every command, because
//!    the count of waiting commands is wrong by then.
//!    (`one_node_of_a_cluster_goes_and_comes_back`, `a_cluster_is_resharded`)
//! 5. `ClusterDiscoveryPolicy::UseCache`: otherwise only the nodes of the URL are asked for the others.
//!    (`a_replica_of_a_cluster_takes_over`)
//! 6. A `FLUSHALL` is pushed as `invalidate` with a null in place of the keys, which fred drops. The
//!    feed's heartbeat notices it. (`a_flushed_database_is_noticed`)

mod both;
mod events;
mod keep_up;
mod settings;
mod tls;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
pub(in crate::store::redis) use fred::clients::{Client, Pool};
use fred::{
    clients::WithOptions,
    error::{Error, ErrorKind},
    interfaces::{ClientLike, ClusterInterface as _, KeysInterface as _},
    types::{
        ClusterHash, CustomCommand, Expiration, Key, RespVersion, SetOptions, Value,
        config::{Options, Server},
    },
};
use futures_util::stream::BoxStream;

use self::both::both;
pub(in crate::store::redis) use self::settings::Settings;
use super::{
    Driver, DriverError, Event, Failure, Master, Reply, SetIf, SharedKey, reconnects::Reconnects,
};
use crate::observe::target;

/// Work-around 2.
fn fail_fast() -> Options {
    Options {
        fail_fast: true,
        ..Options::default()
    }
}

/// A client of fred.
pub(in crate::store::redis) struct FredDriver {
    client: Client,
    /// The same client, for commands that are sent with the options of work-around 2.
    fast: WithOptions<Client>,
    /// As `fast`, without a timeout of its own: for a command that is sent right behind another.
    second: WithOptions<Client>,
    reconnects: Reconnects,
}

impl FredDriver {
    pub(in crate::store::redis) fn new(client: Client) -> Self {
        Self {
            fast: client.with_options(&fail_fast()),
            second: client.with_options(&Options {
                timeout: Some(Duration::ZERO),
                ..fail_fast()
            }),
            client,
            reconnects: Reconnects::default(),
        }
    }

    /// Classifies an error, and reconnects when the server is a replica.
    fn failed(&self, error: Error) -> DriverError {
        let error = classified(error);
        if error.failure() == Failure::Demoted && self.reconnects.is_due() {
            tracing::warn!(
                target: target::STORE,
                error = error.cause(),
                "the Redis server is a replica now; looking its primary up again"
            );
            let client = self.client.clone();
            tokio::spawn(async move { client.force_reconnection().await });
        }
        error
    }

    /// fred's own name of a node of a cluster; `None` for a single server. (`Server::try_from` reads no
    /// IPv6 address, and knows no name for TLS.)
    fn node(&self, master: &Master) -> Result<Option<Server>, DriverError> {
        if master.slot.is_none() {
            return Ok(None);
        }
        let routing = self.client.cached_cluster_state();
        let nodes = routing
            .into_iter()
            .flat_map(|all| all.unique_primary_nodes());
        match nodes
            .into_iter()
            .find(|node| node.to_string() == master.address)
        {
            Some(node) => Ok(Some(node)),
            None => Err(DriverError::new(Failure::Disconnected, "no such node")),
        }
    }
}

#[async_trait]
impl Driver for FredDriver {
    fn is_clustered(&self) -> bool {
        self.client.is_clustered()
    }

    fn is_connected(&self) -> bool {
        self.client.is_connected()
    }

    fn has_push(&self) -> bool {
        self.client.protocol_version() == RespVersion::RESP3
    }

    /// The timeout of a command, which a slow connection may need.
    fn patience(&self) -> Duration {
        let timeout = self.client.perf_config().default_command_timeout;
        timeout.max(Duration::from_millis(500))
    }

    fn masters(&self) -> Vec<Master> {
        if !self.client.is_clustered() {
            return vec![Master {
                address: String::new(),
                slot: None,
            }];
        }
        let Some(routing) = self.client.cached_cluster_state() else {
            return Vec::new();
        };
        let mut masters: Vec<Master> = Vec::new();
        // In the order of the slots.
        for range in routing.slots() {
            let (address, slot) = (range.primary.to_string(), Some(range.end));
            match masters.iter_mut().find(|known| known.address == address) {
                Some(known) => known.slot = slot,
                None => masters.push(Master { address, slot }),
            }
        }
        masters
    }

    fn events(&self) -> BoxStream<'static, Event> {
        events::of(&self.client)
    }

    /// Work-around 1.
    async fn track(&self, master: &Master) -> Result<(), DriverError> {
        let options = Options {
            cluster_node: self.node(master)?,
            ..fail_fast()
        };
        let command = CustomCommand::new_static("CLIENT", ClusterHash::Random, false);
        let client = self.client.with_options(&options);
        let tracked = client.custom::<Value, _>(command, vec!["TRACKING", "ON"]);
        tracked.await.map(|_| ()).map_err(classified)
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>, DriverError> {
        self.fast.get(key).await.map_err(|e| self.failed(e))
    }

    async fn get_and_ttl(&self, key: &SharedKey) -> Result<(Option<Bytes>, i64), DriverError> {
        // Queued in this order, one right after the other, so that they share a round trip. They share a write,
        // too, unless fred's task takes the first before the second is queued. (fred's own pipeline makes one write
        // of each command while no other waits, and costs more, because it copies its commands.)
        let both = both(self.fast.get(key), self.second.pttl(key));
        let (value, left): (Option<Bytes>, i64) = both.await.map_err(|e| self.failed(e))?;
        // Copied, because a part of fred's buffer would keep the whole buffer.
        Ok((value.map(|value| Bytes::copy_from_slice(&value)), left))
    }

    async fn set(
        &self,
        key: &str,
        value: Bytes,
        ttl: Option<Duration>,
        condition: SetIf,
    ) -> Result<bool, DriverError> {
        let expires = ttl.map(|ttl| Expiration::PX(millis(ttl)));
        let condition = match condition {
            SetIf::Always => None,
            SetIf::Missing => Some(SetOptions::NX),
            SetIf::Present => Some(SetOptions::XX),
        };
        let set = self
            .fast
            .set::<Option<String>, _, _>(key, value, expires, condition, false);
        set.await
            .map(|set| set.is_some())
            .map_err(|e| self.failed(e))
    }

    async fn delete(&self, key: &str) -> Result<bool, DriverError> {
        self.fast.del(key).await.map_err(|e| self.failed(e))
    }

    /// Work-around 1.
    async fn eval(
        &self,
        script: &'static str,
        keys: &[&str],
        args: Vec<Bytes>,
    ) -> Result<Reply, DriverError> {
        let mut words: Vec<Value> = Vec::with_capacity(2 + keys.len() + args.len());
        words.extend([script.into(), keys.len().to_string().into()]);
        words.extend(keys.iter().map(|key| Value::from(*key)));
        words.extend(args.into_iter().map(Value::Bytes));
        // The third word is the first key.
        let eval = CustomCommand::new_static("EVAL", ClusterHash::Offset(2), false);
        let reply = self.fast.custom(eval, words).await;
        reply.map(reply_of).map_err(|e| self.failed(e))
    }
}

/// From a reference, because the future of a command then holds nothing to drop before its first poll. Otherwise
/// the compiler copies all 10 KiB of both futures into their box.
impl From<&SharedKey> for Key {
    fn from(key: &SharedKey) -> Self {
        key.0.clone().into()
    }
}

fn millis(ttl: Duration) -> i64 {
    let millis = ttl.as_millis().max(1);
    i64::try_from(millis).unwrap_or(i64::MAX)
}

fn reply_of(value: Value) -> Reply {
    match value {
        Value::Integer(integer) => Reply::Integer(integer),
        Value::Bytes(bytes) => Reply::Bytes(bytes),
        Value::String(text) => Reply::Bytes(text.into_inner()),
        Value::Array(values) => Reply::List(values.into_iter().map(reply_of).collect()),
        _ => Reply::Nil,
    }
}

/// fred gives one kind to errors of its own and to replies, so that the text must decide.
fn classified(error: Error) -> DriverError {
    let failure = match error.kind() {
        ErrorKind::Timeout => Failure::Timeout,
        ErrorKind::IO => Failure::Disconnected,
        _ if begins_with_a_code(error.details()) => return DriverError::reply(error.details()),
        ErrorKind::Auth => Failure::Auth,
        ErrorKind::Canceled
        | ErrorKind::Backpressure
        | ErrorKind::Cluster
        | ErrorKind::Sentinel
        | ErrorKind::Routing
        | ErrorKind::Unknown => Failure::Disconnected,
        _ => Failure::Other,
    };
    DriverError::new(failure, error)
}

/// Replies begin with a word in capitals; fred's own texts don't.
fn begins_with_a_code(text: &str) -> bool {
    let word = text.split(' ').next().unwrap_or_default();
    word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_fred_are_told_from_replies() {
        for (kind, text, expected) in [
            (ErrorKind::Timeout, "", Failure::Timeout),
            (ErrorKind::IO, "Os { code: 111 }", Failure::Disconnected),
            (
                ErrorKind::Unknown,
                "Failed to route command.",
                Failure::Disconnected,
            ),
            (ErrorKind::Unknown, "OOM not allowed", Failure::NotNow),
            (
                ErrorKind::Sentinel,
                "Failed to connect to all sentinel nodes.",
                Failure::Disconnected,
            ),
            (
                ErrorKind::Sentinel,
                "ERR unknown command 'HELLO'",
                Failure::Denied,
            ),
            (
                ErrorKind::InvalidArgument,
                "WRONGTYPE Operation",
                Failure::WrongType,
            ),
            (ErrorKind::Cluster, "CLUSTERDOWN down", Failure::Starting),
            (ErrorKind::Parse, "Could not convert", Failure::Other),
        ] {
            let failure = classified(Error::new(kind, text)).failure();
            assert_eq!(failure, expected, "{text}");
        }
    }
}
