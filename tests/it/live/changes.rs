//! Changes of the data, here and elsewhere.

use std::time::Duration;

use futures_util::future::join_all;
use socketioxide_session::{
    EndReason, Keyring, MemoryStore, SecretKey, SessionBridge, SessionStore as _, SignedCookie,
    UpdateError,
    store::StoreErrorKind,
    testing::{Call, Fault, Faults, FaultyStore},
};

use super::user;
use crate::support::{
    check::Brings,
    server::{Server, User},
    soon, until,
};

#[tokio::test]
async fn a_change_made_elsewhere_is_what_the_next_handler_sees() {
    let server = Server::start().await;
    let ann = server.login("Ann").await;
    let mut tab = server.connected(&ann).await;
    let mut watching = ann.reload().await.unwrap();
    let changed = tokio::spawn(async move {
        watching.changed().await.unwrap();
        watching.data().clone()
    });
    // By another node: another bridge on the same store.
    let elsewhere = SessionBridge::builder(server.cookie.clone(), server.store.clone())
        .build()
        .unwrap();
    let there = Brings::nothing();
    drop(there);
    let parts = socketioxide_session::testing::HandshakeBuilder::request("/");
    let parts = parts.session_cookie(&server.cookie, ann.id()).into_parts();
    let session = elsewhere.from_request(&parts).await.unwrap();
    let _ = session
        .update(|user| user.name = "Anna".into())
        .await
        .unwrap();
    let expected = r#"[{"name":"Anna","visits":0}]"#;
    soon("the change arrives", async {
        while tab.ask("/", "whoami").await != expected {}
    })
    .await;
    assert_eq!(soon("changed", changed).await.unwrap().name, "Anna");
    assert_eq!(ann.data().name, "Ann", "a handle is what it was");
    assert_eq!(ann.latest().data().name, "Anna");
}

#[tokio::test]
async fn a_handle_can_wait_for_the_end_without_any_socket() {
    let server = Server::start().await;
    let ann = server.login("Ann").await;
    let waiting = ann.clone();
    let ended = tokio::spawn(async move { waiting.ended().await });
    until("it is watched", || server.sessions.live_sessions() == 1).await;
    server.store.delete(ann.id()).await.unwrap();
    assert_eq!(soon("the end", ended).await.unwrap(), EndReason::Deleted);
    server.assert_empty().await;
    // And one that waits no longer leaves nothing.
    let bob = server.login("Bob").await;
    let waited = tokio::time::timeout(Duration::from_millis(20), bob.ended()).await;
    assert!(waited.is_err());
    server.assert_empty().await;
    let mut bob = bob;
    server.store.delete(bob.id()).await.unwrap();
    assert_eq!(
        soon("the end", bob.changed()).await,
        Err(EndReason::Deleted)
    );
    assert_eq!(bob.ended().await, EndReason::Deleted);
}

#[tokio::test]
async fn updates_from_everywhere_are_all_kept() {
    let server = Server::start().await;
    let ann = server.login("Ann").await;
    let other = SessionBridge::builder(server.cookie.clone(), server.store.clone())
        .build()
        .unwrap();
    let parts = socketioxide_session::testing::HandshakeBuilder::request("/");
    let parts = parts.session_cookie(&server.cookie, ann.id()).into_parts();
    let there = other.from_request(&parts).await.unwrap();
    let mut tabs = Vec::new();
    for _ in 0..5 {
        tabs.push(server.connected(&ann).await);
    }
    let here = join_all((0..50).map(|_| ann.update(|user| user.visits += 1)));
    let there = join_all((0..50).map(|_| there.update(|user| user.visits += 1)));
    let from_tabs = join_all(tabs.iter_mut().map(|tab| tab.ask("/", "visit")));
    let (here, there, _) = tokio::join!(here, there, from_tabs);
    for updated in here.into_iter().chain(there) {
        let _ = updated.unwrap();
    }
    assert_eq!(ann.reload().await.unwrap().data().visits, 105);
}

#[tokio::test]
async fn a_save_after_the_end_brings_nothing_back() {
    let server = Server::start().await;
    let ann = server.login("Ann").await;
    server.store.delete(ann.id()).await.unwrap();
    assert!(matches!(ann.update(|_| ()).await, Err(UpdateError::Gone)));
    assert!(matches!(ann.touch().await, Err(UpdateError::Gone)));
    assert!(matches!(ann.reload().await, Err(UpdateError::Gone)));
    assert!(matches!(
        server.sessions.rotate(&ann).await,
        Err(UpdateError::Gone)
    ));
    assert!(server.store.load(ann.id()).await.unwrap().is_none());
    assert!(ann.has_ended());
}

#[tokio::test]
async fn without_any_socket_a_failed_update_leaves_nothing() {
    let server = Server::start().await;
    let ann = server.login("Ann").await;
    let ann = ann.reload().await.unwrap();
    server
        .faults
        .on(Call::Save, Fault::Error(StoreErrorKind::Unavailable));
    assert!(matches!(
        ann.update(|_| ()).await,
        Err(UpdateError::Store(_))
    ));
    server.assert_empty().await;
}

// --- Handles ------------------------------------------------------------------------------------

fn bridge() -> (SessionBridge<User>, Faults) {
    let keys = Keyring::new(SecretKey::generate().unwrap());
    let cookie = SignedCookie::new("sid", &keys).unwrap();
    let (store, faults) = FaultyStore::new(MemoryStore::new());
    let sessions = SessionBridge::builder(cookie, store).build().unwrap();
    (sessions, faults)
}

/// An old handle does not take the deadline that it was made with for the session's own.
#[tokio::test(start_paused = true)]
async fn a_handle_of_a_session_that_was_touched_meanwhile_has_not_ended() {
    let (sessions, _) = bridge();
    let minute = Duration::from_mins(1);
    let mut held = sessions.create_for(user("Ann"), minute).await.unwrap();
    for _ in 0..10 {
        tokio::time::sleep(minute / 3).await;
        let touched = held.touch().await.unwrap();
        assert!(touched.expires_at() > held.expires_at());
    }
    assert!(held.reload().await.is_ok());
    assert!(!held.has_ended());
    let ended = tokio::time::timeout(minute / 3, held.ended()).await;
    assert!(ended.is_err(), "{ended:?}");
    let changed = tokio::time::timeout(minute / 3, held.changed()).await;
    assert!(changed.is_err(), "{changed:?}");
}

#[tokio::test(start_paused = true)]
async fn what_a_handle_returns_as_the_latest_is_never_older_than_itself() {
    let (sessions, faults) = bridge();
    let old = sessions.create(user("Ann")).await.unwrap();
    let new = old.update(|user| user.visits = 5).await.unwrap();
    assert_eq!(new.latest().data().visits, 5);
    faults.on(Call::Load, Fault::Delay(Duration::from_millis(500)));
    // A caller with an older handle begins to watch the session.
    let waiting = {
        let mut old = old.clone();
        tokio::spawn(async move {
            old.changed().await.unwrap();
            old.data().visits
        })
    };
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert_eq!(new.latest().data().visits, 5);
    }
    assert_eq!(waiting.await.unwrap(), 5, "the old handle catches up");
}

/// Also when no other handle kept what this node knew.
#[tokio::test(start_paused = true)]
async fn a_handle_on_its_own_is_as_recent_as_it_was() {
    let (sessions, _) = bridge();
    let old = sessions.create(user("Ann")).await.unwrap();
    let id = old.id().clone();
    let new = old.update(|user| user.visits = 5).await.unwrap();
    drop(new);
    assert_eq!(old.latest().data().visits, 5);
    let again = sessions.get(&id).await.unwrap().unwrap();
    assert_eq!(again.data().visits, 5);
}

#[tokio::test(start_paused = true)]
async fn the_handle_of_a_creation_sees_what_changed_since() {
    let (sessions, _) = bridge();
    let mut made = sessions.create(user("Ann")).await.unwrap();
    let _ = made.update(|user| user.visits = 7).await.unwrap();
    assert_eq!(made.data().visits, 0);
    let changed = tokio::time::timeout(Duration::from_secs(5), made.changed()).await;
    changed.expect("it has changed").unwrap();
    assert_eq!(made.data().visits, 7);
    // And nothing else has.
    let changed = tokio::time::timeout(Duration::from_mins(10), made.changed()).await;
    assert!(changed.is_err());
}

/// The queue of a session's updates is bounded in time: all store calls and all waiting count.
#[tokio::test(start_paused = true)]
async fn updates_behind_a_store_that_hangs_are_answered_in_time() {
    let (sessions, faults) = bridge();
    let made = sessions.create(user("Ann")).await.unwrap();
    faults.on_all(Fault::Hang);
    let began = tokio::time::Instant::now();
    let updates = (0..1_000).map(|_| {
        let made = made.clone();
        tokio::spawn(async move { made.update(|user| user.visits += 1).await.is_err() })
    });
    for update in updates.collect::<Vec<_>>() {
        assert!(update.await.unwrap());
    }
    let took = began.elapsed();
    assert!(took <= Duration::from_secs(6), "{took:?}");
    // The store is back, and so is the session.
    faults.clear();
    let after = made.update(|user| user.visits += 1).await.unwrap();
    assert_eq!(after.data().visits, 1);
}
