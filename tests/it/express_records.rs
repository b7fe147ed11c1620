//! Sessions in the records of an Express application, while that writes them blindly.

use socketioxide_session::{RedisStore, interop::express::ExpressRecords};

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
