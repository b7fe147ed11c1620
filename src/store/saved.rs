//! The result of a save.

use super::revision::Revision;

/// Result of [`SessionStore::save`](super::SessionStore::save).
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use std::time::Duration;
/// use socketioxide_session::{MemoryStore, SessionId, SessionStore, store::{Created, Saved}};
///
/// let (store, id) = (MemoryStore::<u32>::new(), SessionId::generate()?);
/// let Created::Created(revision) = store.create(&id, &1, Duration::from_secs(60)).await? else { unreachable!() };
/// assert!(matches!(store.save(&id, &2, &revision).await?, Saved::Saved(_)));
/// assert_eq!(store.save(&id, &3, &revision).await?, Saved::Conflict);
/// store.delete(&id).await?;
/// assert_eq!(store.save(&id, &4, &revision).await?, Saved::Gone);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Saved {
    // Exhaustive: a wrapper of a store handles each outcome, and a new one would change the contract.
    /// The data was replaced, and has this revision now.
    Saved(Revision),
    /// The data has another revision than the expected one, and was left as it is.
    Conflict,
    /// The session does not exist.
    Gone,
}
