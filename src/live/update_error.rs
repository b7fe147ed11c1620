//! Why a session was not changed.

use super::load_error::LoadError;
use crate::store::{StoreError, StoreErrorKind};

/// Why a session was not changed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum UpdateError {
    /// The session has ended. It is not brought back.
    #[error("the session has ended")]
    Gone,
    /// Other writers changed the session again and again, for five seconds.
    #[error("the session is changed by other writers all the time")]
    Contended,
    /// The stored record can't be decoded. It was left as it is.
    #[error(transparent)]
    Unreadable(StoreError),
    /// The store failed. The change may have taken effect all the same.
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for UpdateError {
    fn from(error: StoreError) -> Self {
        match error.kind() {
            StoreErrorKind::Decode => Self::Unreadable(error),
            _ => Self::Store(error),
        }
    }
}

impl From<LoadError> for UpdateError {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::NotFound | LoadError::Revoked => Self::Gone,
            LoadError::Unreadable(error) => Self::Unreadable(error),
            LoadError::Store(error) => Self::Store(error),
        }
    }
}

/// Why [`Session::try_update`](crate::Session::try_update) changed nothing.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum TryUpdateError<E> {
    /// The closure returned this error; nothing was saved.
    #[error("the update was refused")]
    Refused(E),
    /// The session was not changed.
    #[error(transparent)]
    Update(#[from] UpdateError),
}
