//! Errors in the configuration of a store, and those that keep it from connecting.

use std::{error::Error, sync::Arc};

use super::driver::DriverError;

type Cause = Arc<dyn Error + Send + Sync>;

/// A wrong setting of a [`RedisStore`](super::RedisStore), or the reason why it can't connect.
///
/// None of them shows a password, and none shows the URL, which may hold one.
///
/// ```
/// use socketioxide_session::{RedisStore, store::RedisConfigError};
///
/// let error = RedisStore::<()>::builder("http://127.0.0.1").unwrap_err();
/// assert!(matches!(error, RedisConfigError::Url));
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum RedisConfigError {
    /// The URL can't be parsed.
    #[error("the URL of the Redis server can't be parsed")]
    Url,
    /// The URL asks for TLS, which needs the feature `redis-tls`.
    #[error("to speak TLS to Redis, the feature `redis-tls` is needed")]
    Tls,
    /// A certificate can't be parsed, or TLS can't be set up.
    #[error("TLS can't be set up")]
    Certificate(#[source] Cause),
    /// The prefix contains a brace, which a cluster would take for a hash tag.
    #[error("{0:?} contains a brace, and can't be a prefix of keys")]
    Prefix(String),
    /// This setting must not be zero.
    #[error("`{0}` must not be zero")]
    Zero(&'static str),
    /// The server can't be reached, or refuses the connection.
    #[error("the Redis server can't be reached")]
    Connect(#[source] Cause),
    /// The server did not answer in time.
    #[error("the Redis server did not answer in time")]
    ConnectTimeout,
    /// The Redis user may not run a command that the store needs, or the server does not have it.
    #[error("the Redis server refuses the command {command}, which is needed")]
    CommandRefused {
        /// The name of the command.
        command: &'static str,
        /// The reply of the server.
        source: Cause,
    },
    /// The Redis user may not use keys that the store needs.
    #[error("the Redis user may not use the keys {keys}, which are needed")]
    KeysRefused {
        /// The pattern of the keys, as in the documentation of [`RedisStore`](super::RedisStore).
        keys: String,
        /// The reply of the server.
        source: Cause,
    },
}

impl RedisConfigError {
    pub(super) fn connect(error: DriverError) -> Self {
        Self::Connect(error.into_cause().into())
    }

    /// The deadline came, after this error.
    pub(super) fn late(last: Option<DriverError>) -> Self {
        last.map_or(Self::ConnectTimeout, Self::connect)
    }

    /// The command was refused: for itself, or for a key of this pattern.
    pub(super) fn refused(command: &'static str, keys: String, error: DriverError) -> Self {
        if error.is_about_keys() {
            let source = error.into_cause().into();
            return Self::KeysRefused { keys, source };
        }
        Self::CommandRefused {
            command,
            source: error.into_cause().into(),
        }
    }
}
