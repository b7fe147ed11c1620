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

    use socketioxide_session::{
        SessionId, SessionStore as _, store::Created, testing::TestData as _,
    };

    use super::*;
    use crate::support::read_only::ReadOnly;

    async fn store_and_id() -> (ReadOnly<SampleData>, SessionId) {
        let (store, id) = (MemoryStore::new(), SessionId::generate().unwrap());
        let data = SampleData::sample(1, "read");
        let created = store.create(&id, &data, Duration::from_mins(1)).await;
        assert!(matches!(created.unwrap(), Created::Created(_)));
        (ReadOnly(store), id)
    }

    socketioxide_session::read_only_store_conformance!(laws, store_and_id());
}
