//! Activity on several nodes with one Redis.

use std::time::Duration;

use socketioxide_session::{
    RedisStore, SessionStore as _, interop::express::ExpressRecords, testing::Call,
};

use crate::support::{
    redis::{HOUR, PATIENT, Redis, ann, created, key},
    server::{Server, Setup, User},
    soon,
};

const INTERVAL: Duration = Duration::from_millis(500);

async fn node(redis: &Redis, records: Option<ExpressRecords>) -> Server {
    node_with(redis, records, INTERVAL).await
}

/// A node whose sessions live for an hour, in records of this crate or of Express.
async fn node_with(redis: &Redis, records: Option<ExpressRecords>, interval: Duration) -> Server {
    let store = RedisStore::<User>::builder(&redis.url()).unwrap();
    let store = store.command_timeout(PATIENT).unwrap();
    let store = match records {
        None => store.connect().await.unwrap(),
        Some(records) => store.records(records).connect().await.unwrap(),
    };
    let setup = Setup::new().store(store);
    setup
        .bridge(move |bridge| bridge.ttl(HOUR).touch_on_activity(interval))
        .start()
        .await
}

fn express() -> ExpressRecords {
    ExpressRecords::new().ttl(HOUR).field("user").unwrap()
}

/// Number of times that Redis ran this command, those in scripts included.
fn runs(redis: &Redis, command: &str) -> u64 {
    let stats = redis.cli(&["INFO", "commandstats"]);
    let start = format!("cmdstat_{command}:calls=");
    let line = stats.lines().find_map(|line| line.strip_prefix(&*start));
    line.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
}

#[tokio::test]
async fn two_nodes_touch_a_session_once_per_interval() {
    let redis = Redis::start().await;
    assert_once_per_interval(&redis, [node(&redis, None).await, node(&redis, None).await]).await;
}

#[tokio::test]
async fn two_nodes_touch_a_record_of_express_once_per_interval() {
    let redis = Redis::start().await;
    let records = || Some(express());
    let nodes = [node(&redis, records()).await, node(&redis, records()).await];
    assert_once_per_interval(&redis, nodes).await;
}

async fn assert_once_per_interval(redis: &Redis, nodes: [Server; 2]) {
    let [here, there] = &nodes;
    let began = tokio::time::Instant::now();
    let ann = here.login("Ann").await;
    let (mut tab, mut other) = (here.connected(&ann).await, there.connected(&ann).await);
    // A store tries its commands out when it connects.
    redis.cli(&["CONFIG", "RESETSTAT"]);
    // Both nodes are used all the time.
    soon("five touches", async {
        while runs(redis, "pexpire") < 5 {
            tab.ask("/", "whoami").await;
            other.ask("/", "whoami").await;
        }
    })
    .await;
    // The first is due an interval after the session was created, each other one after the last.
    let took = began.elapsed();
    assert!(took + INTERVAL / 5 >= INTERVAL * 5, "{took:?}");
    let touches = here.faults.calls(Call::Touch) + there.faults.calls(Call::Touch);
    assert!(touches >= 5, "{touches}");
}

/// The bridge knows of an hour, and the cookie of the record of five seconds.
#[tokio::test]
async fn a_record_of_express_that_lives_shorter_is_touched_once_in_a_tenth_of_its_life() {
    let redis = Redis::start().await;
    let nodes = [
        node_with(&redis, Some(express()), HOUR / 10).await,
        node_with(&redis, Some(express()), HOUR / 10).await,
    ];
    let (session, life) = (nodes[0].login("Ann").await, Duration::from_secs(5));
    let key = format!("sess:{}", session.id().expose());
    let record =
        r#"{"cookie":{"originalMaxAge":5000,"path":"/"},"user":{"name":"Ann","visits":0}}"#;
    redis.cli(&["SET", &key, record, "EX", "5"]);
    let mut tabs = [
        nodes[0].connected(&session).await,
        nodes[1].connected(&session).await,
    ];
    redis.cli(&["CONFIG", "RESETSTAT"]);
    let began = tokio::time::Instant::now();
    soon("five touches", async {
        while runs(&redis, "pexpire") < 5 {
            for tab in &mut tabs {
                tab.ask("/", "whoami").await;
            }
        }
    })
    .await;
    // The first one may be due at once.
    let took = began.elapsed();
    assert!(took + life / 50 >= life / 10 * 4, "{took:?}");
}

#[tokio::test]
async fn keep_alive_extends_only_what_is_due_and_returns_what_is_left() {
    let redis = Redis::start().await;
    let store = RedisStore::<User>::connect(&redis.url()).await.unwrap();
    let id = created(&store).await;
    redis.cli(&["CONFIG", "RESETSTAT"]);
    let minute = Duration::from_mins(1);
    // An hour is left, which is within the interval of the target.
    let left = store
        .keep_alive(&id, &ann(), HOUR + minute, minute * 2)
        .await;
    let left = left.unwrap().unwrap();
    assert!(left <= HOUR && left + minute > HOUR, "{left:?}");
    assert_eq!(runs(&redis, "pexpire"), 0);
    let left = store
        .keep_alive(&id, &ann(), HOUR * 2, minute)
        .await
        .unwrap();
    assert_eq!((left, runs(&redis, "pexpire")), (Some(HOUR * 2), 1));
    // Nothing is shortened, and what never expires never will.
    let left = store
        .keep_alive(&id, &ann(), minute, minute / 2)
        .await
        .unwrap();
    assert!(left.unwrap() > HOUR);
    redis.cli(&["PERSIST", &key(&id)]);
    let left = store.keep_alive(&id, &ann(), HOUR, minute).await.unwrap();
    assert_eq!(
        (left, redis.cli(&["TTL", &key(&id)])),
        (Some(Duration::MAX), "-1".to_owned())
    );
    store.delete(&id).await.unwrap();
    assert_eq!(
        store.keep_alive(&id, &ann(), HOUR, minute).await.unwrap(),
        None
    );
    assert_eq!(redis.cli(&["EXISTS", &key(&id)]), "0");
}

#[tokio::test]
async fn near_its_absolute_end_a_session_is_touched_once_more() {
    use std::time::SystemTime;

    let redis = Redis::start().await;
    let store = RedisStore::<User>::connect(&redis.url()).await.unwrap();
    let latest = SystemTime::now() + HOUR / 2;
    let setup = Setup::new().store(store).bridge(move |bridge| {
        let bridge = bridge.ttl(HOUR).touch_on_activity(HOUR / 10);
        bridge.max_lifetime(move |_| Some(latest))
    });
    let node = setup.start().await;
    // Less than an interval is missing.
    let life = Duration::from_mins(28);
    let session = node.sessions.create_for(ann(), life).await.unwrap();
    redis.cli(&["CONFIG", "RESETSTAT"]);
    let mut tab = node.connected(&session).await;
    soon("it lives until its absolute end", async {
        let end = latest - Duration::from_secs(5);
        while session.latest().expires_at() < Some(end) {
            tab.ask("/", "whoami").await;
        }
    })
    .await;
    assert!(session.latest().expires_at() <= Some(latest + Duration::from_secs(1)));
    let left: u64 = redis.cli(&["TTL", &key(session.id())]).parse().unwrap();
    assert!(left <= HOUR.as_secs() / 2, "{left}");
    for _ in 0..50 {
        tab.ask("/", "whoami").await;
    }
    assert_eq!(runs(&redis, "pexpire"), 1);
    assert_eq!(node.faults.calls(Call::Touch), 1);
}
