//! A session in a user's index.

use std::time::SystemTime;

use crate::id::SessionId;

/// A session in a user's index; see [`SessionStore::sessions_of_user`](super::SessionStore::sessions_of_user).
///
/// ```
/// use std::time::SystemTime;
/// use socketioxide_session::{SessionId, store::IndexedSession};
///
/// let indexed = IndexedSession::new(SessionId::generate()?, SystemTime::now());
/// # drop(indexed);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct IndexedSession {
    /// Its id.
    pub id: SessionId,
    /// When it was created; a rename keeps this.
    pub created: SystemTime,
}

impl IndexedSession {
    /// A session in an index.
    #[must_use]
    pub fn new(id: SessionId, created: SystemTime) -> Self {
        Self { id, created }
    }
}
