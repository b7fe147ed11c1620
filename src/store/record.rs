//! The result of a load.

use std::{sync::Arc, time::Duration};

use super::revision::Revision;

/// A session as it was loaded.
///
/// ```
/// use std::time::Duration;
/// use socketioxide_session::store::{Record, Revision};
///
/// // The result of a store's `load`.
/// let record: Record<String> = Record::new("data".to_owned(), Some(Duration::from_hours(1)), Revision::from(7));
/// assert_eq!(*record.data, "data");
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Record<T> {
    /// The data of the session.
    pub data: Arc<T>,
    /// Remaining lifetime from now; `None`: it does not expire.
    pub ttl: Option<Duration>,
    /// Revision of the data.
    pub revision: Revision,
}

impl<T> Record<T> {
    /// A record of a session that lives for `ttl` from now (`None`: it does not expire).
    pub fn new(data: impl Into<Arc<T>>, ttl: Option<Duration>, revision: Revision) -> Self {
        Self {
            data: data.into(),
            ttl,
            revision,
        }
    }
}

impl<T> Clone for Record<T> {
    fn clone(&self) -> Self {
        Self {
            data: self.data.clone(),
            ttl: self.ttl,
            revision: self.revision.clone(),
        }
    }
}
