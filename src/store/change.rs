//! Reports of a store.

use crate::id::SessionId;

/// A report of a store about its sessions.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use std::time::Duration;
/// use socketioxide_session::{MemoryStore, SessionId, SessionStore, store::Change};
///
/// let (store, id) = (MemoryStore::<u32>::new(), SessionId::generate()?);
/// let mut changes = store.changes().ok_or("it reports its changes")?;
/// let _created = store.create(&id, &1, Duration::from_secs(60)).await?;
/// assert_eq!(changes.next().await, Some(Change::Session(id)));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// Something about this session changed: load it again.
    Session(SessionId),
    /// The feed broke: nothing that is known is certain until it was loaded again.
    Disconnected,
    /// The feed is back, or has skipped some: load all sessions again.
    Resync,
}
