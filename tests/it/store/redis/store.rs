//! The store on Redis, against real servers.

use std::time::Duration;

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use socketioxide_session::{
    RedisStore, SessionId, SessionStore,
    store::{Change, Created, REPLACED_MARK_TTL, RedisConfigError, Saved, StoreErrorKind},
    testing::SampleData,
};

use crate::support::{
    redis::{
        Cluster, HOUR, Hosted, PATIENT, Redis, Sentinel, ann, created, feed, key, must_load,
        patient, until_reported,
    },
    server::User,
    soon,
};

async fn indexed(url: &str) -> RedisStore<SampleData> {
    let builder = RedisStore::<SampleData>::builder(url).unwrap();
    let builder = builder.user_id(|data| Some(data.text.clone()));
    let builder = builder.command_timeout(PATIENT).unwrap();
    builder.connect().await.unwrap()
}

socketioxide_session::store_conformance!(single, async {
    let server = Redis::start().await;
    Hosted::of(indexed(&server.url()).await, server)
});

socketioxide_session::store_conformance!(cluster, async {
    let cluster = Cluster::start().await;
    Hosted::of(indexed(&cluster.url()).await, cluster)
});

socketioxide_session::store_conformance!(after_a_failover, async {
    let mut servers = Sentinel::start().await;
    let builder = RedisStore::<SampleData>::builder(&servers.url()).unwrap();
    let builder = builder.command_timeout(PATIENT).unwrap();
    let store = builder.connect().await.unwrap();
    servers.fail_over().await;
    soon("it answers again", async {
        let unknown = SessionId::generate().unwrap();
        while store.load(&unknown).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    Hosted::of(store, servers)
});

async fn connect(server: &Redis) -> RedisStore<User> {
    RedisStore::connect(&server.url()).await.unwrap()
}

#[tokio::test]
async fn a_session_is_one_readable_key() {
    let server = Redis::start().await;
    let store = connect(&server).await.with_prefix("app:").unwrap();
    let id = created(&store).await;
    let key = format!("app:{}", id.expose());
    assert_eq!(server.cli(&["GET", &key]), r#"{"name":"Ann","visits":0}"#);
    let left: u64 = server.cli(&["PTTL", &key]).parse().unwrap();
    assert!(left > 3_590_000 && left <= 3_600_000);
    assert_eq!(server.cli(&["DBSIZE"]), "1");
    assert!(matches!(
        store.with_prefix("{app}"),
        Err(RedisConfigError::Prefix(_))
    ));
}

#[tokio::test]
async fn changes_by_any_program_are_reported() {
    let server = Redis::start().await;
    let store = connect(&server).await;
    let mut feed = feed(&store).await;
    let id = created(&store).await;
    let key = key(&id);
    let changed = Change::Session(id.clone());
    for command in [
        &["SET", &key, r#"{"name":"Eve","visits":1}"#, "KEEPTTL"][..],
        &["EXPIRE", &key, "100"],
        &["PERSIST", &key],
        &["RENAME", &key, "elsewhere"],
        // Of a key that was read while it was missing, too.
        &["RENAME", "elsewhere", &key],
        &["PEXPIRE", &key, "3000"],
    ] {
        store.load(&id).await.unwrap();
        server.cli(command);
        until_reported(&mut feed, &changed).await;
    }
    // The end of its life.
    store.load(&id).await.unwrap();
    until_reported(&mut feed, &changed).await;
    assert!(store.load(&id).await.unwrap().is_none());
}

#[tokio::test]
async fn after_an_update_and_a_touch_a_deletion_elsewhere_is_reported_still() {
    let server = Redis::start().await;
    let store = connect(&server).await;
    let mut feed = feed(&store).await;
    let id = created(&store).await;
    let changed = Change::Session(id.clone());
    let record = must_load(&store, &id).await;
    let saved = store.save(&id, &ann(), &record.revision).await.unwrap();
    assert!(matches!(saved, Saved::Saved(_)));
    until_reported(&mut feed, &changed).await;
    must_load(&store, &id).await;
    assert!(store.touch(&id, &ann(), HOUR * 2).await.unwrap());
    until_reported(&mut feed, &changed).await;
    must_load(&store, &id).await;
    server.cli(&["DEL", &key(&id)]);
    until_reported(&mut feed, &changed).await;
}

#[tokio::test]
async fn in_a_cluster_every_master_reports() {
    let cluster = Cluster::start().await;
    let store = RedisStore::<User>::connect(&cluster.url()).await.unwrap();
    let mut feed = feed(&store).await;
    for _ in 0..30 {
        let id = created(&store).await;
        must_load(&store, &id).await;
        let key = key(&id);
        cluster.masters[0].cli(&["-c", "DEL", &key]);
        until_reported(&mut feed, &Change::Session(id)).await;
    }
    for master in &cluster.masters {
        assert_eq!(master.cli(&["KEYS", "session:*"]), "");
        // The mark of this master, and no other.
        assert_eq!(master.cli(&["DBSIZE"]), "1");
    }
}

#[tokio::test]
async fn a_broken_connection_is_lost_then_lagged_and_then_it_reports_again() {
    let mut server = Redis::start().await;
    let store = connect(&server).await;
    let mut feed = feed(&store).await;
    let breaks: [fn(&Redis); 2] = [
        |server| {
            server.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
        },
        |server| {
            server.freeze();
        },
    ];
    for breaks in breaks {
        let id = created(&store).await;
        must_load(&store, &id).await;
        breaks(&server);
        // A server that hangs is found by a command that it does not answer.
        let _ = store.load(&id).await;
        until_reported(&mut feed, &Change::Disconnected).await;
        server.thaw();
        until_reported(&mut feed, &Change::Resync).await;
        must_load(&store, &id).await;
        server.cli(&["DEL", &key(&id)]);
        until_reported(&mut feed, &Change::Session(id)).await;
    }
    server.kill();
    until_reported(&mut feed, &Change::Disconnected).await;
    server.restart().await;
    until_reported(&mut feed, &Change::Resync).await;
    let id = created(&store).await;
    must_load(&store, &id).await;
    server.cli(&["DEL", &key(&id)]);
    until_reported(&mut feed, &Change::Session(id)).await;
}

#[tokio::test]
async fn behind_a_sentinel_a_failover_is_lost_then_lagged_and_the_sessions_go_on() {
    let mut servers = Sentinel::start().await;
    let store = RedisStore::<User>::connect(&servers.url()).await.unwrap();
    let mut feed = feed(&store).await;
    let id = created(&store).await;
    let key = key(&id);
    soon("it is replicated", async {
        while servers.replica.cli(&["EXISTS", &key]) != "1" {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    servers.fail_over().await;
    until_reported(&mut feed, &Change::Disconnected).await;
    until_reported(&mut feed, &Change::Resync).await;
    let record = must_load(&store, &id).await;
    let saved = store.save(&id, &ann(), &record.revision).await.unwrap();
    assert!(matches!(saved, Saved::Saved(_)));
    must_load(&store, &id).await;
    servers.replica.cli(&["DEL", &key]);
    until_reported(&mut feed, &Change::Session(id)).await;
}

#[tokio::test]
async fn a_server_that_hangs_is_a_timeout_and_a_late_write_brings_nothing_back() {
    let server = Redis::start().await;
    let store = connect(&server).await;
    let id = created(&store).await;
    let record = must_load(&store, &id).await;
    server.freeze();
    let failed = soon("an error", store.save(&id, &ann(), &record.revision)).await;
    let kind = failed.unwrap_err().kind();
    assert!(
        matches!(kind, StoreErrorKind::Timeout | StoreErrorKind::Unavailable),
        "{kind:?}"
    );
    // A deletion by another program comes first when it answers again, or last.
    server.thaw();
    let key = key(&id);
    soon("it is deleted", async {
        while server.cli(&["DEL", &key]).is_empty() {}
    })
    .await;
    soon("it answers again", async {
        while store.load(&id).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert!(store.load(&id).await.unwrap().is_none());
    assert_eq!(
        store.save(&id, &ann(), &record.revision).await.unwrap(),
        Saved::Gone
    );
}

#[tokio::test]
async fn scripts_that_were_flushed_are_no_loss() {
    let server = Redis::start().await;
    let store = connect(&server).await;
    let id = created(&store).await;
    for _ in 0..2 {
        server.cli(&["SCRIPT", "FLUSH"]);
        let record = must_load(&store, &id).await;
        let saved = store.save(&id, &ann(), &record.revision).await.unwrap();
        assert!(matches!(saved, Saved::Saved(_)));
        server.cli(&["SCRIPT", "FLUSH"]);
        assert!(store.touch(&id, &ann(), HOUR).await.unwrap());
    }
}

#[tokio::test]
async fn a_hundred_updates_from_two_clients_are_a_hundred() {
    let server = Redis::start().await;
    let stores = [patient(&server.url()).await, patient(&server.url()).await];
    let id = created(&stores[0]).await;
    let add = async |store: RedisStore<User>| {
        loop {
            let record = must_load(&store, &id).await;
            let mut user = User::clone(&record.data);
            user.visits += 1;
            match store.save(&id, &user, &record.revision).await.unwrap() {
                Saved::Saved(_) => break,
                Saved::Conflict => {
                    let pause = Duration::from_micros(fastrand::u64(0..5_000));
                    tokio::time::sleep(pause).await;
                }
                Saved::Gone => panic!("it is gone"),
            }
        }
    };
    join_all((0..100).map(|nth| add(stores[nth % 2].clone()))).await;
    assert_eq!(must_load(&stores[0], &id).await.data.visits, 100);
}

#[tokio::test]
async fn fields_of_other_programs_are_kept() {
    let server = Redis::start().await;
    let store = connect(&server).await;
    let id = SessionId::generate().unwrap();
    let key = key(&id);
    let theirs = r#"{"cookie":{"originalMaxAge":1,"path":"/"},"name":"Ann","visits":0}"#;
    server.cli(&["SET", &key, theirs, "EX", "100"]);
    let record = must_load(&store, &id).await;
    let visited = User { visits: 1, ..ann() };
    let saved = store.save(&id, &visited, &record.revision).await.unwrap();
    let expected = r#"{"cookie":{"originalMaxAge":1,"path":"/"},"name":"Ann","visits":1}"#;
    assert_eq!(server.cli(&["GET", &key]), expected);
    // The revision that a save gives is one to save on.
    let Saved::Saved(revision) = saved else {
        panic!("refused")
    };
    assert_eq!(must_load(&store, &id).await.revision, revision);
    let left: u64 = server.cli(&["TTL", &key]).parse().unwrap();
    assert!(left > 90 && left <= 100);
}

#[tokio::test]
async fn what_is_no_session_is_a_decode_error_and_left_as_it_is() {
    let server = Redis::start().await;
    let store = connect(&server).await;
    let id = SessionId::generate().unwrap();
    let key = key(&id);
    for broken in [
        "{\"name\":\"a-secret\"",
        "[]",
        "{\"name\":\"a-secret\"}",
        "\u{1}\u{2}",
    ] {
        server.cli(&["SET", &key, broken]);
        let error = store.load(&id).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Decode);
        let shown = format!("{error:?}");
        assert!(!shown.contains("a-secret"), "{shown}");
        assert_eq!(server.cli(&["GET", &key]), broken);
    }
    server.cli(&["DEL", &key]);
    server.cli(&["LPUSH", &key, "x"]);
    assert_eq!(
        store.load(&id).await.unwrap_err().kind(),
        StoreErrorKind::Decode
    );
    let save = store.save(&id, &ann(), &b"x".to_vec().into()).await;
    assert_eq!(save.unwrap_err().kind(), StoreErrorKind::Decode);
    assert_eq!(server.cli(&["LRANGE", &key, "0", "-1"]), "x");
}

#[tokio::test]
async fn the_mark_of_a_replaced_session_is_short_lived_and_shows_no_id() {
    let server = Redis::start().await;
    let store = connect(&server).await;
    let [id, other] = [(); 2].map(|()| SessionId::generate().unwrap());
    assert!(!store.was_replaced(&id).await.unwrap());
    store.mark_replaced(&id).await.unwrap();
    store.mark_replaced(&id).await.unwrap();
    // Other nodes see it.
    assert!(connect(&server).await.was_replaced(&id).await.unwrap());
    assert!(!store.was_replaced(&other).await.unwrap());
    let mark = server.cli(&["KEYS", "*replaced:*"]);
    assert!(mark.starts_with("[socketioxide-session]replaced:"));
    assert!(!mark.contains(id.expose()));
    let left: u128 = server.cli(&["PTTL", &mark]).parse().unwrap();
    assert!(left > 5_000 && left <= REPLACED_MARK_TTL.as_millis());
    server.cli(&["DEL", &mark]);
    assert!(!store.was_replaced(&id).await.unwrap());
}

#[derive(Serialize, Deserialize)]
struct Big {
    text: String,
}

#[tokio::test]
async fn more_than_64_kib_is_refused() {
    let server = Redis::start().await;
    let store = RedisStore::<Big>::connect(&server.url()).await.unwrap();
    let id = SessionId::generate().unwrap();
    let big = |length: usize| Big {
        text: "x".repeat(length),
    };
    let overhead = r#"{"text":""}"#.len();
    let fits = big(64 * 1024 - overhead);
    let created = store.create(&id, &fits, HOUR).await.unwrap();
    assert!(matches!(created, Created::Created(_)));
    let large = big(64 * 1024 - overhead + 1);
    let refused = store
        .create(&SessionId::generate().unwrap(), &large, HOUR)
        .await;
    assert_eq!(refused.unwrap_err().kind(), StoreErrorKind::TooLarge);
    let record = store.load(&id).await.unwrap().unwrap();
    let refused = store.save(&id, &large, &record.revision).await;
    assert_eq!(refused.unwrap_err().kind(), StoreErrorKind::TooLarge);
    assert_eq!(server.cli(&["DBSIZE"]), "1");
}

#[tokio::test]
async fn bad_urls_are_typed_errors_without_the_password() {
    for url in [
        "",
        "not a url",
        "http://127.0.0.1",
        "redis://:hunter2@:port",
        "redis+unix://",
    ] {
        let error = RedisStore::<User>::connect(url).await.unwrap_err();
        assert!(!format!("{error:?} {error}").contains("hunter2"), "{url}");
    }
    let tls = RedisStore::<User>::builder("rediss://127.0.0.1").err();
    let refused = matches!(tls, Some(RedisConfigError::Tls));
    assert_eq!(refused, cfg!(not(feature = "redis-tls")));
    let builder = RedisStore::<User>::builder("redis://:hunter2@127.0.0.1:1").unwrap();
    assert!(!format!("{builder:?}").contains("hunter2"));
    let error = soon("an error", builder.connect()).await.unwrap_err();
    assert!(!format!("{error:?}").contains("hunter2"));
}
