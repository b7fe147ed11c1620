//! Capabilities of a store.

/// The operations that a store supports besides [`load`](super::SessionStore::load).
///
/// Begin with the default, as here, because later versions may add operations:
///
/// ```
/// use socketioxide_session::store::Capabilities;
///
/// let read_only = Capabilities { create: false, save: false, touch: false, rename: false, ..Capabilities::default() };
/// assert!(read_only.delete);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each operation is supported or not, by itself"
)]
pub struct Capabilities {
    /// [`create`](super::SessionStore::create).
    pub create: bool,
    /// [`save`](super::SessionStore::save).
    pub save: bool,
    /// [`touch`](super::SessionStore::touch).
    pub touch: bool,
    /// [`rename`](super::SessionStore::rename).
    pub rename: bool,
    /// [`delete`](super::SessionStore::delete).
    pub delete: bool,
    /// [`sessions_of_user`](super::SessionStore::sessions_of_user).
    pub user_index: bool,
    /// Other programs write the records. One that stops decoding then ends its sockets at once,
    /// while the record of a rolling deployment keeps its last value until
    /// [`max_stale`](crate::bridge::SessionBridgeBuilder::max_stale).
    pub foreign_records: bool,
}

impl Default for Capabilities {
    fn default() -> Self {
        Self {
            create: true,
            save: true,
            touch: true,
            rename: true,
            delete: true,
            user_index: false,
            foreign_records: false,
        }
    }
}
