//! The result of a creation.

use super::revision::Revision;

/// Result of [`SessionStore::create`](super::SessionStore::create).
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use std::time::Duration;
/// use socketioxide_session::{MemoryStore, SessionId, SessionStore, store::Created};
///
/// let (store, id) = (MemoryStore::<u32>::new(), SessionId::generate()?);
/// assert!(matches!(store.create(&id, &1, Duration::from_secs(60)).await?, Created::Created(_)));
/// assert_eq!(store.create(&id, &2, Duration::from_secs(60)).await?, Created::Taken);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Created {
    // Exhaustive: a wrapper of a store handles each outcome, and a new one would change the contract.
    /// The session was created, and its data has this revision.
    Created(Revision),
    /// A session of this id exists, and was left as it is.
    Taken,
}
