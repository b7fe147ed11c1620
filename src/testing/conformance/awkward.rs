//! The law of ids and data of awkward shapes.

use std::sync::Arc;

use super::{DEADLINE, LONG, Law, TestData};
use crate::{
    id::SessionId,
    store::{Created, SessionStore, StoreErrorKind},
};

/// Ids and data of awkward shapes survive. A store may refuse ids that [`SessionId::generate`] does not
/// make, as [`Encode`](StoreErrorKind::Encode); then there is never a session of them.
pub async fn awkward_ids_and_data_survive<S>(store: Arc<S>)
where
    S: SessionStore<Data: TestData>,
{
    let law = Law("ids and data of awkward shapes survive");
    let unique = SessionId::generate().expect("randomness");
    let long = "x".repeat(SessionId::MAX_LEN - unique.expose().len() - 1);
    // Two of the longest ids that differ at the very end.
    let (longest, longest_too) = (format!("{long}1"), format!("{long}2"));
    let big = "0123456789abcdef".repeat(1024);
    let texts = [
        "",
        " ",
        "\0",
        "é😀\u{202e}",
        "\"'\\\n\r\t",
        "{}[]*?%_$1:;--",
        &big,
        "the longest",
    ];
    // The last two differ in case only: what is before them is the same.
    let ends = [
        "",
        "!#$%&'()+-./",
        ":<=>@^_`|~",
        "s:abc.def/+=",
        &longest,
        &longest_too,
        "A",
        "a",
    ];
    let mut made = Vec::new();
    for (number, (text, end)) in (0..).zip(texts.iter().zip(ends)) {
        let id: SessionId = format!("{}{end}", unique.expose())
            .parse()
            .expect("a valid id");
        let data = S::Data::sample(u64::MAX - number, text);
        let id = created_with(law, &*store, id, &data).await;
        made.push((id, data));
    }
    for (id, data) in &made {
        let record = law.must_load(&*store, id).await;
        law.check(record.data.as_ref() == data, "data did not survive");
        let found = law.call("look_up", store.look_up(id)).await;
        law.check(
            found.is_some_and(|found| found.data.as_ref() == data),
            "a session was loaded and not looked up",
        );
        law.check(
            law.call("delete", store.delete(id)).await,
            "a session with an awkward id was not deleted",
        );
        let found = law.call("look_up", store.look_up(id)).await;
        law.check(found.is_none(), "a deleted session was looked up");
    }
}

/// Creates a session with this id, or with another one if the store has no such ids.
async fn created_with<S>(law: Law, store: &S, id: SessionId, data: &S::Data) -> SessionId
where
    S: SessionStore<Data: TestData>,
{
    let created = tokio::time::timeout(DEADLINE, store.create(&id, data, LONG)).await;
    match created {
        Ok(Ok(Created::Created(_))) => id,
        Ok(Ok(Created::Taken)) => law.broken("an awkward id was taken"),
        Ok(Err(error)) if matches!(error.kind(), StoreErrorKind::Encode) => {
            refuses(law, store, &id).await;
            law.create(store, data, LONG).await
        }
        Ok(Err(error)) => law.broken(&format!("create failed: {error}")),
        Err(_) => law.broken("create did not end"),
    }
}

async fn refuses<S: SessionStore>(law: Law, store: &S, id: &SessionId) {
    let found = law.call("look_up", store.look_up(id)).await;
    let loaded = law.load(store, id).await;
    let deleted = law.call("delete", store.delete(id)).await;
    law.check(
        found.is_none() && loaded.is_none() && !deleted,
        "there is a session of an id that was refused",
    );
}
