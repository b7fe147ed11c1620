//! Sessions that another program writes.

use std::time::Duration;

use async_trait::async_trait;
use socketioxide_session::{
    MemoryStore, SessionId, SessionStore, StoreError,
    store::{Capabilities, Created, Record, Revision, Saved, StoreErrorKind},
};

/// The sessions of a store, to be read only.
pub(crate) struct ReadOnly<T>(pub(crate) MemoryStore<T>);

fn unsupported<R>() -> Result<R, StoreError> {
    Err(StoreErrorKind::Unsupported.into())
}

#[async_trait]
impl<T: Clone + Send + Sync + 'static> SessionStore for ReadOnly<T> {
    type Data = T;

    async fn create(&self, _: &SessionId, _: &T, _: Duration) -> Result<Created, StoreError> {
        unsupported()
    }

    async fn load(&self, id: &SessionId) -> Result<Option<Record<T>>, StoreError> {
        self.0.load(id).await
    }

    async fn save(&self, _: &SessionId, _: &T, _: &Revision) -> Result<Saved, StoreError> {
        unsupported()
    }

    async fn touch(&self, _: &SessionId, _: &T, _: Duration) -> Result<bool, StoreError> {
        unsupported()
    }

    async fn rename(&self, _: &SessionId, _: &SessionId) -> Result<bool, StoreError> {
        unsupported()
    }

    async fn delete(&self, _: &SessionId) -> Result<bool, StoreError> {
        unsupported()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            create: false,
            save: false,
            touch: false,
            rename: false,
            delete: false,
            ..Capabilities::default()
        }
    }
}
