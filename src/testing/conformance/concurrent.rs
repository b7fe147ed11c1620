//! The laws that only calls at the same time can break.

use std::{future::Future, pin::pin, sync::Arc, task::Poll, time::Duration};

use super::{DEADLINE, LONG, Law, TestData};
use crate::{
    id::SessionId,
    store::{Created, Saved, SessionStore},
};

const ROUNDS: usize = 20;
const TASKS: u64 = 8;

/// `rename` is atomic against saves: what was saved is in the renamed session, or the save was told
/// that the session is gone; data and TTL come along; a taken id is refused.
pub async fn rename_is_atomic_against_saves<S>(store: Arc<S>)
where
    S: SessionStore<Data: TestData>,
{
    let law = Law("rename is atomic against saves");
    for _ in 0..ROUNDS {
        let old = law
            .create(&*store, &S::Data::sample(0, "renamed"), LONG)
            .await;
        let new = SessionId::generate().expect("randomness");
        let saving = tokio::spawn(count_up(store.clone(), law, old.clone()));
        // Somewhere in the middle of the saves.
        for _ in 0..fastrand::usize(0..20) {
            tokio::task::yield_now().await;
        }
        let renamed = law.call("rename", store.rename(&old, &new)).await;
        law.check(renamed, "a session that exists was not renamed");
        let acknowledged = law.joined(saving).await;
        law.check(
            law.load(&*store, &old).await.is_none(),
            "the session is still under its old id",
        );
        let record = law.must_load(&*store, &new).await;
        law.check(
            record.data.number() == acknowledged,
            "a save that succeeded is not in the renamed session",
        );
        let saved = law
            .call("save", store.save(&new, &record.data, &record.revision))
            .await;
        law.check(
            matches!(saved, Saved::Saved(_)),
            "the loaded revision of a renamed session can't be saved",
        );
    }
    for _ in 0..ROUNDS {
        always_somewhere(law, store.clone()).await;
    }
    let one = law.create(&*store, &S::Data::sample(1, "one"), LONG).await;
    let new = SessionId::generate().expect("randomness");
    law.call("rename", store.rename(&one, &new)).await;
    let record = law.must_load(&*store, &new).await;
    law.check(
        record.ttl.is_some_and(|ttl| ttl <= LONG && ttl > LONG / 2),
        "the time to live did not come along",
    );
    let one = new;
    let two = law.create(&*store, &S::Data::sample(2, "two"), LONG).await;
    let renamed = store.rename(&one, &two).await;
    law.check(renamed.is_err(), "a taken id was given to another session");
    let replaced = law.call("was_replaced", store.was_replaced(&one)).await;
    law.check(!replaced, "a refused renaming left a mark of the id");
    let (one, two) = (
        law.load(&*store, &one).await,
        law.must_load(&*store, &two).await,
    );
    law.check(
        one.is_some_and(|one| one.data.number() == 1) && two.data.number() == 2,
        "a refused renaming changed a session",
    );
}

/// While it is renamed, a session is under at least one of the two ids at every moment.
async fn always_somewhere<S>(law: Law, store: Arc<S>)
where
    S: SessionStore<Data: TestData>,
{
    let old = law
        .create(&*store, &S::Data::sample(0, "watched"), LONG)
        .await;
    let new = SessionId::generate().expect("randomness");
    let watching = tokio::spawn({
        let (store, old, new) = (store.clone(), old.clone(), new.clone());
        async move {
            loop {
                // It only moves from the old id to the new one, so this order of loads is telling.
                if law.load(&*store, &old).await.is_none() {
                    break law.must_load(&*store, &new).await;
                }
                // A store that never waits would keep the rename from running.
                tokio::task::yield_now().await;
            }
        }
    });
    tokio::task::yield_now().await;
    law.call("rename", store.rename(&old, &new)).await;
    law.joined(watching).await;
}

/// Saves one after the other until the session is gone; gives the last number that was saved.
async fn count_up<S>(store: Arc<S>, law: Law, id: SessionId) -> u64
where
    S: SessionStore<Data: TestData>,
{
    let mut number = 0;
    while let Some(record) = law.load(&*store, &id).await {
        let mut data = S::Data::clone(&record.data);
        data.set_number(number + 1);
        match law
            .call("save", store.save(&id, &data, &record.revision))
            .await
        {
            Saved::Saved(_) => number += 1,
            Saved::Conflict => law.broken("a save was a conflict without another save"),
            Saved::Gone => break,
        }
    }
    number
}

/// `delete` wins: no save brings a session back, whether it comes later or at the same time.
pub async fn delete_wins<S>(store: Arc<S>)
where
    S: SessionStore<Data: TestData>,
{
    let law = Law("delete wins");
    for _ in 0..ROUNDS {
        let id = law
            .create(&*store, &S::Data::sample(0, "deleted"), LONG)
            .await;
        let record = law.must_load(&*store, &id).await;
        let saving = tokio::spawn(count_up(store.clone(), law, id.clone()));
        for _ in 0..fastrand::usize(0..20) {
            tokio::task::yield_now().await;
        }
        law.check(
            law.call("delete", store.delete(&id)).await,
            "a session that exists was not deleted",
        );
        law.joined(saving).await;
        let saved = law
            .call("save", store.save(&id, &record.data, &record.revision))
            .await;
        law.check(saved == Saved::Gone, "a deleted session was saved");
        delete_then_create(law, &*store).await;
        let touched = law
            .call("touch", store.touch(&id, &record.data, LONG))
            .await;
        law.check(!touched, "a deleted session was touched");
        law.check(
            law.load(&*store, &id).await.is_none(),
            "a deleted session came back",
        );
    }
}

/// A session that is made anew under a deleted one's id has none of its revisions.
async fn delete_then_create<S>(law: Law, store: &S)
where
    S: SessionStore<Data: TestData>,
{
    let data = |number| S::Data::sample(number, "made anew");
    let id = law.create(store, &data(1), LONG).await;
    let old = law.must_load(store, &id).await.revision;
    law.call("delete", store.delete(&id)).await;
    let created = law.call("create", store.create(&id, &data(2), LONG)).await;
    law.check(
        matches!(created, Created::Created(_)),
        "a deleted id stays taken",
    );
    let saved = law.call("save", store.save(&id, &data(3), &old)).await;
    law.check(
        saved == Saved::Conflict,
        "a revision from before a delete was saved",
    );
}

/// Concurrent updates lose nothing: of many tasks that load, add one and save until it succeeds,
/// every one is in the sum.
pub async fn concurrent_updates_lose_nothing<S>(store: Arc<S>)
where
    S: SessionStore<Data: TestData>,
{
    let law = Law("concurrent updates lose nothing");
    let id = law
        .create(&*store, &S::Data::sample(0, "counted"), LONG)
        .await;
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| tokio::spawn(add(store.clone(), law, id.clone(), ROUNDS)))
        .collect();
    for task in tasks {
        law.joined(task).await;
    }
    let record = law.must_load(&*store, &id).await;
    let expected = TASKS * ROUNDS as u64;
    law.check(
        record.data.number() == expected,
        &format!("of {expected} updates {} are there", record.data.number()),
    );
}

async fn add<S>(store: Arc<S>, law: Law, id: SessionId, times: usize)
where
    S: SessionStore<Data: TestData>,
{
    for _ in 0..times {
        loop {
            let record = law.must_load(&*store, &id).await;
            let mut data = S::Data::clone(&record.data);
            data.set_number(data.number() + 1);
            match law
                .call("save", store.save(&id, &data, &record.revision))
                .await
            {
                Saved::Saved(_) => break,
                Saved::Conflict => {
                    let pause = Duration::from_micros(fastrand::u64(0..500));
                    tokio::time::sleep(pause).await;
                }
                Saved::Gone => law.broken("a session vanished"),
            }
        }
    }
}

/// A dropped call leaves nothing half done: it has happened, or not.
pub async fn dropped_calls_leave_nothing_half_done<S>(store: Arc<S>)
where
    S: SessionStore<Data: TestData>,
{
    let law = Law("a dropped call leaves nothing half done");
    let (old, new) = (S::Data::sample(1, "before"), S::Data::sample(2, "after"));
    for polls in 0..6 {
        let id = SessionId::generate().expect("randomness");
        drop_after(polls, store.create(&id, &old, LONG)).await;
        let created = settled(law, &*store, &id).await;
        law.check(
            created.is_none_or(|data| data == old),
            "a dropped create left something else",
        );

        let id = law.create(&*store, &old, LONG).await;
        let record = law.must_load(&*store, &id).await;
        drop_after(polls, store.save(&id, &new, &record.revision)).await;
        settled(law, &*store, &id).await;
        let after = law.must_load(&*store, &id).await;
        let unchanged = *after.data == old && after.revision == record.revision;
        let saved = *after.data == new && after.revision != record.revision;
        law.check(unchanged || saved, "a dropped save left something else");

        let other = SessionId::generate().expect("randomness");
        drop_after(polls, store.rename(&id, &other)).await;
        let (here, there) = (
            settled(law, &*store, &id).await,
            settled(law, &*store, &other).await,
        );
        law.check(
            here.is_some() != there.is_some(),
            "after a dropped rename the session is not under exactly one id",
        );
    }
}

/// Polls a call up to this number of times, then drops it.
async fn drop_after<R>(polls: usize, call: impl Future<Output = R>) {
    let mut call = pin!(call);
    for _ in 0..polls {
        let polled = std::future::poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await;
        if polled.is_ready() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Record after the last effect of a dropped call: two loads in a row agree.
async fn settled<S>(law: Law, store: &S, id: &SessionId) -> Option<S::Data>
where
    S: SessionStore<Data: TestData>,
{
    let mut last = law.load(store, id).await;
    for _ in 0..50 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let now = law.load(store, id).await;
        let same = match (&last, &now) {
            (Some(last), Some(now)) => last.revision == now.revision && last.data == now.data,
            (None, None) => true,
            _ => false,
        };
        last = now;
        if same {
            break;
        }
    }
    last.map(|record| S::Data::clone(&record.data))
}

impl Law {
    /// The end of a task, whose panic is passed on.
    async fn joined<R>(self, task: tokio::task::JoinHandle<R>) -> R {
        match tokio::time::timeout(DEADLINE * 3, task).await {
            Ok(Ok(result)) => result,
            Ok(Err(error)) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => self.broken("a task was cancelled"),
            },
            Err(_) => self.broken("it did not end"),
        }
    }
}
