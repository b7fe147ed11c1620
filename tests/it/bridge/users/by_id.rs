//! Sessions by their ids, from the program rather than from a client.

use std::time::{Duration, SystemTime};

use socketioxide_session::{
    MemoryStore, Session, SessionBridge, SessionId, SessionStore as _, UpdateError,
    bridge::CreateError,
    store::{Created, StoreErrorKind},
    testing::{Call, Fault, FaultyStore},
};

use super::store::{HOUR, OddStore};
use crate::support::{
    server::{Setup, User},
    until,
    users::{bridge, cookie, listed, user},
};

#[tokio::test(start_paused = true)]
async fn a_session_is_found_by_its_id_or_is_none_or_an_error() {
    let (store, faults) = FaultyStore::new(MemoryStore::new());
    let sessions = bridge(store);
    let ann = sessions.create("Ann".to_owned()).await.unwrap();
    let found = sessions.get(ann.id()).await.unwrap().unwrap();
    assert_eq!(found.data(), "Ann");
    let unknown = SessionId::generate().unwrap();
    assert!(sessions.get(&unknown).await.unwrap().is_none());
    for kind in [StoreErrorKind::Unavailable, StoreErrorKind::Decode] {
        faults.on(Call::Load, Fault::Error(kind));
        let other = SessionId::generate().unwrap();
        assert_eq!(sessions.get(&other).await.unwrap_err().kind(), kind);
    }
    faults.clear();
    ann.end().await.unwrap();
    assert!(sessions.get(ann.id()).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn an_id_of_an_identity_provider_is_taken_while_it_exists_or_is_being_deleted() {
    let store = OddStore::new();
    let sessions = bridge(store.clone());
    let sid: SessionId = "08a5019c-17e1-4977-8f42-65a12843ea02".parse().unwrap();
    let create = async |name: &str| {
        let created = sessions.create_with_id(&sid, name.to_owned(), HOUR).await;
        created.map(|session| session.data().clone())
    };
    assert_eq!(create("Ann").await.unwrap(), "Ann");
    assert!(matches!(create("Bob").await, Err(CreateError::Taken)));
    assert_eq!(listed(&sessions, "Ann").await.len(), 1);
    // A logout that the store did not confirm.
    store.undeletable.lock().insert(sid.clone());
    assert!(sessions.end(&sid).await.is_err());
    assert!(matches!(create("Bob").await, Err(CreateError::Taken)));
    // Also when the record is gone for another reason: the retry would delete the new session.
    store.memory.delete(&sid).await.unwrap();
    assert!(matches!(create("Bob").await, Err(CreateError::Taken)));
    assert!(store.memory.is_empty());
    store.undeletable.lock().clear();
    while sessions.pending_deletions() > 0 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(sessions.get(&sid).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn an_id_whose_session_was_ended_or_rotated_here_is_taken_for_a_minute() {
    let sessions = bridge(MemoryStore::<String>::new());
    let [ended, rotated, unknown]: [SessionId; 3] =
        ["sid-1", "sid-2", "sid-3"].map(|sid| sid.parse().unwrap());
    let create = async |id: &SessionId| {
        let created = sessions.create_with_id(id, "Ann".to_owned(), HOUR).await;
        !matches!(created, Err(CreateError::Taken))
    };
    let session = sessions.create_with_id(&ended, "Ann".to_owned(), HOUR);
    session.await.unwrap().end().await.unwrap();
    let session = sessions.create_with_id(&rotated, "Ann".to_owned(), HOUR);
    let _new = sessions.rotate(&session.await.unwrap()).await.unwrap();
    // The logout token came before the callback of the login.
    sessions.end(&unknown).await.unwrap();
    for seconds in [0, 30, 29] {
        tokio::time::advance(Duration::from_secs(seconds)).await;
        for id in [&ended, &rotated, &unknown] {
            assert!(!create(id).await);
            assert!(sessions.get(id).await.unwrap().is_none());
        }
    }
    tokio::time::advance(Duration::from_secs(1)).await;
    for id in [&ended, &rotated, &unknown] {
        assert!(create(id).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_ended_while_it_is_created_does_not_stay() {
    let (store, faults) = FaultyStore::new(MemoryStore::<String>::new());
    let sessions = bridge(store);
    let sid: SessionId = "sid".parse().unwrap();
    faults.on(Call::Create, Fault::Delay(Duration::from_secs(1)));
    let create = sessions.create_with_id(&sid, "Ann".to_owned(), HOUR);
    let end = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        sessions.end(&sid).await
    };
    let (created, ended) = tokio::join!(create, end);
    ended.unwrap();
    assert!(matches!(created, Err(CreateError::Taken)));
    assert!(sessions.get(&sid).await.unwrap().is_none());
}

/// From whichever of the inputs a lifetime of zero comes, no session is created, and no credential is issued
/// for one that no client can use.
#[tokio::test]
async fn without_a_lifetime_no_session_is_created() {
    let memory = MemoryStore::<u64>::new();
    // The data are the lifetime in seconds, and a thousand is a session that was over an hour ago.
    let sessions = SessionBridge::builder(cookie(), memory.clone())
        .ttl_of(|seconds| Duration::from_secs(*seconds))
        .max_lifetime(|seconds| (*seconds == 1_000).then(|| SystemTime::now() - HOUR))
        .build()
        .unwrap();
    let id = || SessionId::generate().unwrap();
    let (parts, ()) = http::Request::post("/login").body(()).unwrap().into_parts();
    let kind = |created: Result<Session<u64>, CreateError>| match created.unwrap_err() {
        CreateError::Store(error) => error.kind(),
        other => panic!("{other:?}"),
    };
    for created in [
        sessions.create(0).await.map_err(CreateError::from),
        sessions.create(1_000).await.map_err(CreateError::from),
        sessions
            .create_for(60, Duration::ZERO)
            .await
            .map_err(CreateError::from),
        sessions
            .create_for(1_000, HOUR)
            .await
            .map_err(CreateError::from),
        sessions
            .sign_in_cross_site(&parts, 0)
            .await
            .map_err(CreateError::from),
        sessions.create_with_id(&id(), 60, Duration::ZERO).await,
        sessions.create_with_id(&id(), 1_000, HOUR).await,
    ] {
        assert_eq!(kind(created), StoreErrorKind::NoLifetime);
    }
    assert!(memory.is_empty());
    // A touch never shortens, so there it changes nothing.
    let minute = sessions.create(60).await.unwrap();
    let touched = minute.touch_for(Duration::ZERO).await.unwrap();
    let left = touched
        .expires_at()
        .unwrap()
        .duration_since(SystemTime::now());
    assert!(left.unwrap() > Duration::from_secs(30));
    let shortened = touched.update(|seconds| *seconds = 0).await.unwrap();
    assert!(!shortened.has_ended());
    let rotated = sessions.rotate(&shortened).await.unwrap();
    assert!(rotated.expires_at() > Some(SystemTime::now()));
}

#[tokio::test]
async fn sockets_that_are_disconnected_leave_their_session_as_it_is() {
    let server = Setup::new().say_why().start().await;
    let (ann, bob) = (server.login("Ann").await, server.login("Bob").await);
    let mut tabs = Vec::new();
    for _ in 0..3 {
        tabs.push(server.connected(&ann).await);
    }
    let mut lobby = server.client(&[("cookie", &server.pair(&ann))]).await;
    lobby.connect("/lobby").await;
    let mut other = server.connected(&bob).await;
    ann.disconnect();
    for tab in &mut tabs {
        // Without the hook for the end of the session, which goes on.
        assert_eq!(tab.frame().await, "41");
    }
    assert_eq!(lobby.frame().await, "41/lobby,");
    assert!(!ann.has_ended());
    until("one socket is left", || server.sessions.live_sockets() == 1).await;
    assert!(server.store.load(ann.id()).await.unwrap().is_some());
    let mut again = server.connected(&ann).await;
    let name = r#"[{"name":"Ann","visits":0}]"#;
    assert_eq!(again.ask("/", "whoami").await, name);
    let bobs = r#"[{"name":"Bob","visits":0}]"#;
    assert_eq!(other.ask("/", "whoami").await, bobs);
}

/// "Demote Ann": list, update, done.
async fn demote(sessions: &SessionBridge<User>, name: &str) -> Result<(), UpdateError> {
    for session in listed(sessions, name).await {
        let _demoted = session.update(|user| user.visits = 99).await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_an_administrator_changes_counts_at_the_next_event() {
    for reports in [true, false] {
        let memory = MemoryStore::new().user_id(|user: &User| Some(user.name.clone()));
        let setup = Setup::new().store(memory);
        let setup = if reports {
            setup
        } else {
            setup.without_reports()
        };
        let server = setup.start().await;
        let (phone, laptop) = (server.login("Ann").await, server.login("Ann").await);
        let mut tabs = [
            server.connected(&phone).await,
            server.connected(&laptop).await,
        ];
        let mut eve = server.connected(&server.login("Eve").await).await;
        demote(&server.sessions, "Ann").await.unwrap();
        for tab in &mut tabs {
            let demoted = r#"[{"name":"Ann","visits":99}]"#;
            assert_eq!(tab.ask("/", "whoami").await, demoted, "reports: {reports}");
        }
        let name = r#"[{"name":"Eve","visits":0}]"#;
        assert_eq!(eve.ask("/", "whoami").await, name);
    }
}

/// Another program's session under an id that a client may show is as good as one that was created here.
#[tokio::test]
async fn a_session_that_another_program_created_is_found_and_ended_by_its_id() {
    let memory = MemoryStore::new().user_id(|user: &User| Some(user.name.clone()));
    let sessions = bridge(memory.clone());
    let id: SessionId = "of-another-program".parse().unwrap();
    let created = memory.create(&id, &user("Ann"), HOUR).await.unwrap();
    assert!(matches!(created, Created::Created(_)));
    let found = sessions.get(&id).await.unwrap().unwrap();
    assert_eq!(listed(&sessions, "Ann").await[0].id(), found.id());
    sessions.end(&id).await.unwrap();
    assert!(found.has_ended() && memory.is_empty());
}
