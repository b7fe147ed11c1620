//! The seam between the store and the library that speaks to Redis.
//!
//! Everything outside this folder speaks to Redis through [`Driver`]. A second library is added as a
//! folder beside [`fred`], with its own settings and its own implementation of the trait.

mod error;
mod fred;
mod reconnects;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;

pub(super) use self::{
    error::{DriverError, Failure},
    fred::{Client, FredDriver, Pool, Settings},
};

/// One connection to each server: the commands of the store, and the events of the feed.
///
/// # Contract
///
/// 1. A command fails at once while there is no connection. It is never sent again after its
///    connection broke, because the server may have run it.
/// 2. A command follows `MOVED` and `ASK` by itself. It never waits for a server other than the one
///    that holds its key.
/// 3. Commands of one driver reach one server in the order of the calls.
/// 4. After [`Failure::Demoted`] the driver closes its connection and looks its server up again, at a
///    limited rate.
/// 5. The library reconnects by itself, without a limit of attempts.
#[async_trait]
pub(super) trait Driver: Send + Sync + 'static {
    /// Whether keys are spread over several servers by their hash slots.
    fn is_clustered(&self) -> bool;

    /// Whether there is a connection now.
    fn is_connected(&self) -> bool;

    /// Whether the connection can receive reports of changes, which needs RESP3.
    fn has_push(&self) -> bool;

    /// Time after which a server that does not answer counts as one that hangs.
    fn patience(&self) -> Duration {
        Duration::from_millis(500)
    }

    /// The servers that hold the keys.
    fn masters(&self) -> Vec<Master>;

    /// The events of the connection from now on. The stream ends when the client is closed.
    fn events(&self) -> BoxStream<'static, Event>;

    /// `CLIENT TRACKING ON` at one server.
    async fn track(&self, master: &Master) -> Result<(), DriverError>;

    /// `GET`.
    async fn get(&self, key: &str) -> Result<Option<Bytes>, DriverError>;

    /// `GET` and `PTTL` in one round trip. The `GET` arms tracking.
    async fn get_and_ttl(&self, key: &SharedKey) -> Result<(Option<Bytes>, i64), DriverError>;

    /// `SET`, with `PX` when there is a `ttl`. `false` when the condition was not met.
    async fn set(
        &self,
        key: &str,
        value: Bytes,
        ttl: Option<Duration>,
        condition: SetIf,
    ) -> Result<bool, DriverError>;

    /// `DEL`. `true` when the key existed.
    async fn delete(&self, key: &str) -> Result<bool, DriverError>;

    /// `EVAL` of a script whose keys are in one slot. The script is sent whole.
    async fn eval(
        &self,
        script: &'static str,
        keys: &[&str],
        args: Vec<Bytes>,
    ) -> Result<Reply, DriverError>;
}

/// A key that several commands share, without a copy for each.
pub(super) struct SharedKey(Bytes);

impl From<String> for SharedKey {
    fn from(key: String) -> Self {
        Self(key.into())
    }
}

/// The condition of a `SET`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SetIf {
    Always,
    /// `NX`.
    Missing,
    /// `XX`.
    Present,
}

/// A server that holds keys.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Master {
    /// Host and port in a cluster; empty for a single server, whose address may change.
    pub(super) address: String,
    /// In a cluster, the last hash slot of this server. (A resharding moves the first ones first.)
    pub(super) slot: Option<u16>,
}

/// An event of a connection.
#[derive(Debug)]
pub(super) enum Event {
    /// The server reports changes of these keys.
    Changed(Vec<Bytes>),
    /// Some reports were dropped, because they were not read in time.
    Skipped,
    /// A connection broke.
    Broken,
    /// A connection was made again. It is not tracked.
    Restored,
}

/// The reply to a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    Nil,
    Integer(i64),
    Bytes(Bytes),
    List(Vec<Reply>),
}

impl Reply {
    /// The integer; 0 for anything else, which no script of ours returns instead.
    pub(super) fn integer(&self) -> i64 {
        match self {
            Self::Integer(integer) => *integer,
            _ => 0,
        }
    }

    /// The bytes, if it is any.
    pub(super) fn into_bytes(self) -> Option<Bytes> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }
}
