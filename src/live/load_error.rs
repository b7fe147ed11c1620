//! Why a session could not be loaded.

use crate::store::{StoreError, StoreErrorKind};

/// Why a session could not be loaded.
#[derive(Debug, Clone)]
pub(crate) enum LoadError {
    /// The session does not exist, or has ended.
    NotFound,
    /// Its record can't be decoded: the session's problem, not the store's.
    Unreadable(StoreError),
    /// The application's `verify` rejected it.
    Revoked,
    /// The store failed, so it is unknown whether the session exists.
    Store(StoreError),
}

impl From<StoreError> for LoadError {
    fn from(error: StoreError) -> Self {
        match error.kind() {
            StoreErrorKind::Decode => Self::Unreadable(error),
            _ => Self::Store(error),
        }
    }
}
