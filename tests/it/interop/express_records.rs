//! Sessions in the records of an Express application, while that writes them blindly.

use std::time::Duration;

use socketioxide_session::{RedisStore, SessionStore as _, interop::express::ExpressRecords};

use crate::support::{
    redis::Redis,
    server::{Server, Setup, User},
    soon,
};

async fn node(redis: &Redis) -> Server {
    let store = RedisStore::<User>::builder(&redis.url()).unwrap();
    let records = ExpressRecords::new().field("user").unwrap();
    let store = store.records(records).connect().await.unwrap();
    Setup::new().say_why().store(store).start().await
}

/// A request of Express that began before the end writes the record again.
fn write_again(redis: &Redis, key: &str) {
    let record = r#"{"cookie":{"path":"/"},"user":{"name":"Ann","visits":0}}"#;
    redis.cli(&["SET", key, record, "EX", "100"]);
}

async fn until_deleted(redis: &Redis, key: &str) {
    soon("the second deletion", async {
        while redis.cli(&["EXISTS", key]) != "0" {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_ended_session_that_is_written_again_is_deleted_again() {
    let redis = Redis::start().await;
    let node = node(&redis).await;
    let ann = node.login("Ann").await;
    let key = format!("sess:{}", ann.id().expose());
    assert_eq!(redis.cli(&["EXISTS", &key]), "1");
    ann.end().await.unwrap();
    for _ in 0..3 {
        write_again(&redis, &key);
        let mut tab = node.client(&[("cookie", &node.pair(&ann))]).await;
        let refused = tab.refused("/", "").await;
        assert_eq!(refused, r#"44{"message":"NO_SESSION"}"#);
        until_deleted(&redis, &key).await;
    }
}

#[tokio::test]
async fn what_was_written_while_reports_were_missing_is_deleted_after_them() {
    let redis = Redis::start().await;
    let node = node(&redis).await;
    let ann = node.login("Ann").await;
    let key = format!("sess:{}", ann.id().expose());
    ann.end().await.unwrap();
    redis.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
    write_again(&redis, &key);
    until_deleted(&redis, &key).await;
    let rejected = node.sessions.get(ann.id()).await;
    assert!(matches!(rejected, Ok(None)), "{rejected:?}");
}

/// The lifetime of a session is that of its own cookie, whatever the bridge has been told.
#[tokio::test]
async fn a_touch_returns_the_lifetime_that_the_record_has() {
    let redis = Redis::start().await;
    let store = RedisStore::<User>::builder(&redis.url()).unwrap();
    let records = ExpressRecords::new().field("user").unwrap();
    let store = store.records(records).connect().await.unwrap();
    let record =
        r#"{"cookie":{"originalMaxAge":300000,"path":"/"},"user":{"name":"Ann","visits":0}}"#;
    redis.cli(&["SET", "sess:an-id", record, "EX", "100"]);
    let id = "an-id".parse().unwrap();
    let ann = store.load(&id).await.unwrap().unwrap().data;
    let keep_alive = async |id| {
        let day = Duration::from_hours(24);
        let left = store.keep_alive(id, &ann, day, Duration::from_mins(5));
        left.await.unwrap()
    };
    assert_eq!(keep_alive(&id).await, Some(Duration::from_mins(5)));
    let left: u64 = redis.cli(&["TTL", "sess:an-id"]).parse().unwrap();
    assert!((295..=300).contains(&left), "{left}");
    redis.cli(&["PERSIST", "sess:an-id"]);
    assert_eq!(keep_alive(&id).await, Some(Duration::MAX));
    redis.cli(&["DEL", "sess:an-id"]);
    assert_eq!(keep_alive(&id).await, None);
}
