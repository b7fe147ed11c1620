//! A bridge over a store that only reads.

use std::time::Duration;

use socketioxide_session::{
    Keyring, MemoryStore, SecretKey, Session, SessionBridge, SessionId, SessionStore as _,
    SignedCookie,
    store::{Created, StoreErrorKind},
    testing::{Call, Faults, FaultyStore, HandshakeBuilder},
};

use crate::support::{log::OwnLog, read_only::ReadOnly};

struct App {
    sessions: SessionBridge<u32>,
    cookie: SignedCookie,
    faults: Faults,
    id: SessionId,
}

impl App {
    /// With one session.
    async fn new() -> Self {
        let (store, id) = (MemoryStore::new(), SessionId::generate().unwrap());
        let created = store.create(&id, &7, Duration::from_hours(1)).await;
        assert!(matches!(created, Ok(Created::Created(_))));
        let (store, faults) = FaultyStore::new(ReadOnly(store));
        let keys = Keyring::new(SecretKey::generate().unwrap());
        let cookie = SignedCookie::new("sid", &keys).unwrap();
        let sessions = SessionBridge::builder(cookie.clone(), store).build();
        Self {
            sessions: sessions.unwrap(),
            cookie,
            faults,
            id,
        }
    }

    async fn request(&self) -> Session<u32> {
        let request = HandshakeBuilder::request("/").session_cookie(&self.cookie, &self.id);
        let parts = request.into_parts();
        self.sessions.from_request(&parts).await.unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_fails_with_a_log_line_and_changes_nothing() {
    let log = OwnLog::begin();
    let app = App::new().await;
    let session = app.request().await;
    for ended in [session.end().await, app.sessions.end(&app.id).await] {
        assert_eq!(ended.unwrap_err().kind(), StoreErrorKind::Unsupported);
    }
    assert_eq!(
        log.count("a session can't be ended: its store does not delete"),
        2
    );
    assert!(!session.has_ended());
    assert_eq!(app.sessions.pending_deletions(), 0);
    assert_eq!(app.faults.calls(Call::Delete), 0);
    assert_eq!(*app.request().await.data(), 7);
}

#[tokio::test(start_paused = true)]
async fn what_it_does_not_support_is_logged_at_the_start_and_not_tried_by_activity() {
    let log = OwnLog::begin();
    let app = App::new().await;
    assert!(log.text().contains("create, save, touch, rename, delete"));
    for _ in 0..5 {
        let session = app.request().await;
        tokio::time::sleep(Duration::from_mins(2)).await;
        assert!(!session.has_ended());
    }
    assert_eq!(app.faults.calls(Call::Touch), 0);
    assert_eq!(
        log.count("the session store does not support some operations"),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn changes_are_refused_and_the_session_goes_on() {
    let app = App::new().await;
    let session = app.request().await;
    let unsupported = |error: &dyn std::error::Error| format!("{error:?}").contains("Unsupported");
    assert!(unsupported(
        &session.update(|visits| *visits += 1).await.unwrap_err()
    ));
    assert!(unsupported(
        &app.sessions.rotate(&session).await.unwrap_err()
    ));
    assert!(unsupported(&app.sessions.create(8).await.unwrap_err()));
    assert!(unsupported(&session.touch().await.unwrap_err()));
    assert!(!session.has_ended());
    assert_eq!(*session.reload().await.unwrap().data(), 7);
}
