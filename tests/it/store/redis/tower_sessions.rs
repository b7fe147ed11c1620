//! Records of tower-sessions in a real server.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use socketioxide_session::{
    RedisStore, SessionBridge, SessionId, SessionStore,
    interop::tower_sessions::{AxumLogin, PlainCookie, TowerSessionsRecords},
    store::{Change, Created, Saved, StoreErrorKind},
    testing::{HandshakeBuilder, SampleData},
};
use tower_sessions_0_14::session::{Id, Record};

use crate::support::{
    log::OwnLog,
    redis::{Cluster, HOUR, Hosted, PATIENT, Redis, until_reported},
};

/// All laws, on what is at a path of the data and on the whole data.
async fn indexed(url: &str, records: TowerSessionsRecords) -> RedisStore<SampleData> {
    let builder = RedisStore::<SampleData>::builder(url).unwrap();
    let builder = builder.records(records);
    let builder = builder.user_id(|data| Some(data.text.clone()));
    let builder = builder.command_timeout(PATIENT).unwrap();
    builder.connect().await.unwrap()
}

socketioxide_session::store_conformance!(field, async {
    let server = Redis::start().await;
    let store = indexed(&server.url(), TowerSessionsRecords::field("app.test")).await;
    Hosted::of(store, server)
});

socketioxide_session::store_conformance!(whole_data_in_a_cluster, async {
    let cluster = Cluster::start().await;
    let store = indexed(&cluster.url(), TowerSessionsRecords::whole_data()).await;
    Hosted::of(store, cluster)
});

const GOLDEN: &str = include_str!("../../../golden/tower-sessions.json");

/// The user of the golden records, `"user": "ann"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Name(String);

async fn connect(url: &str, records: TowerSessionsRecords) -> RedisStore<Name> {
    let builder = RedisStore::<Name>::builder(url).unwrap();
    let builder = builder.command_timeout(PATIENT).unwrap();
    builder.records(records).connect().await.unwrap()
}

/// Key and value of the record `{"user": "ann"}`, as tower-sessions-redis-store wrote them.
fn written() -> (String, Vec<u8>) {
    let golden: Value = serde_json::from_str(GOLDEN).unwrap();
    let records = golden["redis"].as_array().unwrap();
    let record = records.iter().find(|one| one["name"] == "one").unwrap();
    let hex = record["value_hex"].as_str().unwrap();
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    let bytes = (0..hex.len()).step_by(2).map(byte).collect();
    (record["redis_key"].as_str().unwrap().to_owned(), bytes)
}

/// Writes a value as tower-sessions-redis-store does.
fn write(server: &Redis, key: &str, value: &[u8]) {
    let script = format!(
        "return redis.call('SET', KEYS[1], \"{}\", 'EX', 1000)",
        escaped_for_lua(value)
    );
    assert_eq!(server.cli(&["-c", "EVAL", &script, "1", key]), "OK");
}

fn escaped_for_lua(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "\\{byte:03}").unwrap();
        text
    })
}

/// Record that tower-sessions reads.
fn read(server: &Redis, id: &SessionId) -> Record {
    let script = "local value = redis.call('GET', KEYS[1])
        return (value:gsub('.', function(byte) return string.format('%02x', byte:byte()) end))";
    let hex = server.cli(&["-c", "EVAL", script, "1", id.expose()]);
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    let bytes: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
    rmp_serde::from_slice(&bytes).unwrap()
}

fn raw(id: &SessionId) -> Id {
    id.expose().parse().unwrap()
}

/// Loads, updates, renames and deletes what tower-sessions wrote.
async fn takes_over(server: &Redis, store: &RedisStore<Name>) {
    let (key, value) = written();
    write(server, &key, &value);
    let old: SessionId = key.parse().unwrap();
    let record = store.load(&old).await.unwrap().unwrap();
    assert_eq!(*record.data, Name("ann".into()));
    let saved = store
        .save(&old, &Name("eve".into()), &record.revision)
        .await;
    assert!(matches!(saved.unwrap(), Saved::Saved(_)));
    let stored = read(server, &old);
    assert_eq!(stored.data["user"], json!("eve"));
    assert_eq!(stored.id, raw(&old));
    let expires = stored.expiry_date.unix_timestamp_nanos();
    assert_eq!(expires, 1_900_000_000_123_456_789);

    let new = SessionId::generate().unwrap();
    assert!(store.rename(&old, &new).await.unwrap());
    let renamed = read(server, &new);
    // tower-sessions saves and deletes by the id inside.
    assert_eq!(renamed.id, raw(&new));
    assert_eq!(renamed.data, stored.data);
    assert!(store.was_replaced(&old).await.unwrap());
    assert!(store.load(&old).await.unwrap().is_none());
    let left = store.load(&new).await.unwrap().unwrap().ttl.unwrap();
    assert!(left.as_secs() > 900 && left.as_secs() <= 1000, "{left:?}");
    assert!(!store.rename(&old, &new).await.unwrap());
    assert!(store.delete(&new).await.unwrap());
    assert!(store.load(&new).await.unwrap().is_none());
}

#[tokio::test]
async fn a_record_of_tower_sessions_is_loaded_updated_renamed_and_deleted() {
    let server = Redis::start().await;
    let store = connect(&server.url(), TowerSessionsRecords::field("user")).await;
    takes_over(&server, &store).await;
    // A taken id stays as it is.
    let [one, two] = [(); 2].map(|()| SessionId::generate().unwrap());
    for (id, name) in [(&one, "one"), (&two, "two")] {
        let created = store.create(id, &Name(name.into()), HOUR).await.unwrap();
        assert!(matches!(created, Created::Created(_)));
    }
    let refused = store.rename(&one, &two).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Other);
    assert!(!store.was_replaced(&one).await.unwrap());
    assert_eq!(read(&server, &two).data["user"], json!("two"));
    assert_eq!(read(&server, &one).id, raw(&one));
}

#[tokio::test]
async fn in_a_cluster_a_rename_changes_the_id_inside_too() {
    let cluster = Cluster::start().await;
    let store = connect(&cluster.url(), TowerSessionsRecords::field("user")).await;
    takes_over(&cluster.masters[0], &store).await;
}

#[tokio::test]
async fn tower_sessions_reads_a_record_that_was_created_here() {
    let server = Redis::start().await;
    let store = connect(&server.url(), TowerSessionsRecords::field("app.user")).await;
    let mut feed = store.changes().unwrap();
    until_reported(&mut feed, &Change::Resync).await;
    let id = SessionId::generate().unwrap();
    let created = store.create(&id, &Name("ann".into()), HOUR).await.unwrap();
    assert!(matches!(created, Created::Created(_)));
    let record = read(&server, &id);
    assert_eq!(record.id, raw(&id));
    assert_eq!(record.data["app.user"], json!("ann"));
    // Its logout is reported, also without a prefix of the keys.
    store.load(&id).await.unwrap().unwrap();
    server.cli(&["DEL", id.expose()]);
    until_reported(&mut feed, &Change::Session(id)).await;
}

#[tokio::test]
async fn a_record_that_does_not_fit_is_no_session_and_left_as_it_is() {
    let log = OwnLog::begin();
    let server = Redis::start().await;
    let store = RedisStore::<AxumLogin<i64>>::builder(&server.url()).unwrap();
    let store = store.records(TowerSessionsRecords::field("axum-login.data"));
    let store = store.connect().await.unwrap();
    let sessions = SessionBridge::builder(PlainCookie::new("id").unwrap(), store);
    let sessions = sessions.build().unwrap();
    let login = json!({"user_id": "secret", "auth_hash": [1]});
    let record = Record {
        id: Id::default(),
        data: [("axum-login.data".to_owned(), login)].into(),
        expiry_date: time::OffsetDateTime::now_utc() + HOUR,
    };
    let (id, stored) = (record.id.to_string(), rmp_serde::to_vec(&record).unwrap());
    write(&server, &id, &stored);
    let list = Id::default().to_string();
    server.cli(&["RPUSH", &list, "theirs"]);
    for presented in [&id, &list] {
        let request = HandshakeBuilder::request("/").cookie("id", presented);
        let rejected = sessions.from_request(&request.into_parts()).await;
        let rejected = rejected.unwrap_err();
        assert_eq!(rejected.to_string(), "NO_SESSION");
        assert_eq!(rejected.reason(), "unreadable");
    }
    assert_eq!(log.count("ERROR"), 2, "{}", log.text());
    let text = log.text();
    assert!(text.contains("axum-login.data.user_id") && text.contains("WRONGTYPE"));
    assert!(!text.contains("secret") && !text.contains(&id) && !text.contains("theirs"));
    assert_eq!(read(&server, &id.parse().unwrap()), record);
    assert_eq!(server.cli(&["LLEN", &list]), "1");
}

#[tokio::test]
async fn saves_at_the_same_time_are_in_the_renamed_record() {
    let server = Redis::start().await;
    let store = connect(&server.url(), TowerSessionsRecords::field("user")).await;
    for _ in 0..20 {
        let old = SessionId::generate().unwrap();
        let created = store.create(&old, &Name("0".into()), HOUR).await.unwrap();
        assert!(matches!(created, Created::Created(_)));
        let saving = tokio::spawn({
            let (store, old) = (store.clone(), old.clone());
            async move {
                let mut saves = 0;
                while let Some(record) = store.load(&old).await.unwrap() {
                    let next = Name((saves + 1).to_string());
                    match store.save(&old, &next, &record.revision).await.unwrap() {
                        Saved::Saved(_) => saves += 1,
                        Saved::Conflict => panic!("nothing else saves"),
                        Saved::Gone => break,
                    }
                }
                saves
            }
        });
        tokio::task::yield_now().await;
        let new = SessionId::generate().unwrap();
        assert!(store.rename(&old, &new).await.unwrap());
        let saves = saving.await.unwrap();
        let record = read(&server, &new);
        assert_eq!(record.data["user"], json!(saves.to_string()));
        assert_eq!(record.id, raw(&new));
    }
}
