//! Ids that clients have guessed, of the plain cookie of tower-sessions.

use serde::{Deserialize, Serialize};
use socketioxide_session::{
    RedisStore, SessionBridge, SessionId, SessionStore,
    extractor::Handshake,
    interop::tower_sessions::{PlainCookie, TowerSessionsRecords},
    store::{Change, Created, RedisConfigError, Saved, StoreErrorKind},
    testing::HandshakeBuilder,
};

use crate::support::{
    redis::{Cluster, HOUR, Redis, documented_acl, until_reported},
    soon, until,
};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Name(String);

async fn connect(url: &str) -> Result<RedisStore<Name>, RedisConfigError> {
    let builder = RedisStore::<Name>::builder(url)?;
    let builder = builder.records(TowerSessionsRecords::field("user"));
    builder.connect().await
}

async fn created(store: &RedisStore<Name>) -> SessionId {
    let id = SessionId::generate().unwrap();
    let created = store.create(&id, &Name("ann".into()), HOUR).await.unwrap();
    assert!(matches!(created, Created::Created(_)));
    id
}

/// Number of keys that are tracked for a live session: its own, and the mark by which a flush is noticed.
const LIVE_AND_MARK: u64 = 2;

/// Number of keys that a server tracks.
fn tracked(server: &Redis) -> u64 {
    let stats = server.cli(&["INFO", "stats"]);
    let mut fields = stats.lines().filter_map(|line| line.split_once(':'));
    let (_, number) = fields
        .find(|(name, _)| *name == "tracking_total_keys")
        .unwrap();
    number.trim().parse().unwrap()
}

/// A request of a client with this plain cookie.
async fn is_admitted(sessions: &SessionBridge<Name>, id: &SessionId) -> bool {
    let request = HandshakeBuilder::request("/").cookie("id", id.expose());
    let parts = request.into_parts();
    let resolved = sessions.resolve(&Handshake::from_parts(&parts)).await;
    resolved.is_ok()
}

#[tokio::test]
async fn guesses_leave_the_tracking_table_as_it_was_and_a_live_id_is_tracked() {
    let server = Redis::start().await;
    let store = connect(&server.url()).await.unwrap();
    let mut feed = store.changes().unwrap();
    until_reported(&mut feed, &Change::Resync).await;
    let sessions = SessionBridge::builder(PlainCookie::new("id").unwrap(), store.clone());
    let sessions = sessions.build().unwrap();
    let live = created(&store).await;
    assert!(is_admitted(&sessions, &live).await);
    for _ in 0..1000 {
        assert!(!is_admitted(&sessions, &SessionId::generate().unwrap()).await);
    }
    assert!(tracked(&server) <= LIVE_AND_MARK);
    // Those that are loaded leave their keys there, so the number could have grown.
    for _ in 0..10 {
        store.load(&SessionId::generate().unwrap()).await.unwrap();
    }
    assert!(tracked(&server) > 10);

    server.cli(&["DEL", live.expose()]);
    until_reported(&mut feed, &Change::Session(live.clone())).await;
    until("it has ended", || sessions.live_sessions() == 0).await;
    assert!(!is_admitted(&sessions, &live).await);
}

#[tokio::test]
async fn a_session_that_was_looked_up_is_reported_on_every_server() {
    let cluster = Cluster::start().await;
    let store = connect(&cluster.url()).await.unwrap();
    let mut feed = store.changes().unwrap();
    until_reported(&mut feed, &Change::Resync).await;
    for _ in 0..10 {
        let id = created(&store).await;
        let found = store.look_up(&id).await.unwrap().unwrap();
        assert_eq!(*found.data, Name("ann".into()));
        assert!(found.ttl.is_some_and(|ttl| ttl <= HOUR));
        cluster.masters[0].cli(&["-c", "DEL", id.expose()]);
        until_reported(&mut feed, &Change::Session(id.clone())).await;
        assert!(store.look_up(&id).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn keys_of_others_are_neither_read_nor_deleted() {
    let server = Redis::start().await;
    let store = connect(&server.url()).await.unwrap();
    // No prefix guards the keys of other programs in the same database.
    server.cli(&["SET", "config", "theirs"]);
    let other: SessionId = "config".parse().unwrap();
    let id = created(&store).await;
    let record = store.load(&id).await.unwrap().unwrap();
    assert!(store.look_up(&other).await.unwrap().is_none());
    assert!(store.load(&other).await.unwrap().is_none());
    let data = &record.data;
    let saved = store.save(&other, data, &record.revision).await.unwrap();
    assert_eq!(saved, Saved::Gone);
    assert!(!store.touch(&other, data, HOUR).await.unwrap());
    assert!(!store.rename(&other, &id).await.unwrap());
    assert!(!store.delete(&other).await.unwrap());
    for refused in [
        store.create(&other, data, HOUR).await.map(drop),
        store.rename(&id, &other).await.map(drop),
    ] {
        assert_eq!(refused.unwrap_err().kind(), StoreErrorKind::Encode);
    }
    assert_eq!(server.cli(&["GET", "config"]), "theirs");

    // One with the form of an id, and of another type.
    let list = SessionId::generate().unwrap();
    server.cli(&["RPUSH", list.expose(), "theirs"]);
    let error = store.look_up(&list).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Decode);
    assert_eq!(server.cli(&["LLEN", list.expose()]), "1");
}

#[tokio::test]
async fn a_server_that_refuses_writes_for_now_still_admits() {
    let server = Redis::start().await;
    let store = connect(&server.url()).await.unwrap();
    let id = created(&store).await;
    server.cli(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    let refused = server.cli(&["SET", "a-key", "a-value"]);
    assert!(refused.contains("NOREPLICAS"), "{refused}");
    assert!(store.look_up(&id).await.unwrap().is_some());
    let missing = SessionId::generate().unwrap();
    assert!(store.look_up(&missing).await.unwrap().is_none());
}

#[tokio::test]
async fn without_the_permission_for_getex_it_does_not_connect() {
    let server = Redis::start().await;
    let rules = ["on", ">pw", "~*", "+@all", "-getex"];
    server.cli(&[&["ACL", "SETUSER", "app"], &rules[..]].concat());
    let url = format!("redis://app:pw@127.0.0.1:{}", server.port);
    let error = connect(&url).await.unwrap_err();
    let named = matches!(
        error,
        RedisConfigError::CommandRefused {
            command: "GETEX",
            ..
        }
    );
    assert!(named, "{error:?}");
    // The records of this crate have no use for it.
    RedisStore::<Name>::connect(&url).await.unwrap();
}

#[tokio::test]
async fn the_documented_acl_with_getex_is_enough() {
    let server = Redis::start().await;
    let sessions = format!("~{}", "?".repeat(22));
    let words = documented_acl();
    let words = words.iter().map(|word| match &**word {
        "~session:*" => &*sessions,
        word => word,
    });
    let words: Vec<&str> = words.chain(["+getex"]).collect();
    assert_eq!(server.cli(&words), "OK");
    let url = format!("redis://app:password@127.0.0.1:{}", server.port);
    let store = connect(&url).await.unwrap();
    let mut feed = store.changes().unwrap();
    until_reported(&mut feed, &Change::Resync).await;
    let old = created(&store).await;
    let record = store.look_up(&old).await.unwrap().unwrap();
    let saved = store
        .save(&old, &Name("eve".into()), &record.revision)
        .await;
    assert!(matches!(saved.unwrap(), Saved::Saved(_)));
    let id = SessionId::generate().unwrap();
    assert!(store.rename(&old, &id).await.unwrap());
    assert!(store.touch(&id, &record.data, HOUR * 2).await.unwrap());
    assert!(store.load(&id).await.unwrap().is_some());
    assert!(store.delete(&id).await.unwrap());
    until_reported(&mut feed, &Change::Session(id)).await;
    assert_eq!(server.cli(&["ACL", "LOG"]), "", "something was refused");
}

#[tokio::test]
async fn a_sign_out_of_a_guess_leaves_nothing() {
    let server = Redis::start().await;
    let store = connect(&server.url()).await.unwrap();
    let mut feed = store.changes().unwrap();
    until_reported(&mut feed, &Change::Resync).await;
    let sessions = SessionBridge::builder(PlainCookie::new("id").unwrap(), store.clone());
    let sessions = sessions.build().unwrap();
    let live = created(&store).await;
    assert!(is_admitted(&sessions, &live).await);
    for _ in 0..100 {
        sessions.end(&SessionId::generate().unwrap()).await.unwrap();
    }
    assert!(tracked(&server) <= LIVE_AND_MARK);
    // The id of a session is watched, because a request of tower-sessions may save it again.
    soon("the end", sessions.end(&live)).await.unwrap();
    let (key, value) = (live.expose(), "saved late");
    server.cli(&["SET", key, value]);
    until("it is deleted again", || {
        server.cli(&["EXISTS", key]) == "0"
    })
    .await;
}
