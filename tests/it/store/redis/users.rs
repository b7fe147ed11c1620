//! The index of users on real servers.

use std::{
    collections::HashSet,
    time::{Duration, SystemTime},
};

use futures_util::TryStreamExt as _;
use socketioxide_session::{
    RedisStore, Session, SessionBridge, SessionId, SessionStore,
    interop::express::ExpressRecords,
    store::{Created, RedisConfigError, Saved, StoreErrorKind},
};

use crate::support::{
    redis::{Cluster, HOUR, PATIENT, Redis, must_load},
    server::{Server, Setup, User},
    soon, user_model, users,
};

/// The key of the index of a user.
fn index(user: &str) -> String {
    format!("[socketioxide-session]user:{user} session:")
}

/// Sessions by the name of their user; an empty name is an anonymous client.
async fn connect(url: &str) -> RedisStore<User> {
    let builder = RedisStore::<User>::builder(url).unwrap();
    let builder = builder.user_id(|user| Some(user.name.clone()));
    builder.connect().await.unwrap()
}

async fn node(url: &str) -> Server {
    let setup = Setup::new().say_why().store(connect(url).await);
    setup.start().await
}

fn user(name: &str) -> User {
    User {
        name: name.into(),
        visits: 0,
    }
}

async fn created(store: &RedisStore<User>, name: &str) -> SessionId {
    let id = SessionId::generate().unwrap();
    let made = store.create(&id, &user(name), HOUR).await.unwrap();
    assert!(matches!(made, Created::Created(_)));
    id
}

async fn listed(store: &RedisStore<User>, name: &str) -> HashSet<SessionId> {
    let listed = store.sessions_of_user(name).await.unwrap();
    listed.into_iter().map(|session| session.id).collect()
}

async fn loaded(sessions: &SessionBridge<User>, name: &str) -> Vec<Session<User>> {
    sessions.sessions_of_user(name).try_collect().await.unwrap()
}

async fn ids(sessions: &SessionBridge<User>, name: &str) -> HashSet<SessionId> {
    let loaded = loaded(sessions, name).await;
    loaded.iter().map(|session| session.id().clone()).collect()
}

/// An entry that was written then.
fn entry(created: SystemTime, written: SystemTime) -> String {
    let millis = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    format!(
        "{},{}",
        millis(created).as_millis(),
        millis(written).as_millis()
    )
}

fn ago(by: Duration) -> SystemTime {
    SystemTime::now() - by
}

async fn until_cli(server: &Redis, args: &[&str], expected: &str) {
    soon("the server has it", async {
        while server.cli(args) != expected {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// Two nodes: devices are listed, and "sign out everywhere else" reaches the sockets of both.
async fn ends_the_other_sessions(url: &str) {
    let nodes = [node(url).await, node(url).await];
    let here = nodes[0].login("Ann").await;
    let there = nodes[1].login("Ann").await;
    let eve = nodes[1].login("Eve").await;
    let mut at_home = nodes[0].connected(&here).await;
    let mut elsewhere = nodes[1].connected(&there).await;
    let mut eves_tab = nodes[0].connected(&eve).await;
    let both: HashSet<_> = [here.id().clone(), there.id().clone()].into();
    for node in &nodes {
        assert_eq!(ids(&node.sessions, "Ann").await, both);
    }

    let ended = nodes[0].sessions.end_other_sessions(&here).await.unwrap();
    assert_eq!(ended, 1);
    assert_eq!(elsewhere.frame().await, r#"42["ended","deleted"]"#);
    assert_eq!(elsewhere.frame().await, "41");
    for node in &nodes {
        assert_eq!(ids(&node.sessions, "Ann").await, [here.id().clone()].into());
    }
    // The others stay.
    let name = r#"[{"name":"Eve","visits":0}]"#;
    assert_eq!(eves_tab.ask("/", "whoami").await, name);

    // A renamed session ends, too, from the other node.
    let rotated = nodes[0].sessions.rotate(&here).await.unwrap();
    assert_eq!(
        ids(&nodes[1].sessions, "Ann").await,
        [rotated.id().clone()].into()
    );
    assert_eq!(
        nodes[1].sessions.end_sessions_of_user("Ann").await.unwrap(),
        1
    );
    at_home.frame_of("41").await;
    assert!(rotated.reload().await.is_err());
    assert!(loaded(&nodes[0].sessions, "Ann").await.is_empty());
    assert_eq!(
        ids(&nodes[0].sessions, "Eve").await,
        [eve.id().clone()].into()
    );
}

#[tokio::test]
async fn on_two_nodes_the_other_sessions_of_a_user_end() {
    let server = Redis::start().await;
    ends_the_other_sessions(&server.url()).await;
}

#[tokio::test]
async fn on_two_nodes_of_a_cluster_the_other_sessions_of_a_user_end() {
    let cluster = Cluster::start().await;
    ends_the_other_sessions(&cluster.url()).await;
}

#[tokio::test]
async fn an_index_is_a_hash_that_lives_as_long_as_its_sessions() {
    let server = Redis::start().await;
    let store = connect(&server.url()).await;
    let id = created(&store, "Ann").await;
    let key = index("Ann");
    let value = server.cli(&["HGET", &key, id.expose()]);
    let (made, written) = value.split_once(',').unwrap();
    assert_eq!(made, written);
    let left = |key: &str| server.cli(&["PTTL", key]).parse::<u64>().unwrap();
    assert!(left(&key) > 3_590_000);
    // A touch renews it, in the background.
    server.cli(&["PEXPIRE", &key, "5000"]);
    assert!(store.touch(&id, &user("Ann"), HOUR * 24).await.unwrap());
    soon("it lives longer", async {
        while left(&key) < 24 * 3_590_000 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let again = server.cli(&["HGET", &key, id.expose()]);
    assert_eq!(again.split_once(',').unwrap().0, made);
    // So does a use of the session.
    let days = HOUR * 24 * 7;
    let kept = store.keep_alive(&id, &user("Ann"), days, HOUR).await;
    assert!(kept.unwrap().is_some_and(|kept| kept + HOUR >= days));
    store.flush().await;
    assert!(left(&key) > 7 * 24 * 3_590_000);
    assert!(store.delete(&id).await.unwrap());
    until_cli(&server, &["EXISTS", &key], "0").await;
    // Anonymous clients have none.
    created(&store, "").await;
    assert_eq!(server.cli(&["KEYS", "*user:*"]), "");
}

#[tokio::test]
async fn an_entry_without_a_session_is_kept_for_a_minute_and_not_shown() {
    let server = Redis::start().await;
    let node = node(&server.url()).await;
    let ann = node.login("Ann").await;
    let [young, old] = [(); 2].map(|()| SessionId::generate().unwrap());
    let key = index("Ann");
    // As a node leaves them that dies between its two writes.
    let (second, minutes) = (Duration::from_secs(1), Duration::from_mins(2));
    let entries = [(&young, second), (&old, minutes)];
    for (id, age) in entries {
        server.cli(&["HSET", &key, id.expose(), &entry(ago(age), ago(age))]);
    }
    // A session that is old itself stays.
    let aged = entry(ago(minutes), ago(minutes));
    server.cli(&["HSET", &key, ann.id().expose(), &aged]);
    assert_eq!(ids(&node.sessions, "Ann").await, [ann.id().clone()].into());
    until_cli(&server, &["HEXISTS", &key, old.expose()], "0").await;
    assert_eq!(server.cli(&["HEXISTS", &key, young.expose()]), "1");
    assert_eq!(server.cli(&["HEXISTS", &key, ann.id().expose()]), "1");
    // It is stored at last.
    let made = connect(&server.url())
        .await
        .create(&young, &user("Ann"), HOUR)
        .await;
    assert!(matches!(made.unwrap(), Created::Created(_)));
    let newest_first = loaded(&node.sessions, "Ann").await;
    let newest_first: Vec<_> = newest_first.iter().map(Session::id).collect();
    assert_eq!(newest_first, [&young, ann.id()]);
}

#[tokio::test]
async fn a_session_is_listed_before_it_is_stored_and_a_failed_save_moves_none() {
    let server = Redis::start().await;
    let store = connect(&server.url()).await;
    let id = created(&store, "Ann").await;
    let revision = must_load(&store, &id).await.revision;
    // The index can't be written, so neither is the session.
    server.cli(&["SET", &index("Eve"), "no hash"]);
    let other = SessionId::generate().unwrap();
    let failed = store.create(&other, &user("Eve"), HOUR).await.unwrap_err();
    assert_eq!(failed.kind(), StoreErrorKind::Other);
    assert!(store.load(&other).await.unwrap().is_none());
    assert!(store.save(&id, &user("Eve"), &revision).await.is_err());
    assert_eq!(must_load(&store, &id).await.data.name, "Ann");
    assert_eq!(listed(&store, "Ann").await, [id.clone()].into());
    server.cli(&["DEL", &index("Eve")]);
    // A save that is a conflict leaves no entry, and a taken id none of another user.
    let saved = store.save(&id, &user("Ann"), &revision).await.unwrap();
    assert!(matches!(saved, Saved::Saved(_)));
    let theirs = User {
        visits: 7,
        ..user("Ann")
    };
    let current = must_load(&store, &id).await.revision;
    let saved = store.save(&id, &theirs, &current).await.unwrap();
    assert!(matches!(saved, Saved::Saved(_)));
    let saved = store.save(&id, &user("Eve"), &current).await.unwrap();
    assert_eq!(saved, Saved::Conflict);
    until_cli(&server, &["EXISTS", &index("Eve")], "0").await;
    let made = store.create(&id, &user("Eve"), HOUR).await.unwrap();
    assert_eq!(made, Created::Taken);
    until_cli(&server, &["EXISTS", &index("Eve")], "0").await;
    assert_eq!(listed(&store, "Ann").await, [id].into());
}

#[tokio::test]
async fn a_session_that_changes_its_user_keeps_its_time_of_creation() {
    let server = Redis::start().await;
    let store = connect(&server.url()).await;
    let id = created(&store, "Ann").await;
    let long_ago = ago(Duration::from_hours(2));
    let value = entry(long_ago, long_ago);
    server.cli(&["HSET", &index("Ann"), id.expose(), &value]);
    let revision = must_load(&store, &id).await.revision;
    let saved = store.save(&id, &user("Eve"), &revision).await;
    assert!(matches!(saved.unwrap(), Saved::Saved(_)));
    let moved = server.cli(&["HGET", &index("Eve"), id.expose()]);
    let time = |entry: &str| entry.split_once(',').unwrap().0.to_owned();
    assert_eq!(time(&moved), time(&value));
}

#[tokio::test]
async fn a_session_in_the_index_of_another_user_is_neither_shown_nor_ended() {
    let server = Redis::start().await;
    let node = node(&server.url()).await;
    let ann = node.login("Ann").await;
    let mut tab = node.connected(&ann).await;
    // As after a save to another user that failed, long ago.
    let old = ago(Duration::from_mins(2));
    server.cli(&["HSET", &index("Eve"), ann.id().expose(), &entry(old, old)]);
    assert!(loaded(&node.sessions, "Eve").await.is_empty());
    assert_eq!(node.sessions.end_sessions_of_user("Eve").await.unwrap(), 0);
    let name = r#"[{"name":"Ann","visits":0}]"#;
    assert_eq!(tab.ask("/", "whoami").await, name);
    assert_eq!(ids(&node.sessions, "Ann").await, [ann.id().clone()].into());
}

#[tokio::test]
async fn sessions_of_other_programs_and_of_before_are_indexed_at_their_next_load() {
    let server = Redis::start().await;
    let records = ExpressRecords::new();
    let builder = RedisStore::<User>::builder(&server.url()).unwrap();
    let store = builder
        .records(records)
        .user_id(|user| Some(user.name.clone()))
        .connect()
        .await
        .unwrap();
    let id = SessionId::generate().unwrap();
    let record = r#"{"cookie":{"originalMaxAge":null},"name":"Ann","visits":0}"#;
    let key = format!("sess:{}", id.expose());
    server.cli(&["SET", &key, record, "EX", "86400"]);
    assert!(listed(&store, "Ann").await.is_empty());
    let loaded = store.load(&id).await.unwrap().unwrap();
    assert!(loaded.ttl.unwrap() > HOUR * 23);
    let index = "[socketioxide-session]user:Ann sess:";
    until_cli(&server, &["HEXISTS", index, id.expose()], "1").await;
    let left: u64 = server.cli(&["PTTL", index]).parse().unwrap();
    assert!(left > 86_000_000, "{left}");
    assert_eq!(listed(&store, "Ann").await, [id.clone()].into());
    // An admission looks it up.
    let other = SessionId::generate().unwrap();
    let key = format!("sess:{}", other.expose());
    server.cli(&["SET", &key, record, "EX", "86400"]);
    assert!(store.look_up(&other).await.unwrap().is_some());
    store.flush().await;
    assert_eq!(listed(&store, "Ann").await, [id, other].into());
}

#[tokio::test]
async fn without_user_id_there_is_no_index() {
    let server = Redis::start().await;
    let store = RedisStore::<User>::connect(&server.url()).await.unwrap();
    assert!(!store.capabilities().user_index);
    let error = store.sessions_of_user("Ann").await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unsupported);
    created(&store, "Ann").await;
    assert_eq!(server.cli(&["DBSIZE"]), "1");
    // One that is set later, and prefixes that are indexed by themselves.
    let store = store.with_user_id(|user| Some(user.name.clone()));
    let other = store.clone().with_prefix("other:").unwrap();
    assert!(store.capabilities().user_index && other.capabilities().user_index);
    let id = created(&store, "Ann").await;
    assert_eq!(listed(&store, "Ann").await, [id].into());
    assert!(listed(&other, "Ann").await.is_empty());
}

#[tokio::test]
async fn a_command_of_the_index_that_is_refused_is_named_at_connect() {
    for command in ["HSET", "HGET", "HDEL", "HGETALL", "TIME"] {
        let server = Redis::start().await;
        let refused = format!("-{}", command.to_lowercase());
        let rules = [
            "ACL", "SETUSER", "app", "on", ">pw", "~*", "+@all", &refused,
        ];
        assert_eq!(server.cli(&rules), "OK");
        let url = format!("redis://app:pw@127.0.0.1:{}", server.port);
        // Without an index it is not needed.
        RedisStore::<User>::connect(&url).await.unwrap();
        let builder = RedisStore::<User>::builder(&url).unwrap();
        let error = builder.user_id(|_| None).connect().await.unwrap_err();
        let named = matches!(error, RedisConfigError::CommandRefused { command: named, .. } if named == command);
        assert!(named, "{command}: {error:?}");
        assert_eq!(server.cli(&["KEYS", "*user:*"]), "");
    }
}

/// Number of sessions that the server has.
fn session_count(server: &Redis) -> usize {
    let keys = server.cli(&["KEYS", "session:*"]);
    keys.lines().filter(|key| !key.is_empty()).count()
}

/// A node with connections of its own, and timeouts that a busy machine does not reach.
async fn patient_bridge(url: &str) -> SessionBridge<User> {
    let builder = RedisStore::<User>::builder(url).unwrap();
    let builder = builder.user_id(|user| Some(user.name.clone()));
    let builder = builder.command_timeout(PATIENT).unwrap();
    let store = builder.connect().await.unwrap();
    let bridge = SessionBridge::builder(users::cookie(), store);
    bridge.store_timeout(PATIENT).build().unwrap()
}

async fn bridges(url: &str) -> [SessionBridge<User>; 2] {
    [patient_bridge(url).await, patient_bridge(url).await]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_random_calls_the_index_agrees_with_a_model() {
    let server = Redis::start().await;
    let nodes = bridges(&server.url()).await;
    let model = user_model::after_random_calls(&nodes).await;
    // The expiring sessions have the shortest lifetime of all by far.
    let sessions = model.len();
    soon("they expire", async {
        while session_count(&server) > sessions {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    user_model::assert_agrees(&nodes[0], model).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_user_has_ten_thousand_sessions() {
    let server = Redis::start().await;
    let [here, there] = bridges(&server.url()).await;
    user_model::one_user_with_many(&here, &there).await;
}

#[tokio::test]
async fn a_rename_during_a_save_of_another_user_is_listed_for_that_user() {
    let server = Redis::start().await;
    let store = connect(&server.url()).await;
    let mut renamed = Vec::new();
    for _ in 0..50 {
        let old = created(&store, "Ann").await;
        let record = must_load(&store, &old).await;
        let new = SessionId::generate().unwrap();
        let eve = user("Eve");
        let (saved, moved) = tokio::join!(
            store.save(&old, &eve, &record.revision),
            store.rename(&old, &new)
        );
        assert!(moved.unwrap());
        let name = match saved.unwrap() {
            Saved::Saved(_) => "Eve",
            _ => "Ann",
        };
        renamed.push((name, new));
    }
    for (name, id) in &renamed {
        soon("it is listed", async {
            while !listed(&store, name).await.contains(id) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }
}

/// Another program gives a session another user, or one whose id this program can't derive.
#[tokio::test]
async fn a_user_that_another_program_changes_ends_the_sockets_and_is_listed_anew() {
    let server = Redis::start().await;
    let builder = RedisStore::<User>::builder(&server.url()).unwrap();
    let builder = builder.user_id(|user| {
        assert_ne!(user.name, "odd", "this user has no id");
        Some(user.name.clone())
    });
    let setup = Setup::new()
        .say_why()
        .store(builder.connect().await.unwrap());
    let node = setup.start().await;
    for (name, is_listed) in [
        ("Eve", true),
        ("odd", false),
        ("", false),
        (&"x".repeat(2_000), true),
    ] {
        let ann = node.login("Ann").await;
        let mut tab = node.connected(&ann).await;
        let key = format!("session:{}", ann.id().expose());
        let record = format!(r#"{{"name":"{name}","visits":0}}"#);
        server.cli(&["SET", &key, &record, "KEEPTTL"]);
        assert_eq!(tab.frame_of("42").await, r#"42["ended","user-changed"]"#);
        tab.frame_of("41").await;
        // The client of the session is admitted as the new user.
        let mut again = node.connected(&ann).await;
        let me = format!("[{record}]");
        assert_eq!(again.ask("/", "whoami").await, me);
        assert!(!ids(&node.sessions, "Ann").await.contains(ann.id()));
        soon("it is listed", async {
            while ids(&node.sessions, name).await.contains(ann.id()) != is_listed {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }
}

/// An application that never lists the sessions of a user who logs in again and again, and lets them expire.
#[tokio::test]
async fn entries_of_expired_sessions_do_not_pile_up_without_a_listing() {
    let server = Redis::start().await;
    let store = connect(&server.url()).await;
    let key = index("Ann");
    let old = ago(Duration::from_mins(2));
    let expired: Vec<_> = (0..500).map(|nth| format!("expired-{nth}")).collect();
    let value = entry(old, old);
    let pairs = expired.iter().flat_map(|id| [id.as_str(), &value]);
    let hset: Vec<&str> = ["HSET", &key].into_iter().chain(pairs).collect();
    assert_eq!(server.cli(&hset), "500");
    for _ in 0..256 {
        created(&store, "Ann").await;
    }
    until_cli(&server, &["HLEN", &key], "256").await;
}
