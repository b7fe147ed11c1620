//! Faults of a store.

use std::time::Duration;

use crate::store::StoreErrorKind;

/// A fault of a call.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use socketioxide_session::{MemoryStore, SessionStore, store::StoreErrorKind};
/// use socketioxide_session::testing::{Call, Fault, FaultyStore};
///
/// let (store, faults) = FaultyStore::new(MemoryStore::<u32>::new());
/// faults.on_all(Fault::Hang);
/// let load = tokio::time::timeout(std::time::Duration::from_millis(10), async {
///     store.load(&"some-id".parse().unwrap()).await
/// });
/// assert!(load.await.is_err());
/// # let _ = (Call::Load, StoreErrorKind::Other);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It happens after this time (of tokio's clock).
    Delay(Duration),
    /// It does not happen, and fails.
    Error(StoreErrorKind),
    /// It happens, and fails: the answer was lost.
    ErrorAfter(StoreErrorKind),
    /// It does not happen, and never ends.
    Hang,
    /// It does not happen, and panics.
    Panic,
}
