//! Failures as [`StoreError`]s.

use tokio::sync::TryAcquireError;

use super::driver::{DriverError, Failure};
use crate::store::{StoreError, StoreErrorKind};

pub(super) fn failed(error: DriverError) -> StoreError {
    let kind = match error.failure() {
        Failure::Timeout => StoreErrorKind::Timeout,
        Failure::Disconnected
        | Failure::Auth
        | Failure::Demoted
        | Failure::Starting
        | Failure::NotNow => StoreErrorKind::Unavailable,
        // The key holds something that is not a string, so that it is no session.
        Failure::WrongType => StoreErrorKind::Decode,
        Failure::Denied | Failure::Other => StoreErrorKind::Other,
    };
    StoreError::new(kind, error.into_cause())
}

pub(super) fn too_many(error: TryAcquireError) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, error)
}

pub(super) fn too_large(bytes: usize) -> StoreError {
    let why = format!("{bytes} bytes of JSON");
    StoreError::new(StoreErrorKind::TooLarge, why)
}

pub(super) fn taken() -> StoreError {
    StoreError::new(StoreErrorKind::Other, "the new id is taken")
}

pub(super) fn not_an_id() -> StoreError {
    let why = "the records of this format can't have such an id";
    StoreError::new(StoreErrorKind::Encode, why)
}
