//! Records of this crate.

use std::{collections::HashSet, error::Error as _};

use serde::Serialize;

use super::*;
use crate::store::{Created, Revision, Saved, SessionStore as _, StoreErrorKind};

#[derive(Debug, Serialize, serde::Deserialize)]
struct Account {
    roles: HashSet<String>,
    balance: f64,
}

#[tokio::test(flavor = "multi_thread")]
async fn saves_keep_what_other_programs_store_beside_a_set() {
    let redis = Redis::start();
    let store = redis.store::<Account>(Records::default()).await;
    let (session, key) = (id("shared"), "session:shared");
    let cookie = r#"{"originalMaxAge":null,"path":"/"}"#;
    let stored = format!(r#"{{"cookie":{cookie},"roles":["a","b","c","d"],"balance":1.5}}"#);
    redis.cli(&["SET", key, &stored, "EX", "100"]);
    for saves in 1..=50_u8 {
        let loaded = store.load(&session).await.unwrap().unwrap();
        let data = Account {
            roles: loaded.data.roles.clone(),
            balance: f64::from(saves),
        };
        let saved = store.save(&session, &data, &loaded.revision).await.unwrap();
        assert!(matches!(saved, Saved::Saved(_)));
        let stored = redis.cli(&["GET", key]);
        assert!(
            stored.starts_with(&format!(r#"{{"cookie":{cookie},"roles":["#)),
            "{stored}"
        );
        assert!(
            stored.ends_with(&format!(r#"],"balance":{saves}.0}}"#)),
            "{stored}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_read_back_is_not_stored() {
    let redis = Redis::start();
    let store = redis.store::<Account>(Records::default()).await;
    let (session, key, ttl) = (id("one"), "session:one", Duration::from_mins(1));
    let mut data = Account {
        roles: HashSet::new(),
        balance: f64::NAN,
    };
    let created = store.create(&session, &data, ttl).await;
    assert_eq!(created.unwrap_err().kind(), StoreErrorKind::Encode);
    assert_eq!(redis.cli(&["EXISTS", key]), "0");

    data.balance = 1.0;
    let created = store.create(&session, &data, ttl).await.unwrap();
    assert!(matches!(created, Created::Created(_)), "{created:?}");
    let stored = redis.cli(&["GET", key]);
    let revision = store.load(&session).await.unwrap().unwrap().revision;
    data.balance = f64::INFINITY;
    let saved = store.save(&session, &data, &revision).await;
    assert_eq!(saved.unwrap_err().kind(), StoreErrorKind::Encode);
    assert_eq!(redis.cli(&["GET", key]), stored);

    // A revision that another store made.
    data.balance = 2.0;
    let other = Revision::from(1);
    assert_eq!(
        store.save(&session, &data, &other).await.unwrap(),
        Saved::Conflict
    );
    assert_eq!(
        store.save(&id("none"), &data, &other).await.unwrap(),
        Saved::Gone
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_another_shape_names_its_field_and_stays() {
    let redis = Redis::start();
    let store = redis.store::<Account>(Records::default()).await;
    let stored = r#"{"roles":["a"],"balance":"SECRET"}"#;
    redis.cli(&["SET", "session:odd", stored]);
    let error = store.load(&id("odd")).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Decode);
    assert_eq!(
        error.source().unwrap().to_string(),
        "invalid type: string, expected f64 at balance, line 1, column 33"
    );
    assert_eq!(redis.cli(&["GET", "session:odd"]), stored);
}
