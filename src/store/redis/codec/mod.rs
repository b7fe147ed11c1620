//! Formats of sessions in Redis: this crate's own JSON, and the records of other programs.

mod error;
mod express;
mod field;
mod json;
mod merge;
mod records;
#[cfg(any(feature = "tower-sessions-0-14", feature = "tower-sessions-0-15"))]
mod tower_sessions;

use std::time::Duration;

pub use self::records::Records;
#[cfg(any(feature = "tower-sessions-0-14", feature = "tower-sessions-0-15"))]
pub use self::tower_sessions::TowerSessionsRecords;
pub use self::{
    express::{ExpressRecords, ExpressRecordsError, SameSite},
    field::FieldPathError,
};
use crate::{id::SessionId, store::StoreError};

/// The format of the records of a [`RedisStore`](super::RedisStore).
///
/// A record is the value of a session's key. Its expiry is the key's, in every format.
pub(crate) trait Codec<T>: Send + Sync {
    /// Reads a record; `None` when it is a record of a client that is not signed in.
    ///
    /// # Errors
    ///
    /// [`Decode`](crate::store::StoreErrorKind::Decode), with the path of the field and without data.
    fn decode(&self, stored: &[u8]) -> Result<Option<T>, StoreError>;

    /// Writes the record of a new session.
    ///
    /// # Errors
    ///
    /// [`Encode`](crate::store::StoreErrorKind::Encode) when the record would not read back as `data`.
    fn create(&self, id: &SessionId, data: &T, ttl: Duration) -> Result<Vec<u8>, StoreError>;

    /// Writes a record with new data over an existing one, whose other fields are kept.
    ///
    /// # Errors
    ///
    /// [`Decode`](crate::store::StoreErrorKind::Decode) when `stored` is no record, and
    /// [`Encode`](crate::store::StoreErrorKind::Encode) when the result would not read back as `data`.
    fn update(&self, stored: &[u8], data: &T) -> Result<Vec<u8>, StoreError>;

    /// Whether records contain their id, so that a rename [changes](Self::renamed) them.
    fn contains_id(&self) -> bool {
        false
    }

    /// Writes a record for another id, if records [contain](Self::contains_id) it.
    ///
    /// # Errors
    ///
    /// As [`update`](Self::update).
    fn renamed(&self, stored: &[u8], _new: &SessionId) -> Result<Vec<u8>, StoreError> {
        Ok(stored.to_vec())
    }

    /// The lifetime of a session after a touch.
    fn touch(&self) -> Touch {
        Touch::Given
    }

    /// Whether other programs write the records.
    fn foreign_records(&self) -> bool {
        false
    }
}

/// The lifetime of a session after a touch, which never shortens it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Touch {
    /// The given ttl.
    Given,
    /// Script that extends the life of the record. Its key is the session's; its arguments are `ttl`, the
    /// longest ttl that Redis takes, and how much may be missing, in milliseconds. It returns the life
    /// that is left, as `PTTL` does.
    Script {
        source: &'static str,
        /// The ttl of a record that does not have its own.
        ttl: Duration,
    },
}

#[cfg(test)]
mod store_tests;
