//! What is wrong with settings or a call, as opposed to a client.

use crate::store::StoreError;

/// What is wrong with the settings of a bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BridgeConfigError {
    /// A duration is zero.
    #[error("`{setting}` is zero")]
    Zero {
        /// The builder's method.
        setting: &'static str,
    },
    /// A duration is longer than a hundred years.
    #[error("`{setting}` is longer than a hundred years")]
    TooLong {
        /// The builder's method.
        setting: &'static str,
    },
    /// Two settings contradict each other.
    #[error("`{shorter}` is longer than `{longer}`")]
    Contradiction {
        /// The method whose duration has to be the shorter one.
        shorter: &'static str,
        /// The method whose duration has to be the longer one.
        longer: &'static str,
    },
}

/// Why no session with a given id was created.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CreateError {
    /// A session of this id exists, or its deletion is still owed on this node.
    #[error("a session of this id exists")]
    Taken,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
