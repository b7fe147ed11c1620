//! The laws of stores that index their sessions by user. Other stores pass them.

use std::{collections::HashSet, future::Future, sync::Arc, time::Duration};

use super::{DEADLINE, LONG, Law, TestData};
use crate::{
    id::SessionId,
    store::{Created, IndexedSession, Record, Saved, SessionStore},
};

/// Time between two events whose order a store must be able to tell.
const TICK: Duration = Duration::from_millis(20);
/// Lifetime of a session that is touched before it ends, however slow the store is.
const BRIEF: Duration = Duration::from_secs(3);
/// Number of attempts to look between two writes of a store.
const ROUNDS: usize = 25;

/// A user of a store that indexes, and data of sessions of that user.
struct User<T> {
    id: String,
    data: T,
}

impl Law {
    /// A new user; `None` when the store does not index. The text of the data decides who it is.
    fn user<S>(self, store: &S, name: &str) -> Option<User<S::Data>>
    where
        S: SessionStore<Data: TestData>,
    {
        if !store.capabilities().user_index {
            return None;
        }
        let unique = SessionId::generate().expect("randomness");
        let data = S::Data::sample(1, &format!("{name} {}", unique.expose()));
        let id = store.user_id(&data);
        let Some(id) = id.filter(|id| !id.is_empty()) else {
            self.broken("the user_id of the test data is none: derive it from the text")
        };
        Some(User { id, data })
    }

    async fn listed<S: SessionStore>(self, store: &S, user: &str) -> Vec<IndexedSession> {
        let listed = store.sessions_of_user(user);
        self.call("sessions_of_user", listed).await
    }

    /// The answer of a call that gives a user the session `id`, while a reader looks at every moment whether
    /// what it can load is listed.
    async fn beside<S, R>(
        self,
        store: &S,
        user: &User<S::Data>,
        id: &SessionId,
        call: impl Future<Output = R>,
    ) -> R
    where
        S: SessionStore<Data: TestData>,
    {
        let is_of_user = |record: Record<S::Data>| {
            store.user_id(&record.data).as_deref() == Some(user.id.as_str())
        };
        let reader = async {
            while !self.load(store, id).await.is_some_and(is_of_user) {
                tokio::task::yield_now().await;
            }
            let listed = self.listed(store, &user.id).await;
            let is_listed = listed.iter().any(|session| session.id == *id);
            self.check(is_listed, "a session that a load finds is not listed");
        };
        let both = async { tokio::join!(call, reader).0 };
        match tokio::time::timeout(DEADLINE, both).await {
            Ok(answer) => answer,
            Err(_) => self.broken("a session can't be found after a call that returned"),
        }
    }

    /// The listed sessions that exist and belong to the user.
    async fn sessions_of<S: SessionStore>(self, store: &S, user: &str) -> HashSet<SessionId> {
        let mut sessions = HashSet::new();
        for session in self.listed(store, user).await {
            let record = self.load(store, &session.id).await;
            if record.is_some_and(|record| store.user_id(&record.data).as_deref() == Some(user)) {
                sessions.insert(session.id);
            }
        }
        sessions
    }
}

/// A created session is listed, beside the others of its user.
pub async fn created_sessions_are_listed<S>(store: Arc<S>)
where
    S: SessionStore<Data: TestData>,
{
    let law = Law("created sessions are listed");
    let Some(user) = law.user(&*store, "created") else {
        return;
    };
    law.check(
        law.listed(&*store, &user.id).await.is_empty(),
        "a new user has sessions",
    );
    let mut created = HashSet::new();
    for number in 0..5 {
        let mut data = user.data.clone();
        data.set_number(number);
        created.insert(law.create(&*store, &data, LONG).await);
        law.check(
            law.sessions_of(&*store, &user.id).await == created,
            "the sessions of a user are not those that were created",
        );
    }
}

/// A session that a load finds is listed, at every moment: a store that writes its index and a session one
/// after the other writes the index first. Else "log out everywhere" misses a session that a client uses
/// already.
pub async fn stored_sessions_are_listed<S>(store: Arc<S>)
where
    S: SessionStore<Data: TestData>,
{
    let law = Law("what a load finds is listed");
    let Some(user) = law.user(&*store, "stored") else {
        return;
    };
    for _ in 0..ROUNDS {
        let [old, new] = [(); 2].map(|()| SessionId::generate().expect("randomness"));
        let create = store.create(&old, &user.data, LONG);
        let created = law
            .beside(&*store, &user, &old, law.call("create", create))
            .await;
        law.check(
            matches!(created, Created::Created(_)),
            "a new id was said to be taken",
        );

        let rename = store.rename(&old, &new);
        let renamed = law
            .beside(&*store, &user, &new, law.call("rename", rename))
            .await;
        law.check(renamed, "a session that exists was not renamed");
    }
}

/// The time of creation is that of the creation: it orders the sessions of a user, and no save and no touch
/// changes it.
pub async fn sessions_are_ordered_by_their_creation<S>(store: Arc<S>)
where
    S: SessionStore<Data: TestData>,
{
    let law = Law("sessions are ordered by their creation");
    let Some(user) = law.user(&*store, "ordered") else {
        return;
    };
    let mut ids = Vec::new();
    let mut times = Vec::new();
    for _ in 0..3 {
        let id = law.create(&*store, &user.data, LONG).await;
        times.push(created(law, &*store, &user.id, &id).await);
        ids.push(id);
        tokio::time::sleep(TICK).await;
    }
    law.check(
        times.is_sorted_by(|earlier, later| earlier < later),
        "a session was created before an earlier one",
    );
    let record = law.must_load(&*store, &ids[0]).await;
    let mut data = user.data.clone();
    data.set_number(2);
    let save = store.save(&ids[0], &data, &record.revision);
    let saved = law.call("save", save).await;
    law.check(
        matches!(saved, Saved::Saved(_)),
        "a save of the loaded revision was refused",
    );
    let touch = store.touch(&ids[1], &user.data, LONG * 2);
    law.check(
        law.call("touch", touch).await,
        "a session that exists was not touched",
    );
    for (id, time) in ids.iter().zip(times) {
        law.check(
            created(law, &*store, &user.id, id).await == time,
            "a save or a touch changed the time of creation",
        );
    }
}

/// A session that was touched is listed for as long as it lives, beyond the lifetime that it was created with.
pub async fn touched_sessions_stay_listed<S>(store: Arc<S>)
where
    S: SessionStore<Data: TestData>,
{
    let law = Law("touched sessions stay listed");
    let Some(user) = law.user(&*store, "touched") else {
        return;
    };
    let touched = law.create(&*store, &user.data, BRIEF).await;
    let touch = store.touch(&touched, &user.data, LONG);
    law.check(
        law.call("touch", touch).await,
        "a session that exists was not touched",
    );
    tokio::time::sleep(BRIEF).await;
    law.check(
        law.sessions_of(&*store, &user.id).await == HashSet::from([touched]),
        "the sessions of a user are not those that live on",
    );
}

/// A deleted session is not among those that a listing names and a load finds, and all others are.
pub async fn deleted_sessions_are_not_listed<S>(store: Arc<S>)
where
    S: SessionStore<Data: TestData>,
{
    let law = Law("deleted sessions are not listed");
    let Some(user) = law.user(&*store, "deleted") else {
        return;
    };
    let mut sessions = HashSet::new();
    for _ in 0..4 {
        sessions.insert(law.create(&*store, &user.data, LONG).await);
    }
    for id in sessions.clone() {
        law.call("delete", store.delete(&id)).await;
        sessions.remove(&id);
        law.check(
            law.sessions_of(&*store, &user.id).await == sessions,
            "the sessions of a user are not those that were left",
        );
    }
}

/// A rename keeps the time of creation, and the session is listed under its new id.
pub async fn a_rename_carries_the_time_of_creation<S>(store: Arc<S>)
where
    S: SessionStore<Data: TestData>,
{
    let law = Law("a rename carries the time of creation");
    let Some(user) = law.user(&*store, "renamed") else {
        return;
    };
    let mut id = law.create(&*store, &user.data, LONG).await;
    let created = created(law, &*store, &user.id, &id).await;
    for _ in 0..2 {
        tokio::time::sleep(TICK).await;
        let new = SessionId::generate().expect("randomness");
        let renamed = law.call("rename", store.rename(&id, &new)).await;
        law.check(renamed, "a session that exists was not renamed");
        law.check(
            law.sessions_of(&*store, &user.id).await == HashSet::from([new.clone()]),
            "a renamed session is not listed under its new id alone",
        );
        law.check(
            self::created(law, &*store, &user.id, &new).await == created,
            "a rename changed the time of creation",
        );
        id = new;
    }
}

async fn created<S: SessionStore>(
    law: Law,
    store: &S,
    user: &str,
    id: &SessionId,
) -> std::time::SystemTime {
    let listed = law.listed(store, user).await;
    match listed.into_iter().find(|session| session.id == *id) {
        Some(session) => session.created,
        None => law.broken("a session is not listed"),
    }
}

/// A save that changes the user moves the session to the other user.
pub async fn a_save_moves_a_session_to_another_user<S>(store: Arc<S>)
where
    S: SessionStore<Data: TestData>,
{
    let law = Law("a save moves a session to another user");
    let (Some(old), Some(new)) = (law.user(&*store, "old"), law.user(&*store, "new")) else {
        return;
    };
    let id = law.create(&*store, &old.data, LONG).await;
    let stays = law.create(&*store, &old.data, LONG).await;
    for (user, other) in [(&new, &old), (&old, &new)] {
        let record = law.must_load(&*store, &id).await;
        let save = store.save(&id, &user.data, &record.revision);
        let saved = law.call("save", save).await;
        law.check(
            matches!(saved, Saved::Saved(_)),
            "a save of the loaded revision was refused",
        );
        law.check(
            law.sessions_of(&*store, &user.id).await.contains(&id),
            "a session is not listed for its new user",
        );
        law.check(
            !law.sessions_of(&*store, &other.id).await.contains(&id),
            "a session is listed for its former user",
        );
    }
    law.check(
        law.sessions_of(&*store, &old.id).await == HashSet::from([id, stays]),
        "another session of the user is not listed any more",
    );
}

/// Two users don't mix, however alike their ids are: no listing names a session that never belonged to
/// its user.
pub async fn users_do_not_mix<S>(store: Arc<S>)
where
    S: SessionStore<Data: TestData>,
{
    let law = Law("users don't mix");
    if !store.capabilities().user_index {
        return;
    }
    let unique = SessionId::generate().expect("randomness");
    let long = "x".repeat(200);
    let ends = [
        "a", "A", "a ", " a", "a:b", "a*", "[a]", "{a}", "%61", "é", "~a", "a\0", "a\n", "1", "01",
        &long,
    ];
    let mut users = Vec::new();
    for end in ends {
        let data = S::Data::sample(1, &format!("{end}{}{end}", unique.expose()));
        let Some(user) = store.user_id(&data) else {
            law.broken("the user_id of the test data is none: derive it from the text")
        };
        users.push((user, law.create(&*store, &data, LONG).await));
    }
    for (user, id) in users {
        let listed = law.listed(&*store, &user).await;
        law.check(
            listed.iter().all(|session| session.id == id),
            "a listing names a session of another user",
        );
        law.check(!listed.is_empty(), "a session is not listed");
    }
}
