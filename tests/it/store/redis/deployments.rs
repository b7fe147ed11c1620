//! The store on Redis, on other deployments than one plain server, and through their failures.

use std::{
    collections::HashSet,
    fmt::Write as _,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use fred::{
    clients::{Client, Pool},
    interfaces::ClientLike as _,
    types::{RespVersion, config::Config},
};
use futures_util::future::{join_all, try_join_all};
use serde::{Deserialize, Serialize};
use socketioxide_session::{
    RedisStore, SessionId, SessionStore,
    store::{Change, Changes, RedisConfigError, Saved, StoreErrorKind},
};

use tokio::{
    net::{TcpListener, TcpStream},
    time::Instant,
};

use crate::support::{
    ports::free_port,
    redis::{
        CLUSTER, Cluster, FAILOVER, HOUR, Redis, ann, answers_again, created, feed, key, must_load,
        patient, until_reported, works,
    },
    server::User,
    soon, until,
};

#[tokio::test]
async fn through_a_unix_socket() {
    let server = Redis::start().await;
    let store = RedisStore::connect(&server.unix_url()).await.unwrap();
    works(&store, |key| {
        server.cli(&["DEL", key]);
    })
    .await;
}

fn resp3(server: &Redis) -> Config {
    let mut config = Config::from_url(&server.url()).unwrap();
    config.version = RespVersion::RESP3;
    config
}

#[tokio::test]
async fn with_a_client_of_ones_own_connected_before_or_after() {
    let server = Redis::start().await;
    let delete = |key: &str| {
        server.cli(&["DEL", key]);
    };
    let client = Client::new(resp3(&server), None, None, None);
    client.init().await.unwrap();
    works(&RedisStore::from_client(client), delete).await;

    let client = Client::new(resp3(&server), None, None, None);
    let store = RedisStore::from_client(client.clone());
    let mut early = store.changes().unwrap();
    client.init().await.unwrap();
    until_reported(&mut early, &Change::Resync).await;
    works(&store, delete).await;
}

#[tokio::test]
async fn with_a_pool_every_connection_reports() {
    let server = Redis::start().await;
    let pool = Pool::new(resp3(&server), None, None, None, 4).unwrap();
    pool.init().await.unwrap();
    let store = RedisStore::from_pool(&pool);
    let mut feed = feed(&store).await;
    for _ in 0..8 {
        let id = created(&store).await;
        must_load(&store, &id).await;
        server.cli(&["DEL", &key(&id)]);
        until_reported(&mut feed, &Change::Session(id)).await;
    }
}

#[tokio::test]
async fn without_resp3_there_is_no_feed_and_all_else_works() {
    let server = Redis::start().await;
    let client = Client::new(Config::from_url(&server.url()).unwrap(), None, None, None);
    client.init().await.unwrap();
    let store = RedisStore::<User>::from_client(client);
    assert!(store.changes().is_none());
    let id = created(&store).await;
    let record = must_load(&store, &id).await;
    let saved = store.save(&id, &ann(), &record.revision).await.unwrap();
    assert!(matches!(saved, Saved::Saved(_)));
    assert!(store.delete(&id).await.unwrap());
}

#[tokio::test]
async fn a_burst_of_reports_is_told_one_by_one() {
    let server = Redis::start().await;
    let store = patient(&server.url()).await;
    let mut feed = feed(&store).await;
    let mut ids = HashSet::new();
    for _ in 0..500 {
        let id = created(&store).await;
        must_load(&store, &id).await;
        ids.insert(id);
    }
    // Not the mark, whose loss is a `Resync`.
    let all = "for _, key in ipairs(redis.call('KEYS', 'session:*')) do redis.call('DEL', key) end";
    server.cli(&["EVAL", all, "0"]);
    soon("all of them are reported", async {
        while !ids.is_empty() {
            match feed.next().await {
                Some(Change::Session(id)) => ids.remove(&id),
                other => panic!("{other:?} with {} to come", ids.len()),
            };
        }
    })
    .await;
}

#[tokio::test]
async fn a_session_that_never_expires_never_expires_after_its_renaming() {
    let (server, cluster) = (Redis::start().await, Cluster::start().await);
    for (url, server) in [
        (server.url(), &server),
        (cluster.url(), &cluster.masters[0]),
    ] {
        let store = RedisStore::<User>::connect(&url).await.unwrap();
        let [old, new] = [(); 2].map(|()| SessionId::generate().unwrap());
        let value = r#"{"name":"Ann","visits":0}"#;
        assert_eq!(server.cli(&["-c", "SET", &key(&old), value]), "OK");
        assert!(must_load(&store, &old).await.ttl.is_none());
        assert!(store.rename(&old, &new).await.unwrap());
        assert_eq!(must_load(&store, &new).await.ttl, None, "{url}");
    }
}

#[tokio::test]
async fn numbers_and_text_of_other_programs_are_kept_to_the_last_digit() {
    let server = Redis::start().await;
    let store = RedisStore::<User>::connect(&server.url()).await.unwrap();
    for theirs in [
        "0.1",
        "5.2988234556232e-309",
        "1e400",
        "123456789012345678901234567890",
        "-0.0",
        "0.30000000000000004",
        "9007199254740993.5",
        "1690000000.1234567",
        "4.35e-7",
        r#""\ud800""#,
    ] {
        let id = SessionId::generate().unwrap();
        let stored = format!(r#"{{"name":"Ann","theirs":{theirs},"visits":0}}"#);
        server.cli(&["SET", &key(&id), &stored]);
        let record = must_load(&store, &id).await;
        let visited = User { visits: 1, ..ann() };
        let saved = store.save(&id, &visited, &record.revision).await;
        assert!(matches!(saved, Ok(Saved::Saved(_))), "{theirs}: {saved:?}");
        let expected = format!(r#"{{"name":"Ann","theirs":{theirs},"visits":1}}"#);
        assert_eq!(server.cli(&["GET", &key(&id)]), expected);
    }
}

/// Record of an Express session by connect-redis 9.
const EXPRESS: &str = r#"{"cookie":{"originalMaxAge":null,"expires":null,"httpOnly":true,"path":"/"},"user":"ann","userId":42}"#;

#[derive(Serialize, Deserialize)]
struct Visitor {
    user: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    visits: Option<u32>,
}

#[tokio::test]
async fn what_an_express_app_stored_is_kept() {
    let server = Redis::start().await;
    let store = RedisStore::<Visitor>::connect(&server.url()).await.unwrap();
    let store = store.with_prefix("sess:").unwrap();
    let id = SessionId::generate().unwrap();
    let key = format!("sess:{}", id.expose());
    server.cli(&["SET", &key, EXPRESS, "EX", "86400"]);
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    for (visits, expected) in [
        (
            Some(1),
            EXPRESS.replace(r#""userId":42"#, r#""userId":42,"visits":1"#),
        ),
        (None, EXPRESS.to_owned()),
    ] {
        let record = store.load(&id).await.unwrap().unwrap();
        let user = record.data.user.clone();
        let visitor = Visitor { user, visits };
        let saved = store.save(&id, &visitor, &record.revision).await.unwrap();
        assert!(matches!(saved, Saved::Saved(_)));
        assert_eq!(json(&server.cli(&["GET", &key])), json(&expected));
    }
}

#[tokio::test]
async fn a_wrong_password_is_an_error_that_does_not_tell_it() {
    let server = Redis::start().await;
    server.cli(&["CONFIG", "SET", "requirepass", "right-one"]);
    let port = server.port;
    for url in [
        format!("redis://:hunter2@127.0.0.1:{port}"),
        format!("redis://default:hunter2@127.0.0.1:{port}"),
        format!("redis-cluster://:hunter2@127.0.0.1:{port}"),
        format!("redis-sentinel://:hunter2@127.0.0.1:{port}?sentinelServiceName=main"),
    ] {
        let error = soon("an error", RedisStore::<User>::connect(&url)).await;
        let error = error.unwrap_err();
        let mut told = format!("{error:?} {error}");
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            let _ = write!(told, " {error:?} {error}");
            cause = error.source();
        }
        assert!(!told.contains("hunter2"), "{told}");
    }
}

#[tokio::test]
async fn what_asks_for_tls_is_never_spoken_to_in_the_clear() {
    let server = Redis::start().await;
    for scheme in [
        "rediss",
        "REDISS",
        "Rediss-Cluster",
        "rediss-sentinel",
        "valkeys",
        "valkeys-cluster",
        " rediss",
    ] {
        let url = format!(
            "{scheme}://127.0.0.1:{}?sentinelServiceName=main",
            server.port
        );
        let refused = match RedisStore::<User>::builder(&url) {
            Ok(builder) => {
                let builder = builder.connect_timeout(Duration::from_millis(200)).unwrap();
                builder.connect().await.err()
            }
            Err(error) => Some(error),
        };
        let by_feature = matches!(refused, Some(RedisConfigError::Tls | RedisConfigError::Url));
        assert!(refused.is_some(), "{scheme}");
        assert!(by_feature || cfg!(feature = "redis-tls"), "{scheme}");
    }
}

/// Twelve sessions are on all three masters.
async fn every_master_reports(cluster: &Cluster, store: &RedisStore<User>, feed: &mut Changes) {
    for _ in 0..12 {
        let id = SessionId::generate().unwrap();
        answers_again(store, &id).await;
        let _ = store.create(&id, &ann(), HOUR).await.unwrap();
        must_load(store, &id).await;
        cluster.masters[0].cli(&["-c", "DEL", &key(&id)]);
        until_reported(feed, &Change::Session(id)).await;
    }
}

#[tokio::test]
async fn one_node_of_a_cluster_goes_and_comes_back() {
    let mut cluster = Cluster::start().await;
    let store = RedisStore::<User>::connect(&cluster.url()).await.unwrap();
    let mut feed = feed(&store).await;
    let id = created(&store).await;
    must_load(&store, &id).await;
    let owner = cluster.owner(&key(&id));
    cluster.masters[owner].kill();
    until_reported(&mut feed, &Change::Disconnected).await;
    cluster.masters[owner].restart().await;
    until_reported(&mut feed, &Change::Resync).await;
    answers_again(&store, &id).await;
    every_master_reports(&cluster, &store, &mut feed).await;
}

#[tokio::test]
async fn one_connection_to_a_cluster_is_killed() {
    let cluster = Cluster::start().await;
    let store = RedisStore::<User>::connect(&cluster.url()).await.unwrap();
    let mut feed = feed(&store).await;
    for nth in 0..3 {
        cluster.masters[nth].cli(&["CLIENT", "KILL", "TYPE", "normal"]);
        until_reported(&mut feed, &Change::Disconnected).await;
        until_reported(&mut feed, &Change::Resync).await;
        every_master_reports(&cluster, &store, &mut feed).await;
    }
}

/// Moves a session to another master, as a resharding does; it is not over before
/// [`reshard_ends`].
fn reshard_begins(cluster: &Cluster, id: &SessionId, from: usize, to: usize) {
    let (from, to) = (&cluster.masters[from], &cluster.masters[to]);
    let slot = from.cli(&["CLUSTER", "KEYSLOT", &key(id)]);
    let (old, new) = (from.cli(&["CLUSTER", "MYID"]), to.cli(&["CLUSTER", "MYID"]));
    to.cli(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &old]);
    from.cli(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &new]);
    let port = to.port.to_string();
    let moved = from.cli(&["MIGRATE", "127.0.0.1", &port, &key(id), "0", "1000"]);
    assert_eq!(moved, "OK");
}

fn reshard_ends(cluster: &Cluster, id: &SessionId, to: usize) {
    let slot = cluster.masters[to].cli(&["CLUSTER", "KEYSLOT", &key(id)]);
    let new = cluster.masters[to].cli(&["CLUSTER", "MYID"]);
    for master in &cluster.masters {
        master.cli(&["CLUSTER", "SETSLOT", &slot, "NODE", &new]);
    }
}

#[tokio::test]
async fn a_cluster_is_resharded() {
    let cluster = Cluster::start().await;
    let store = RedisStore::<User>::connect(&cluster.url()).await.unwrap();
    let mut feed = feed(&store).await;
    let id = created_at(&store, &cluster.masters[0]).await;
    must_load(&store, &id).await;
    reshard_begins(&cluster, &id, 0, 1);
    // Whether it is found now or not, all else must go on.
    let _ = store.load(&id).await;
    reshard_ends(&cluster, &id, 1);
    answers_again(&store, &id).await;
    must_load(&store, &id).await;
    let moved = created_at(&store, &cluster.masters[2]).await;
    reshard_begins(&cluster, &moved, 2, 0);
    reshard_ends(&cluster, &moved, 0);
    // fred may have to look up its new server first.
    answers_again(&store, &moved).await;
    must_load(&store, &moved).await;
    cluster.masters[0].cli(&["DEL", &key(&moved)]);
    until_reported(&mut feed, &Change::Session(moved)).await;
}

/// A command for all nodes must not wait for the one that hangs.
#[tokio::test]
async fn one_master_hangs_and_the_others_answer() {
    let cluster = Cluster::start_with(CLUSTER).await;
    let store = RedisStore::<User>::connect(&cluster.url()).await.unwrap();
    let mut feed = feed(&store).await;
    let id = created_at(&store, &cluster.masters[2]).await;
    let _replica = cluster.replica_of(1).await;
    let record = must_load(&store, &id).await;
    cluster.masters[1].freeze();
    cluster.masters[0].cli(&["CLIENT", "KILL", "TYPE", "normal"]);
    // The first script of all, and tracking after the reconnection.
    let _ = store.save(&id, &ann(), &record.revision).await;
    until_reported(&mut feed, &Change::Disconnected).await;
    answers_again(&store, &id).await;
    until_reported(&mut feed, &Change::Resync).await;
    answers_again(&store, &id).await;
}

#[tokio::test]
async fn more_commands_than_can_wait_break_nothing() {
    let mut server = Redis::start().await;
    let store = RedisStore::<User>::connect(&server.url()).await.unwrap();
    let id = created(&store).await;
    server.freeze();
    let flood: Vec<_> = (0..20_000)
        .map(|_| {
            let (store, id) = (store.clone(), id.clone());
            tokio::spawn(async move { store.load(&id).await.err().map(|error| error.kind()) })
        })
        .collect();
    let mut refused = 0;
    for load in flood {
        let kind = soon("an answer", load).await.unwrap().unwrap();
        assert!(
            matches!(kind, StoreErrorKind::Timeout | StoreErrorKind::Unavailable),
            "{kind:?}"
        );
        refused += usize::from(kind == StoreErrorKind::Unavailable);
    }
    assert!(refused >= 10_000, "{refused}");
    server.kill();
    for _ in 0..20_000 {
        assert!(store.load(&id).await.is_err());
    }
    server.restart().await;
    answers_again(&store, &id).await;
    for _ in 0..100 {
        store.load(&id).await.unwrap();
    }
}

#[tokio::test]
async fn a_store_that_is_dropped_leaves_no_connection() {
    let server = Redis::start().await;
    let connections = || {
        let list = server.cli(&["CLIENT", "LIST", "TYPE", "normal"]);
        list.lines().count()
    };
    let before = connections();
    for _ in 0..3 {
        let builder = RedisStore::<User>::builder(&server.url()).unwrap();
        let store = builder.connections(2).unwrap().connect().await.unwrap();
        feed(&store).await;
        let also = store.clone();
        drop(store);
        assert!(also.load(&SessionId::generate().unwrap()).await.is_ok());
    }
    until("they are closed", || connections() == before).await;
    server.freeze();
    let builder = RedisStore::<User>::builder(&server.url()).unwrap();
    let builder = builder.connect_timeout(Duration::from_millis(300)).unwrap();
    assert!(builder.connect().await.is_err());
    server.thaw();
    until("no connection is left", || connections() == before).await;
}

#[tokio::test]
async fn of_a_pool_one_client_that_is_closed_is_a_loss() {
    let server = Redis::start().await;
    let pool = Pool::new(resp3(&server), None, None, None, 2).unwrap();
    pool.init().await.unwrap();
    let store = RedisStore::from_pool(&pool);
    let mut feed = feed(&store).await;
    pool.clients()[0].quit().await.unwrap();
    until_reported(&mut feed, &Change::Disconnected).await;
}

/// Neither the heartbeat nor fred gives up a server for which a command would wait.
#[tokio::test]
async fn a_server_that_is_silent_for_less_than_the_timeout_of_a_command_is_no_loss() {
    let server = Redis::start().await;
    let store = patient(&server.url()).await;
    let mut feed = feed(&store).await;
    let id = created(&store).await;
    must_load(&store, &id).await;
    server.freeze();
    tokio::time::sleep(Duration::from_secs(3)).await;
    server.thaw();
    server.cli(&["DEL", &key(&id)]);
    let reported = soon("a report", feed.next()).await;
    assert_eq!(reported, Some(Change::Session(id)));
}

/// Without any call of the store: what was known of its sessions is uncertain all the same.
#[tokio::test]
async fn one_node_of_a_cluster_hangs() {
    let cluster = Cluster::start().await;
    let store = RedisStore::<User>::connect(&cluster.url()).await.unwrap();
    let mut feed = feed(&store).await;
    for node in &cluster.masters {
        node.freeze();
        until_reported(&mut feed, &Change::Disconnected).await;
        node.thaw();
        until_reported(&mut feed, &Change::Resync).await;
        let id = created_at(&store, node).await;
        must_load(&store, &id).await;
        node.cli(&["DEL", &key(&id)]);
        until_reported(&mut feed, &Change::Session(id)).await;
    }
}

#[tokio::test]
async fn a_replica_of_a_cluster_takes_over() {
    for dies in [true, false] {
        let mut cluster = Cluster::start_with(CLUSTER).await;
        let replica = cluster.replica_of(0).await;
        let store = RedisStore::<User>::connect(&cluster.url()).await.unwrap();
        let mut feed = feed(&store).await;
        let id = created_at(&store, &cluster.masters[0]).await;
        must_load(&store, &id).await;
        replica.has_received_all_of(&cluster.masters[0]).await;
        if dies {
            cluster.masters[0].kill();
        }
        let mut asked: Option<Instant> = None;
        tokio::time::timeout(FAILOVER, async {
            while replica.cli(&["DEL", &key(&id)]) != "1" {
                // On a busy machine the replica gives a failover up, after five seconds; one that is
                // asked for earlier begins anew.
                if !dies
                    && asked.is_none_or(|at| at.elapsed() > Duration::from_secs(6))
                    && replica.cli(&["CLUSTER", "FAILOVER"]) == "OK"
                {
                    asked = Some(Instant::now());
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await
        .expect("it takes over");
        // A node that has read it gets a report of one kind or the other, and finds it gone.
        soon("a report", feed.next()).await.unwrap();
        answers_again(&store, &id).await;
        assert!(store.load(&id).await.unwrap().is_none());
        until_reported(&mut feed, &Change::Resync).await;
        let again = created_at(&store, &replica).await;
        must_load(&store, &again).await;
        replica.cli(&["DEL", &key(&again)]);
        until_reported(&mut feed, &Change::Session(again)).await;
    }
}

/// A name of the primary: a connection to this port leads to the server that is the primary then.
async fn name_of_the_primary(primary: Arc<AtomicU16>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let primary = primary.load(Ordering::SeqCst);
            tokio::spawn(async move {
                let server = TcpStream::connect(("127.0.0.1", primary)).await;
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server.unwrap()).await;
            });
        }
    });
    port
}

/// A planned failover, as managed servers do it: the old primary goes on as a replica, with all its
/// connections.
#[tokio::test]
async fn after_a_failover_behind_one_name_writes_work_again() {
    // A replica without its primary refuses reads with `MASTERDOWN`, if it is set so.
    for stale_reads in ["yes", "no"] {
        let (mut old, mut new) = (Redis::start().await, Redis::start().await);
        let primary = Arc::new(AtomicU16::new(old.port));
        let name = name_of_the_primary(primary.clone()).await;
        let url = format!("redis://127.0.0.1:{name}");
        let store = RedisStore::<User>::connect(&url).await.unwrap();
        let mut feed = feed(&store).await;
        let _ = created(&store).await;
        for _ in 0..2 {
            primary.store(new.port, Ordering::SeqCst);
            old.cli(&["CONFIG", "SET", "replica-serve-stale-data", stale_reads]);
            new.cli(&["REPLICAOF", "NO", "ONE"]);
            old.cli(&["REPLICAOF", "127.0.0.1", &new.port.to_string()]);
            // No call of the store is needed for it: the heartbeat writes.
            until_reported(&mut feed, &Change::Disconnected).await;
            until_reported(&mut feed, &Change::Resync).await;
            let id = created(&store).await;
            must_load(&store, &id).await;
            new.cli(&["DEL", &key(&id)]);
            until_reported(&mut feed, &Change::Session(id)).await;
            std::mem::swap(&mut old, &mut new);
        }
    }
}

#[tokio::test]
async fn a_server_that_starts_later_is_waited_for() {
    let port = free_port();
    let builder = RedisStore::<User>::builder(&format!("redis://127.0.0.1:{port}")).unwrap();
    let builder = builder.connect_timeout(Duration::from_secs(30)).unwrap();
    let connecting = tokio::spawn(builder.connect());
    // It has been refused at least once.
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    drop(listener.accept().await.unwrap());
    drop(listener);
    let server = Redis::start_at(port, &[]).await;
    let store = soon("it connects", connecting).await.unwrap().unwrap();
    works(&store, |key| {
        server.cli(&["DEL", key]);
    })
    .await;
}

#[tokio::test]
async fn a_flushed_database_is_noticed() {
    let server = Redis::start().await;
    let cluster = Cluster::start().await;
    for (url, masters) in [
        (server.url(), vec![&server]),
        (cluster.url(), cluster.masters.iter().collect()),
    ] {
        // Each sets the mark again, before the other has seen that it is missing.
        let stores = [(); 2].map(|()| RedisStore::<User>::connect(&url));
        let stores = try_join_all(stores).await.unwrap();
        let mut feeds = join_all(stores.iter().map(feed)).await;
        for master in masters {
            assert_eq!(master.cli(&["FLUSHALL"]), "OK");
            for feed in &mut feeds {
                until_reported(feed, &Change::Resync).await;
            }
            until("the mark is set again", || master.cli(&["DBSIZE"]) == "1").await;
        }
    }
}

#[tokio::test]
async fn what_the_server_tracks_no_longer_is_reported_as_changed() {
    let server = Redis::start_with(&["--tracking-table-max-keys", "10"]).await;
    let store = patient(&server.url()).await;
    let mut feed = feed(&store).await;
    for _ in 0..30 {
        let id = created(&store).await;
        must_load(&store, &id).await;
    }
    // Twenty of them; nothing has changed.
    for _ in 0..20 {
        let reported = soon("a report", feed.next()).await;
        assert!(matches!(reported, Some(Change::Session(_))), "{reported:?}");
    }
}

#[tokio::test]
async fn a_rename_in_a_cluster_that_meets_a_hanging_server_loses_no_session() {
    let cluster = Cluster::start().await;
    let store = RedisStore::<User>::connect(&cluster.url()).await.unwrap();
    let value = r#"{"name":"Ann","visits":0}"#;
    for hangs in [0, 1, 0, 1] {
        let old = created_at(&store, &cluster.masters[0]).await;
        let new = created_at(&store, &cluster.masters[1]).await;
        assert!(store.delete(&new).await.unwrap());
        let renaming = {
            let (store, old, new) = (store.clone(), old.clone(), new.clone());
            tokio::spawn(async move { store.rename(&old, &new).await })
        };
        tokio::time::sleep(Duration::from_micros(fastrand::u64(0..3_000))).await;
        cluster.masters[hangs].freeze();
        let renamed = soon("an answer", renaming).await.unwrap();
        cluster.masters[hangs].thaw();
        answers_again(&store, &old).await;
        answers_again(&store, &new).await;
        let [under_old, under_new] = [(0, &old), (1, &new)]
            .map(|(nth, id): (usize, &SessionId)| cluster.masters[nth].cli(&["GET", &key(id)]));
        match renamed {
            Ok(renamed) => {
                assert!(renamed);
                assert_eq!([&*under_old, &*under_new], ["", value]);
            }
            Err(_) => assert!(under_old == value || under_new == value),
        }
    }
}

/// A session that this server has.
async fn created_at(store: &RedisStore<User>, server: &Redis) -> SessionId {
    loop {
        let id = created(store).await;
        if server.cli(&["EXISTS", &key(&id)]) == "1" {
            return id;
        }
    }
}
