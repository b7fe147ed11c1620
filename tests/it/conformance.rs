//! The laws of the store contract, on the stores of this crate.

use socketioxide_session::{MemoryStore, testing::SampleData};

socketioxide_session::store_conformance!(memory, async {
    MemoryStore::<SampleData>::new().user_id(|data| Some(data.text.clone()))
});

socketioxide_session::store_conformance!(memory_without_an_index, async {
    MemoryStore::<SampleData>::new()
});

mod read_only {
    use std::time::Duration;

    use async_trait::async_trait;
    use socketioxide_session::{
        SessionId, SessionStore, StoreError,
        store::{Capabilities, Created, Record, Revision, Saved, StoreErrorKind},
    };

    use super::*;

    /// Sessions that another program writes.
    struct ReadOnly(MemoryStore<SampleData>);

    fn unsupported<R>() -> Result<R, StoreError> {
        Err(StoreErrorKind::Unsupported.into())
    }

    #[async_trait]
    impl SessionStore for ReadOnly {
        type Data = SampleData;

        async fn create(
            &self,
            _: &SessionId,
            _: &SampleData,
            _: Duration,
        ) -> Result<Created, StoreError> {
            unsupported()
        }

        async fn load(&self, id: &SessionId) -> Result<Option<Record<SampleData>>, StoreError> {
            self.0.load(id).await
        }

        async fn save(
            &self,
            _: &SessionId,
            _: &SampleData,
            _: &Revision,
        ) -> Result<Saved, StoreError> {
            unsupported()
        }

        async fn touch(
            &self,
            _: &SessionId,
            _: &Self::Data,
            _: Duration,
        ) -> Result<bool, StoreError> {
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

    async fn store_and_id() -> (ReadOnly, SessionId) {
        use socketioxide_session::testing::TestData as _;
        let (store, id) = (MemoryStore::new(), SessionId::generate().unwrap());
        let data = SampleData::sample(1, "read");
        let created = store.create(&id, &data, Duration::from_mins(1)).await;
        assert!(matches!(created.unwrap(), Created::Created(_)));
        (ReadOnly(store), id)
    }

    socketioxide_session::read_only_store_conformance!(laws, store_and_id());
}
