//! The laws that one call after another shows.

use std::{sync::Arc, time::Duration};

use super::{DEADLINE, LONG, Law, SHORT, TestData};
use crate::{
    id::SessionId,
    store::{Created, Revision, Saved, SessionStore},
};

/// `create` never overwrites: of a taken id it says so, and leaves the session as it is.
pub async fn create_never_overwrites<S>(store: Arc<S>)
where
    S: SessionStore<Data: TestData>,
{
    let law = Law("create never overwrites");
    let (first, second) = (S::Data::sample(1, "first"), S::Data::sample(2, "second"));
    let id = law.create(&*store, &first, LONG).await;
    let created = law.call("create", store.create(&id, &second, SHORT)).await;
    law.check(created == Created::Taken, "a taken id was created again");
    let record = law.must_load(&*store, &id).await;
    law.check(*record.data == first, "the data was overwritten");
    let new = SessionId::generate().expect("randomness");
    let created = law.call("create", store.create(&new, &first, LONG)).await;
    let record_of_new = law.must_load(&*store, &new).await;
    law.check(
        created == Created::Created(record_of_new.revision),
        "create returned another revision than the one that load returns",
    );
    law.check(
        record.ttl.is_none_or(|ttl| ttl > SHORT),
        "the time to live was overwritten",
    );
}

/// Expired is gone: to load, save, touch, rename and delete, and the id may be created again.
pub async fn expired_is_gone<S>(store: Arc<S>)
where
    S: SessionStore<Data: TestData>,
{
    let law = Law("expired is gone");
    let data = S::Data::sample(1, "short-lived");
    let id = law.create(&*store, &data, SHORT).await;
    let Some(record) = law.load(&*store, &id).await else {
        law.broken("the session was gone before its time")
    };
    law.check(
        record.ttl.is_some_and(|ttl| ttl <= SHORT),
        "the time to live is not what was asked for",
    );
    law.wait_until_gone(&*store, &id).await;
    let saved = law
        .call("save", store.save(&id, &data, &record.revision))
        .await;
    law.check(saved == Saved::Gone, "an expired session was saved");
    let touched = law.call("touch", store.touch(&id, &data, LONG)).await;
    law.check(!touched, "an expired session was touched");
    let new = SessionId::generate().expect("randomness");
    let renamed = law.call("rename", store.rename(&id, &new)).await;
    law.check(!renamed, "an expired session was renamed");
    let deleted = law.call("delete", store.delete(&id)).await;
    law.check(!deleted, "an expired session was said to be deleted");
    let created = law.call("create", store.create(&id, &data, LONG)).await;
    law.check(
        matches!(created, Created::Created(_)),
        "the id of an expired session stays taken",
    );
    let expired = law.create(&*store, &data, SHORT).await;
    law.wait_until_gone(&*store, &expired).await;
    let renamed = law.call("rename", store.rename(&id, &expired)).await;
    law.check(renamed, "a session was not renamed to an expired one's id");
    law.must_load(&*store, &expired).await;
}

/// `save` is a compare-and-swap and keeps the TTL.
pub async fn save_is_compare_and_swap_and_keeps_the_ttl<S>(store: Arc<S>)
where
    S: SessionStore<Data: TestData>,
{
    let law = Law("save is compare-and-swap and keeps the TTL");
    let data = |number| S::Data::sample(number, "saved");
    let id = law.create(&*store, &data(1), LONG).await;
    let before = law.must_load(&*store, &id).await;
    let again = law.must_load(&*store, &id).await;
    law.check(
        before.revision == again.revision,
        "two loads without a change gave two revisions",
    );
    let saved = law
        .call("save", store.save(&id, &data(2), &before.revision))
        .await;
    let Saved::Saved(revision) = saved else {
        law.broken("a save of the loaded revision was refused")
    };
    law.check(revision != before.revision, "a save kept the revision");
    let after = law.must_load(&*store, &id).await;
    law.check(*after.data == data(2), "what was saved is not there");
    law.check(
        after.revision == revision,
        "the revision that save gave is not the one that load gives",
    );
    let (ttl, old) = (after.ttl.unwrap_or(LONG), before.ttl.unwrap_or(LONG));
    law.check(
        ttl <= old && ttl + Duration::from_mins(1) > old,
        "a save changed when the session expires",
    );
    let saved = law
        .call("save", store.save(&id, &data(3), &before.revision))
        .await;
    law.check(saved == Saved::Conflict, "a stale revision was saved");
    // One that is made later, and differs: its revision is another one, and not this one's.
    let other = law.create(&*store, &data(4), LONG).await;
    let stranger = law.must_load(&*store, &other).await.revision;
    let saved = law.call("save", store.save(&id, &data(3), &stranger)).await;
    law.check(
        saved == Saved::Conflict,
        "the revision of another session was saved",
    );
    let record = law.must_load(&*store, &id).await;
    law.check(
        *record.data == data(2),
        "a save that was a conflict changed the data",
    );
    // The same data again: a caller that loaded before it must still learn of the save in between,
    // or see that nothing changed.
    let saved = law.call("save", store.save(&id, &data(2), &revision)).await;
    law.check(
        matches!(saved, Saved::Saved(_)),
        "a save of the same data was refused",
    );
}

/// `save` and `touch` never create.
pub async fn save_and_touch_never_create<S>(store: Arc<S>)
where
    S: SessionStore<Data: TestData>,
{
    let law = Law("save and touch never create");
    let data = S::Data::sample(1, "never");
    let other = law.create(&*store, &data, LONG).await;
    let revision = law.must_load(&*store, &other).await.revision;
    for revision in [revision, Revision::from(0), Revision::from(Vec::new())] {
        let id = SessionId::generate().expect("randomness");
        let saved = law.call("save", store.save(&id, &data, &revision)).await;
        law.check(saved == Saved::Gone, "save did not say that there is none");
        law.check(
            law.load(&*store, &id).await.is_none(),
            "save created a session",
        );
    }
    let id = SessionId::generate().expect("randomness");
    let touched = law.call("touch", store.touch(&id, &data, LONG)).await;
    law.check(!touched, "touch did not say that there is none");
    law.check(
        law.load(&*store, &id).await.is_none(),
        "touch created a session",
    );
}

/// `touch` never shortens a life, and lengthens a shorter one.
pub async fn touch_never_shortens<S>(store: Arc<S>)
where
    S: SessionStore<Data: TestData>,
{
    let law = Law("touch never shortens");
    let data = S::Data::sample(1, "touched");
    let id = law.create(&*store, &data, LONG).await;
    let before = law.must_load(&*store, &id).await;
    let touched = law.call("touch", store.touch(&id, &data, SHORT)).await;
    law.check(touched, "touch did not say that the session exists");
    let after = law.must_load(&*store, &id).await;
    law.check(
        after.ttl.is_none_or(|ttl| ttl > LONG / 2),
        "touch shortened a life",
    );
    law.check(
        *after.data == data && after.revision == before.revision,
        "touch changed the data or its revision",
    );
    let touched = law.call("touch", store.touch(&id, &data, LONG * 3)).await;
    law.check(touched, "touch did not say that the session exists");
    let after = law.must_load(&*store, &id).await;
    law.check(
        after.ttl.is_none_or(|ttl| ttl > LONG * 2),
        "touch did not lengthen a shorter life",
    );
}

/// Every call ends: of a session that exists, and of one that never did.
pub async fn every_call_ends<S>(store: Arc<S>)
where
    S: SessionStore<Data: TestData>,
{
    let law = Law("every call ends");
    let data = S::Data::sample(1, "ends");
    let existing = law.create(&*store, &data, LONG).await;
    let revision = law.must_load(&*store, &existing).await.revision;
    let missing = SessionId::generate().expect("randomness");
    for id in [&missing, &existing] {
        law.load(&*store, id).await;
        let _ = law.call("save", store.save(id, &data, &revision)).await;
        law.call("touch", store.touch(id, &data, LONG)).await;
        let new = SessionId::generate().expect("randomness");
        law.call("rename", store.rename(id, &new)).await;
        law.call("delete", store.delete(id)).await;
    }
    // Two that are in each other's way: a store that locks both ids must not deadlock.
    for _ in 0..10 {
        let one = law.create(&*store, &data, LONG).await;
        let two = law.create(&*store, &data, LONG).await;
        let both = async { tokio::join!(store.rename(&one, &two), store.rename(&two, &one)) };
        let ended = tokio::time::timeout(DEADLINE, both).await;
        law.check(ended.is_ok(), "two renames into each other did not end");
    }
}
