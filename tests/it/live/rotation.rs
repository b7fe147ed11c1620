//! Sessions that get another id.

use std::time::Duration;

use futures_util::future::join_all;
use socketioxide_session::{
    EndReason, SessionBridge, UpdateError,
    testing::{Call, Fault},
};

use crate::support::{
    server::{Server, Setup},
    soon, until,
};

#[tokio::test]
async fn a_rotation_ends_the_old_id_everywhere_and_loses_no_save() {
    let here = Setup::new().say_why().start().await;
    let ann = here.login("Ann").await;
    let mut planted = here.connected(&ann).await;
    let elsewhere = SessionBridge::builder(here.cookie.clone(), here.store.clone())
        .build()
        .unwrap();
    let parts = socketioxide_session::testing::HandshakeBuilder::request("/");
    let parts = parts.session_cookie(&here.cookie, ann.id()).into_parts();
    let there = elsewhere.from_request(&parts).await.unwrap();
    let ended_there = {
        let there = there.clone();
        tokio::spawn(async move { there.ended().await })
    };
    until("it is watched there", || elsewhere.live_sessions() == 1).await;
    let saves = join_all((0..20).map(|_| there.update(|user| user.visits += 1)));
    let (results, rotated) = tokio::join!(saves, here.sessions.rotate(&ann));
    let rotated = rotated.unwrap();
    let acknowledged = results.iter().filter(|saved| saved.is_ok()).count();
    for saved in results {
        assert!(matches!(saved, Ok(_) | Err(UpdateError::Gone)));
    }
    let user = rotated.reload().await.unwrap();
    assert_eq!(user.data().visits as usize, acknowledged);
    assert_eq!(planted.frame().await, r#"42["ended","rotated"]"#);
    assert_eq!(planted.frame().await, "41");
    assert_eq!(
        soon("the end there", ended_there).await.unwrap(),
        EndReason::Rotated
    );
    assert!(ann.has_ended() && !rotated.has_ended());
    here.removed("/", &planted).await;
    assert_eq!(
        planted.refused("/", "").await,
        r#"44{"message":"NO_SESSION"}"#
    );
    let mut tab = here.connected(&rotated).await;
    assert!(tab.ask("/", "whoami").await.contains("Ann"));
}

/// A logout that comes while the store renames the session, at whatever point of it.
#[tokio::test]
async fn a_logout_during_a_rotation_ends_both_ids() {
    let server = Server::start().await;
    for by_id in [false, true] {
        let ann = server.login("Ann").await;
        server
            .faults
            .on(Call::Rename, Fault::Delay(Duration::from_millis(50)));
        let renames = server.faults.calls(Call::Rename);
        let rotating = {
            let (sessions, ann) = (server.sessions.clone(), ann.clone());
            tokio::spawn(async move { sessions.rotate(&ann).await })
        };
        until("it is renamed", || {
            server.faults.calls(Call::Rename) > renames
        })
        .await;
        match by_id {
            true => server.sessions.end(ann.id()).await.unwrap(),
            false => ann.end().await.unwrap(),
        }
        let rotated = soon("an answer", rotating).await.unwrap();
        assert!(matches!(rotated, Err(UpdateError::Gone)));
        assert!(ann.has_ended());
        assert!(server.store.load(ann.id()).await.unwrap().is_none());
        server.assert_empty().await;
    }
}

/// The answer of the renaming never comes, and the user logs out: both ids are dead in the end.
#[tokio::test]
async fn a_logout_after_a_rotation_whose_answer_is_lost_ends_the_old_id() {
    let server = Server::start().await;
    let ann = server.login("Ann").await;
    server.faults.on(Call::Rename, Fault::Hang);
    let rotating = server.sessions.rotate(&ann);
    let waited = tokio::time::timeout(Duration::from_millis(20), rotating).await;
    assert!(waited.is_err());
    server.faults.clear();
    // The turn was released with the future.
    let _ = soon("the turn", ann.update(|user| user.visits += 1))
        .await
        .unwrap();
    ann.end().await.unwrap();
    assert!(server.store.load(ann.id()).await.unwrap().is_none());
    server.assert_empty().await;
}

/// A logout with the handle from before a rotation is a logout of that session.
#[tokio::test]
async fn an_end_on_a_handle_from_before_a_rotation_ends_the_session() {
    let server = Setup::new().say_why().start().await;
    let ann = server.login("Ann").await;
    let new = server.sessions.rotate(&ann).await.unwrap();
    let mut tab = server.connected(&new).await;
    ann.end().await.unwrap();
    assert_eq!(tab.frame().await, r#"42["ended","deleted"]"#);
    assert!(new.has_ended());
    assert!(server.store.load(new.id()).await.unwrap().is_none());
    assert!(matches!(new.reload().await, Err(UpdateError::Gone)));
    server.assert_empty().await;
}
