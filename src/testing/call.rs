//! Names of the calls of a store.

/// The calls of a store.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use socketioxide_session::{MemoryStore, SessionStore, store::StoreErrorKind};
/// use socketioxide_session::testing::{Call, Fault, FaultyStore};
///
/// let (store, faults) = FaultyStore::new(MemoryStore::<u32>::new());
/// faults.on(Call::Delete, Fault::Error(StoreErrorKind::Timeout));
/// assert!(store.delete(&"some-id".parse()?).await.is_err());
/// assert!(store.load(&"some-id".parse()?).await.is_ok());
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Call {
    /// [`SessionStore::create`](crate::SessionStore::create)
    Create,
    /// [`SessionStore::load`](crate::SessionStore::load) or [`SessionStore::look_up`](crate::SessionStore::look_up)
    Load,
    /// [`SessionStore::save`](crate::SessionStore::save)
    Save,
    /// [`SessionStore::touch`](crate::SessionStore::touch) or [`SessionStore::keep_alive`](crate::SessionStore::keep_alive)
    Touch,
    /// [`SessionStore::rename`](crate::SessionStore::rename)
    Rename,
    /// [`SessionStore::delete`](crate::SessionStore::delete)
    Delete,
}

impl Call {
    /// All six.
    pub const ALL: [Self; 6] = [
        Self::Create,
        Self::Load,
        Self::Save,
        Self::Touch,
        Self::Rename,
        Self::Delete,
    ];
}
