//! Readers, ends and faults between the two writes of a call, to the index and to the session.

use std::{collections::HashSet, time::Duration};

use fred::{
    clients::Client,
    interfaces::ClientLike as _,
    types::{RespVersion, config::Config},
};
use socketioxide_session::{
    RedisStore, SessionBridge, SessionId, SessionStore as _, StoreError,
    bridge::EndSessionsError,
    store::{Created, Saved, StoreErrorKind},
};
use tokio::task::JoinHandle;

use crate::support::{
    line::{Held, Line},
    redis::{Cluster, HOUR, PATIENT, Redis, key, must_load},
    server::User,
    soon, users,
};

/// A server, a node that writes over a line that can be held up, and another node that reads.
struct Nodes {
    server: Redis,
    line: Line,
    writer: RedisStore<User>,
    reader: RedisStore<User>,
    sessions: SessionBridge<User>,
}

/// Without any timeout: a command that is held up waits for as long as it is.
async fn patient(port: u16) -> RedisStore<User> {
    let mut config = Config::from_url(&format!("redis://127.0.0.1:{port}")).unwrap();
    config.version = RespVersion::RESP3;
    let client = Client::new(config, None, None, None);
    client.init().await.unwrap();
    RedisStore::from_client(client).with_user_id(|user: &User| Some(user.name.clone()))
}

async fn connect(url: &str) -> RedisStore<User> {
    let builder = RedisStore::<User>::builder(url).unwrap();
    let builder = builder.user_id(|user| Some(user.name.clone()));
    let builder = builder.command_timeout(PATIENT).unwrap();
    builder.connect().await.unwrap()
}

fn user(name: &str) -> User {
    User {
        name: name.into(),
        visits: 0,
    }
}

fn new_id() -> SessionId {
    SessionId::generate().unwrap()
}

async fn create(store: &RedisStore<User>, id: &SessionId, name: &str) {
    let created = store.create(id, &user(name), HOUR).await.unwrap();
    assert!(matches!(created, Created::Created(_)));
}

impl Nodes {
    async fn start() -> Self {
        let server = Redis::start().await;
        let line = Line::to(server.port).await;
        let reader = connect(&server.url()).await;
        Self {
            writer: patient(line.port).await,
            sessions: users::bridge(reader.clone()),
            server,
            line,
            reader,
        }
    }

    /// Ann's index has this id, with an entry that is older than those that listings keep.
    fn index_long_ago(&self, id: &SessionId) {
        let index = "[socketioxide-session]user:Ann session:";
        self.server.cli(&["HSET", index, id.expose(), "1,1"]);
    }

    /// The ids in the index, whether or not their sessions exist.
    async fn indexed(&self, name: &str) -> HashSet<SessionId> {
        let indexed = self.reader.sessions_of_user(name).await.unwrap();
        indexed.into_iter().map(|session| session.id).collect()
    }

    /// The sessions that are shown.
    async fn shown(&self, name: &str) -> HashSet<SessionId> {
        users::ids(&self.sessions, name).await
    }

    async fn exists(&self, id: &SessionId) -> bool {
        self.reader.load(id).await.unwrap().is_some()
    }

    /// The write of the session itself, for each of the calls.
    fn at_create(&self, id: &SessionId) -> Held {
        self.line.hold(&["SET", &key(id), "NX"])
    }

    fn at_save(&self, id: &SessionId) -> Held {
        self.line.hold(&["KEEPTTL", &key(id)])
    }

    fn at_rename(&self, new: &SessionId) -> Held {
        self.line.hold(&["RENAMENX", &key(new)])
    }
}

#[tokio::test]
async fn a_reader_between_the_writes_of_a_create_loses_nothing() {
    let nodes = Nodes::start().await;
    let id = new_id();
    let held = nodes.at_create(&id);
    let creating = tokio::spawn({
        let (writer, id) = (nodes.writer.clone(), id.clone());
        async move { writer.create(&id, &user("Ann"), HOUR).await }
    });
    held.reached().await;
    // It is in the index, and does not exist: it is not shown, not ended, and not removed from the index.
    assert_eq!(nodes.indexed("Ann").await, [id.clone()].into());
    assert!(!nodes.exists(&id).await);
    assert!(nodes.shown("Ann").await.is_empty());
    assert_eq!(nodes.sessions.end_sessions_of_user("Ann").await.unwrap(), 0);
    held.release();
    assert!(matches!(
        creating.await.unwrap().unwrap(),
        Created::Created(_)
    ));
    assert_eq!(nodes.shown("Ann").await, [id].into());
}

#[tokio::test]
async fn a_create_that_fails_between_its_writes_leaves_no_session() {
    let nodes = Nodes::start().await;
    let (id, other) = (new_id(), new_id());
    create(&nodes.reader, &other, "Ann").await;
    let held = nodes.at_create(&id);
    let creating = tokio::spawn({
        let (writer, id) = (nodes.writer.clone(), id.clone());
        async move { writer.create(&id, &user("Ann"), HOUR).await }
    });
    held.reached().await;
    held.cut();
    assert!(creating.await.unwrap().is_err());
    assert!(!nodes.exists(&id).await);
    assert_eq!(nodes.shown("Ann").await, [other].into());
    assert_eq!(nodes.sessions.end_sessions_of_user("Ann").await.unwrap(), 1);
}

/// A save of another user, held up at the session; both users have it in their index then.
async fn saving_eve(
    nodes: &Nodes,
    id: &SessionId,
) -> (Held, JoinHandle<Result<Saved, StoreError>>) {
    create(&nodes.reader, id, "Ann").await;
    let revision = must_load(&nodes.reader, id).await.revision;
    let held = nodes.at_save(id);
    let saving = tokio::spawn({
        let (writer, id) = (nodes.writer.clone(), id.clone());
        async move { writer.save(&id, &user("Eve"), &revision).await }
    });
    held.reached().await;
    for name in ["Ann", "Eve"] {
        assert_eq!(nodes.indexed(name).await, [id.clone()].into());
    }
    (held, saving)
}

#[tokio::test]
async fn a_reader_between_the_writes_of_a_save_sees_the_former_user() {
    let nodes = Nodes::start().await;
    let id = new_id();
    let (held, saving) = saving_eve(&nodes, &id).await;
    // It is Ann's: an end of all of Eve's sessions leaves it alone.
    assert_eq!(nodes.shown("Ann").await, [id.clone()].into());
    assert!(nodes.shown("Eve").await.is_empty());
    assert_eq!(nodes.sessions.end_sessions_of_user("Eve").await.unwrap(), 0);
    held.release();
    assert!(matches!(saving.await.unwrap().unwrap(), Saved::Saved(_)));
    soon("it is Eve's alone", async {
        while nodes.shown("Eve").await != [id.clone()].into()
            || !nodes.indexed("Ann").await.is_empty()
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_save_that_fails_between_its_writes_moves_no_session() {
    let nodes = Nodes::start().await;
    let id = new_id();
    let (held, saving) = saving_eve(&nodes, &id).await;
    held.cut();
    assert!(saving.await.unwrap().is_err());
    assert_eq!(nodes.shown("Ann").await, [id.clone()].into());
    assert!(nodes.shown("Eve").await.is_empty());
    assert_eq!(nodes.sessions.end_sessions_of_user("Eve").await.unwrap(), 0);
    assert!(nodes.exists(&id).await);
    assert_eq!(nodes.sessions.end_sessions_of_user("Ann").await.unwrap(), 1);
}

#[tokio::test]
async fn a_reader_between_the_writes_of_a_rename_loses_nothing() {
    let nodes = Nodes::start().await;
    let (old, new) = (new_id(), new_id());
    create(&nodes.reader, &old, "Ann").await;
    let held = nodes.at_rename(&new);
    let renaming = tokio::spawn({
        let (writer, old, new) = (nodes.writer.clone(), old.clone(), new.clone());
        async move { writer.rename(&old, &new).await }
    });
    held.reached().await;
    let both = [old.clone(), new.clone()].into();
    assert_eq!(nodes.indexed("Ann").await, both);
    assert_eq!(nodes.shown("Ann").await, [old.clone()].into());
    held.release();
    assert!(renaming.await.unwrap().unwrap());
    assert_eq!(nodes.shown("Ann").await, [new].into());
}

#[tokio::test]
async fn a_rename_that_fails_between_its_writes_leaves_the_session_listed() {
    let nodes = Nodes::start().await;
    let (old, new) = (new_id(), new_id());
    create(&nodes.reader, &old, "Ann").await;
    let held = nodes.at_rename(&new);
    let renaming = tokio::spawn({
        let (writer, old, new) = (nodes.writer.clone(), old.clone(), new.clone());
        async move { writer.rename(&old, &new).await }
    });
    held.reached().await;
    held.cut();
    assert!(renaming.await.unwrap().is_err());
    assert_eq!(nodes.shown("Ann").await, [old.clone()].into());
    assert_eq!(nodes.sessions.end_sessions_of_user("Ann").await.unwrap(), 1);
    assert!(!nodes.exists(&old).await && !nodes.exists(&new).await);
}

/// An index that can't be written makes the call fail before the session is touched.
#[tokio::test]
async fn a_rename_whose_index_cannot_be_written_leaves_the_session() {
    let nodes = Nodes::start().await;
    let (old, new) = (new_id(), new_id());
    create(&nodes.reader, &old, "Ann").await;
    let index = "[socketioxide-session]user:Ann session:";
    nodes.server.cli(&["DEL", index]);
    nodes.server.cli(&["SET", index, "no hash"]);
    let error = nodes.reader.rename(&old, &new).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Other);
    assert!(nodes.exists(&old).await && !nodes.exists(&new).await);
}

/// The entry of a session that a dead node never stored, so that a listing removes it; a write that arrives
/// before the removal keeps it.
#[tokio::test]
async fn an_entry_that_is_written_again_is_not_pruned() {
    let nodes = Nodes::start().await;
    let id = new_id();
    nodes.index_long_ago(&id);
    let held = nodes.line.hold(&["HDEL", id.expose()]);
    nodes.writer.sessions_of_user("Ann").await.unwrap();
    held.reached().await;
    create(&nodes.reader, &id, "Ann").await;
    held.release();
    soon("the index is written", nodes.writer.flush()).await;
    assert_eq!(nodes.shown("Ann").await, [id].into());
}

#[tokio::test]
async fn an_entry_is_not_pruned_while_its_session_cannot_be_looked_up() {
    let nodes = Nodes::start().await;
    let id = new_id();
    create(&nodes.reader, &id, "Ann").await;
    nodes.index_long_ago(&id);
    let held = nodes.line.hold(&["EXISTS", &key(&id)]);
    nodes.writer.sessions_of_user("Ann").await.unwrap();
    held.reached().await;
    held.cut();
    soon("the index is written", nodes.writer.flush()).await;
    assert_eq!(nodes.shown("Ann").await, [id].into());
}

/// A session is created under the id of a deleted one before its entry is removed.
#[tokio::test]
async fn a_late_removal_after_a_deletion_keeps_the_next_session_of_the_id() {
    let nodes = Nodes::start().await;
    let id = new_id();
    create(&nodes.writer, &id, "Ann").await;
    let held = nodes.line.hold(&["HDEL", id.expose()]);
    assert!(nodes.writer.delete(&id).await.unwrap());
    held.reached().await;
    create(&nodes.reader, &id, "Ann").await;
    held.release();
    soon("the index is written", nodes.writer.flush()).await;
    assert_eq!(nodes.shown("Ann").await, [id].into());
}

/// A node that has not heard of the new user yet touches the session.
#[tokio::test]
async fn a_touch_with_the_former_user_does_not_keep_the_entry_that_is_being_removed() {
    let nodes = Nodes::start().await;
    let id = new_id();
    create(&nodes.writer, &id, "Ann").await;
    let revision = must_load(&nodes.writer, &id).await.revision;
    let held = nodes.line.hold(&["HDEL", "user:Ann"]);
    let saved = nodes.writer.save(&id, &user("Eve"), &revision).await;
    assert!(matches!(saved.unwrap(), Saved::Saved(_)));
    held.reached().await;
    assert!(
        nodes
            .reader
            .touch(&id, &user("Ann"), HOUR * 2)
            .await
            .unwrap()
    );
    soon("the index is written", nodes.reader.flush()).await;
    held.release();
    soon("the index is written", nodes.writer.flush()).await;
    assert!(nodes.indexed("Ann").await.is_empty());
    assert_eq!(nodes.shown("Eve").await, [id].into());
}

/// A process that stops right after a logout would leave the entry to the next listing.
#[tokio::test]
async fn a_shutdown_waits_for_the_writes_to_the_index() {
    let nodes = Nodes::start().await;
    let sessions = users::bridge(nodes.writer.clone());
    let ann = sessions.create(user("Ann")).await.unwrap();
    let held = nodes.line.hold(&["HDEL", "user:Ann", ann.id().expose()]);
    ann.end().await.unwrap();
    held.reached().await;
    let stopping = tokio::spawn({
        let sessions = sessions.clone();
        async move { sessions.shutdown(Duration::from_mins(1)).await }
    });
    // Within its deadline, also when the server hangs.
    assert_eq!(sessions.shutdown(Duration::from_millis(50)).await, 0);
    assert_eq!(nodes.indexed("Ann").await, [ann.id().clone()].into());
    assert!(!stopping.is_finished());
    held.release();
    assert_eq!(soon("it stops", stopping).await.unwrap(), 0);
    assert!(nodes.indexed("Ann").await.is_empty());
}

/// The end of all sessions, while another node renames one of them without a pause.
async fn ends_what_is_being_renamed(url: &str) {
    let (here, there) = (connect(url).await, connect(url).await);
    let sessions = users::bridge(here.clone());
    for round in 0..30_u64 {
        let (id, calm) = (new_id(), new_id());
        create(&there, &id, "Ann").await;
        create(&there, &calm, "Ann").await;
        let renaming = tokio::spawn({
            let there = there.clone();
            async move {
                let mut id = id;
                let mut renames = 0_u64;
                loop {
                    let next = new_id();
                    match there.rename(&id, &next).await {
                        Ok(true) => id = next,
                        // It has ended.
                        Ok(false) => return id,
                        Err(error) => panic!("{error:?}"),
                    }
                    renames += 1;
                    // With pauses, or no listing would ever find the session where it says.
                    tokio::time::sleep(Duration::from_micros(300 * (round % 7))).await;
                    assert!(renames < 100_000, "it never ends");
                }
            }
        });
        loop {
            match sessions.end_sessions_of_user("Ann").await {
                Ok(_) => break,
                Err(EndSessionsError::Remaining { .. }) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        // The renames end, because the session has ended.
        let last = soon("the renames end", renaming).await.unwrap();
        for id in [&last, &calm] {
            assert!(here.load(id).await.unwrap().is_none(), "round {round}");
        }
        assert!(
            users::ids(&sessions, "Ann").await.is_empty(),
            "round {round}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_renamed_meanwhile_ends_with_all_others() {
    let server = Redis::start().await;
    ends_what_is_being_renamed(&server.url()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_cluster_a_session_that_is_renamed_meanwhile_ends_with_all_others() {
    let cluster = Cluster::start().await;
    ends_what_is_being_renamed(&cluster.url()).await;
}
