//! The records as the bridge loads them.

use std::{error::Error as _, time::Duration};

use serde_json::{Value, json};
use socketioxide_session::{
    SessionId, SessionStore, interop::tower_sessions::v0_14::ReportingStore, store::StoreErrorKind,
};
use time::OffsetDateTime;
use tower_sessions_0_14::{
    MemoryStore, SessionStore as _,
    session::{Id, Record},
};

use super::session_id;

const HOUR: Duration = Duration::from_hours(1);

fn record(data: Value) -> Record {
    Record {
        id: Id::default(),
        data: serde_json::from_value(data).unwrap(),
        expiry_date: OffsetDateTime::now_utc() + HOUR,
    }
}

/// A store with one session.
async fn stored(data: Value) -> (ReportingStore<MemoryStore>, SessionId) {
    let store = ReportingStore::new(MemoryStore::default());
    let mut record = record(data);
    store.create(&mut record).await.unwrap();
    (store, session_id(record.id))
}

/// The laws of a read-only store, on each version of tower-sessions.
macro_rules! laws {
    ($version:ident, $crate_:ident) => {
        mod $version {
            use socketioxide_session::{
                SessionId,
                interop::tower_sessions::$version::{RecordView, ReportingStore},
            };
            use $crate_::{
                MemoryStore, SessionStore as _,
                session::{Id, Record},
            };

            use super::HOUR;

            async fn view(
                store: ReportingStore<MemoryStore>,
            ) -> (RecordView<MemoryStore, u64>, SessionId) {
                let mut record = Record {
                    id: Id::default(),
                    data: [("visits".to_owned(), 7.into())].into(),
                    expiry_date: time::OffsetDateTime::now_utc() + HOUR,
                };
                store.create(&mut record).await.unwrap();
                (
                    store.field("visits"),
                    record.id.to_string().parse().unwrap(),
                )
            }

            socketioxide_session::read_only_store_conformance!(
                one_of_several_writers,
                view(ReportingStore::new(MemoryStore::default()))
            );
            socketioxide_session::read_only_store_conformance!(
                sole_writer,
                view(ReportingStore::new(MemoryStore::default()).sole_writer())
            );
        }
    };
}

laws!(v0_14, tower_sessions_0_14);
#[cfg(feature = "tower-sessions-0-15")]
laws!(v0_15, tower_sessions_0_15);

#[tokio::test]
async fn the_time_of_expiry_becomes_the_ttl() {
    let (store, id) = stored(json!({"visits": 7})).await;
    let loaded = store
        .field::<u64>("visits")
        .load(&id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(*loaded.data, 7);
    let ttl = loaded.ttl.unwrap();
    assert!(ttl <= HOUR && ttl > Duration::from_mins(59));
}

#[tokio::test]
async fn a_session_with_nothing_at_the_path_does_not_exist() {
    for data in [
        json!({}),
        json!({"axum-login.data": null}),
        json!({"flash": "hello"}),
    ] {
        let (store, id) = stored(data).await;
        let loaded = store.axum_login::<i64>().load(&id).await.unwrap();
        assert!(loaded.is_none());
    }
    let no_id: SessionId = "no-id-of-tower-sessions".parse().unwrap();
    let (store, _) = stored(json!({})).await;
    assert!(
        store
            .axum_login::<i64>()
            .load(&no_id)
            .await
            .unwrap()
            .is_none()
    );
    assert!(!store.axum_login::<i64>().delete(&no_id).await.unwrap());
}

#[tokio::test]
async fn a_record_that_does_not_fit_is_named_and_deletable() {
    let wrong = json!({"axum-login.data": {"user_id": "secret", "auth_hash": [1]}});
    let (store, id) = stored(wrong).await;
    let view = store.axum_login::<i64>();
    let error = view.load(&id).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Decode);
    let source = error.source().unwrap().to_string();
    assert!(source.contains("axum-login.data.user_id"), "{source}");
    assert!(!format!("{error:?}{source}").contains("secret"));
    assert!(view.delete(&id).await.unwrap());
    assert!(view.load(&id).await.unwrap().is_none());
}

#[tokio::test]
async fn the_user_of_axum_login_is_known() {
    let login = json!({"axum-login.data": {"user_id": 7, "auth_hash": [1, 2]}});
    let (store, id) = stored(login).await;
    let view = store.axum_login::<i64>();
    let loaded = view.load(&id).await.unwrap().unwrap();
    assert_eq!(*loaded.data.user_id(), 7);
    assert!(loaded.data.matches(&[1, 2]) && !loaded.data.matches(&[1, 3]));
    let user = SessionStore::user_id(&view, &loaded.data);
    assert_eq!(user.as_deref(), Some("7"));
}

#[tokio::test]
async fn the_revision_follows_what_is_viewed() {
    let (store, id) = stored(json!({"visits": 7, "other": 1})).await;
    let visits = store.field::<u64>("visits");
    let whole = store.whole_data::<Value>();
    let revisions = async || {
        let visits = visits.load(&id).await.unwrap().unwrap();
        (
            visits.revision,
            whole.load(&id).await.unwrap().unwrap().revision,
        )
    };
    let before = revisions().await;
    let mut record = record(json!({"visits": 7, "other": 2}));
    record.id = id.expose().parse().unwrap();
    store.save(&record).await.unwrap();
    let after = revisions().await;
    assert!(after.0 == before.0 && after.1 != before.1);
}
