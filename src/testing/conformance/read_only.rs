//! The law of stores that only read.

use super::{LONG, Law};
use crate::{
    id::SessionId,
    store::{SessionStore, StoreError, StoreErrorKind},
};

/// A read-only store loads what is there, and does what its
/// [`capabilities`](SessionStore::capabilities) include of touching and deleting. All else is
/// `Unsupported`, and changes nothing.
pub async fn read_only_stores_only_read<S>(store: S, id: SessionId)
where
    S: SessionStore<Data: PartialEq>,
{
    let law = Law("read-only stores only read");
    let can = store.capabilities();
    law.check(
        !can.create && !can.save && !can.rename,
        "the capabilities of a read-only store include create, save or rename",
    );
    let before = law.must_load(&store, &id).await;
    let missing = SessionId::generate().expect("randomness");
    law.check(
        law.load(&store, &missing).await.is_none(),
        "there is a session of a random id",
    );
    let data = &before.data;
    refused(law, "create", store.create(&missing, data, LONG).await);
    refused(law, "save", store.save(&id, data, &before.revision).await);
    refused(law, "rename", store.rename(&id, &missing).await);
    if can.touch {
        touches_only(law, &store, &id, &missing, data).await;
    } else {
        refused(law, "touch", store.touch(&id, data, LONG * 100).await);
    }
    if !can.delete {
        refused(law, "delete", store.delete(&id).await);
    }
    let after = law.must_load(&store, &id).await;
    law.check(
        after.data == before.data && after.revision == before.revision,
        "a call changed the data of the session",
    );
    law.check(
        law.load(&store, &missing).await.is_none(),
        "a refused call created a session",
    );
    if can.delete {
        deletes(law, &store, &id, &missing).await;
    }
}

async fn touches_only<S: SessionStore>(
    law: Law,
    store: &S,
    id: &SessionId,
    missing: &SessionId,
    data: &S::Data,
) {
    let ttl = async || law.must_load(store, id).await.ttl;
    let touched = law.call("touch", store.touch(id, data, LONG * 100)).await;
    law.check(touched, "a touch did not find the session");
    law.check(
        ttl().await.is_none_or(|ttl| ttl > LONG * 99),
        "a touch did not extend the life of the session",
    );
    law.call("touch", store.touch(id, data, LONG)).await;
    law.check(
        ttl().await.is_none_or(|ttl| ttl > LONG * 99),
        "a touch shortened the life of the session",
    );
    let touched = law.call("touch", store.touch(missing, data, LONG)).await;
    law.check(!touched, "a touch found a session of a random id");
}

async fn deletes<S: SessionStore>(law: Law, store: &S, id: &SessionId, missing: &SessionId) {
    let existed = law.call("delete", store.delete(missing)).await;
    law.check(!existed, "a deletion found a session of a random id");
    let existed = law.call("delete", store.delete(id)).await;
    law.check(existed, "a deletion did not find the session");
    law.check(
        law.load(store, id).await.is_none(),
        "a deleted session is still there",
    );
}

fn refused<R>(law: Law, call: &str, answer: Result<R, StoreError>) {
    let unsupported = answer.is_err_and(|error| error.kind() == StoreErrorKind::Unsupported);
    law.check(
        unsupported,
        &format!("{call} was not refused as unsupported"),
    );
}
