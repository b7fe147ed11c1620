//! Records of Express.

use serde_json::Value;

use super::*;
use crate::store::{Created, Saved, SessionStore as _, StoreErrorKind};

#[tokio::test(flavor = "multi_thread")]
async fn a_touch_gives_the_lifetime_that_express_gives() {
    let redis = Redis::start();
    let store = redis
        .store::<Value>(ExpressRecords::new().ttl(Duration::from_secs(500)))
        .await;
    let deep = format!("{}{}", "[".repeat(2000), "]".repeat(2000));
    for (stored, before, seconds) in [
        (r#"{"cookie":{"originalMaxAge":3600000}}"#, "100", 3600),
        (r#"{"cookie":{"originalMaxAge":3599001}}"#, "100", 3600),
        (r#"{"cookie":{"originalMaxAge":3600000}}"#, "9000", 9000),
        (
            r#"{"cookie":{"originalMaxAge":1e300}}"#,
            "100",
            100 * 365 * 86_400,
        ),
        (r#"{"cookie":{"originalMaxAge":-5}}"#, "100", 100),
        (r#"{"cookie":{"originalMaxAge":null}}"#, "100", 500),
        (r#"{"cookie":{"originalMaxAge":"3600000"}}"#, "100", 500),
        (r#"{"cookie":null}"#, "100", 500),
        (r#"{"cookie":7}"#, "100", 500),
        (r#"{"n":1}"#, "100", 500),
        ("7", "100", 500),
        ("{", "100", 500),
        (deep.as_str(), "100", 500),
    ] {
        redis.cli(&["SET", "sess:touched", stored, "EX", before]);
        let data = Value::Null;
        assert!(
            store
                .touch(&id("touched"), &data, Duration::from_secs(7))
                .await
                .unwrap()
        );
        let left: i64 = redis.cli(&["TTL", "sess:touched"]).parse().unwrap();
        assert!(
            (seconds - 20..=seconds).contains(&left),
            "{left} s after {stored:.60}"
        );
        assert_eq!(redis.cli(&["GET", "sess:touched"]), stored);
    }
}

/// Each app of the vectors, with its own prefix and ttl: after our touch its key lives as long as it did
/// after Express' own.
#[tokio::test(flavor = "multi_thread")]
async fn a_touch_agrees_with_each_app_of_the_vectors() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/golden/connect-redis.json"
    );
    let golden: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let redis = Redis::start();
    for case in golden["cases"].as_array().unwrap() {
        let options = &case["store_options"];
        let ttl = match &options["ttl"] {
            Value::Null => 86_400,
            Value::String(function) if function == "s=>777" => 777,
            ttl => ttl.as_u64().unwrap(),
        };
        let store = redis
            .store::<Value>(ExpressRecords::new().ttl(Duration::from_secs(ttl)))
            .await;
        let store = store
            .with_prefix(options["prefix"].as_str().unwrap_or("sess:"))
            .unwrap();
        let login = &case["events"][0];
        let record = &login["redis"][0];
        if record["ttl"] == 3 {
            // On a busy machine it may be over before it is looked at.
            continue;
        }
        let (key, value) = (
            record["key"].as_str().unwrap(),
            record["value_utf8"].as_str().unwrap(),
        );
        redis.cli(&["SET", key, value]);
        if record["ttl"] != -1 {
            redis.cli(&["EXPIRE", key, "60"]);
        }
        let session = id(login["sid"].as_str().unwrap());
        assert!(
            store
                .touch(&session, &Value::Null, Duration::from_secs(1))
                .await
                .unwrap()
        );
        let left: i64 = redis.cli(&["TTL", key]).parse().unwrap();
        let expected = record["ttl"].as_i64().unwrap();
        let expected = if expected < 0 {
            -1..=-1
        } else {
            expected * 9 / 10..=expected
        };
        assert!(expected.contains(&left), "{left} in {}", case["name"]);
    }
}

/// After each event of the vectors a session is there if Express left one, at its own key and with its
/// lifetime, and an update that changes nothing keeps both.
#[tokio::test(flavor = "multi_thread")]
async fn each_event_of_the_vectors_leaves_what_the_store_reads() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/golden/connect-redis.json"
    );
    let golden: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let redis = Redis::start();
    let express = redis.store::<Value>(ExpressRecords::new()).await;
    let (mut present, mut absent) = (0, 0);
    for case in golden["cases"].as_array().unwrap() {
        let prefix = case["store_options"]["prefix"].as_str().unwrap_or("sess:");
        let store = express.clone().with_prefix(prefix).unwrap();
        let session = id(case["events"][0]["sid"].as_str().unwrap());
        for event in case["events"].as_array().unwrap() {
            redis.cli(&["FLUSHDB"]);
            let name = format!("{}: {}", case["name"], event["step"]);
            let Some(record) = event["redis"].get(0) else {
                assert!(store.load(&session).await.unwrap().is_none(), "{name}");
                absent += 1;
                continue;
            };
            let key = record["key"].as_str().unwrap();
            redis.cli(&["SET", key, record["value_utf8"].as_str().unwrap()]);
            let seconds = record["ttl"].as_u64();
            if let Some(seconds) = seconds {
                // Long enough for a busy machine.
                redis.cli(&["EXPIRE", key, &(seconds + 1000).to_string()]);
            }
            let loaded = store.load(&session).await.unwrap().expect(&name);
            assert_eq!(loaded.ttl.is_some(), seconds.is_some(), "{name}");
            let saved = store.save(&session, &loaded.data, &loaded.revision).await;
            assert!(matches!(saved, Ok(Saved::Saved(_))), "{name}: {saved:?}");
            assert_eq!(redis.cli(&["DBSIZE"]), "1", "{name}");
            let left: i64 = redis.cli(&["TTL", key]).parse().unwrap();
            assert_eq!(left > 900, seconds.is_some(), "{name}: {left}");
            present += 1;
        }
    }
    assert!(present > 25 && absent >= 4, "{present} {absent}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_touch_leaves_what_never_expires_and_what_is_not_there() {
    let redis = Redis::start();
    let store = redis.store::<Value>(ExpressRecords::new()).await;
    let touch = async |name| {
        store
            .touch(&id(name), &Value::Null, Duration::from_secs(7))
            .await
    };
    redis.cli(&[
        "SET",
        "sess:eternal",
        r#"{"cookie":{"originalMaxAge":3000}}"#,
    ]);
    assert!(touch("eternal").await.unwrap());
    assert_eq!(redis.cli(&["TTL", "sess:eternal"]), "-1");
    assert!(!touch("missing").await.unwrap());
    assert_eq!(redis.cli(&["EXISTS", "sess:missing"]), "0");
    redis.cli(&["LPUSH", "sess:list", "1"]);
    assert_eq!(
        touch("list").await.unwrap_err().kind(),
        StoreErrorKind::Decode
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_reads_and_writes_the_sessions_of_an_express_app() {
    let redis = Redis::start();
    let store = redis
        .store::<Value>(ExpressRecords::new().field("passport.user").unwrap())
        .await;
    assert!(store.capabilities().foreign_records);
    let (session, ttl) = (id("user/1:fixed+id="), Duration::from_mins(1));
    let created = store
        .create(&session, &Value::from("ann"), ttl)
        .await
        .unwrap();
    assert!(matches!(created, Created::Created(_)), "{created:?}");
    let key = "sess:user/1:fixed+id=";
    let cookie = r#"{"originalMaxAge":null,"expires":null,"httpOnly":true,"path":"/"}"#;
    let expected = format!(r#"{{"cookie":{cookie},"passport":{{"user":"ann"}}}}"#);
    assert_eq!(redis.cli(&["GET", key]), expected);

    let loaded = store.load(&session).await.unwrap().unwrap();
    assert_eq!(*loaded.data, "ann");
    let saved = store
        .save(&session, &Value::from("bob"), &loaded.revision)
        .await
        .unwrap();
    assert!(matches!(saved, Saved::Saved(_)));
    assert_eq!(redis.cli(&["GET", key]), expected.replace("ann", "bob"));
    assert!((50..=60).contains(&redis.cli(&["TTL", key]).parse().unwrap()));

    // Express' `logOut` saves an empty `passport`.
    redis.cli(&[
        "SET",
        key,
        &format!(r#"{{"cookie":{cookie},"passport":{{}}}}"#),
    ]);
    assert!(store.load(&session).await.unwrap().is_none());
}
