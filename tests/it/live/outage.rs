//! A store that can't be reached.

use std::time::Duration;

use socketioxide::{extract::SocketRef, handler::ConnectHandler as _};
use socketioxide_session::{
    SessionStore as _, UpdateError,
    store::{Change, StoreErrorKind},
    testing::{Call, Fault},
};

use super::quick;
use crate::support::{
    server::{Server, Setup, User},
    soon, until,
};

#[tokio::test]
async fn the_store_down_leaves_live_ones_alone_until_they_are_too_stale() {
    let setup = Setup::new().say_why();
    let server = setup
        .bridge(|bridge| quick(bridge).max_stale(Duration::from_secs(6)))
        .start()
        .await;
    let (ann, bob) = (server.login("Ann").await, server.login("Bob").await);
    let mut tab = server.connected(&ann).await;
    server
        .faults
        .on(Call::Load, Fault::Error(StoreErrorKind::Unavailable));
    let loads = server.loads();
    until("a load has failed", || server.loads() > loads).await;
    assert_eq!(
        tab.ask("/", "whoami").await,
        r#"[{"name":"Ann","visits":0}]"#
    );
    let mut other = server.client(&[("cookie", &server.pair(&bob))]).await;
    assert_eq!(
        other.refused("/", "").await,
        r#"44{"message":"STORE_ERROR"}"#
    );
    other.close().await;
    assert_eq!(tab.frame().await, r#"42["ended","store-unreachable"]"#);
    assert_eq!(tab.frame().await, "41");
    server.assert_empty().await;
    // The session goes on, and the client may come back, once the last failure is forgotten.
    server.faults.clear();
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    tab.connect("/").await;
}

#[tokio::test]
async fn an_end_while_the_store_is_down_counts_here_at_once_and_is_made_up_for() {
    let server = Setup::new().say_why().start().await;
    let ann = server.login("Ann").await;
    let mut tab = server.connected(&ann).await;
    server
        .faults
        .on(Call::Delete, Fault::Error(StoreErrorKind::Unavailable));
    let failed = ann.end().await.unwrap_err();
    assert_eq!(failed.kind(), StoreErrorKind::Unavailable);
    assert_eq!(tab.frame().await, r#"42["ended","deleted"]"#);
    assert_eq!(tab.frame().await, "41");
    assert!(ann.has_ended());
    // The store has it still, and here it is refused all the same.
    assert!(server.store.load(ann.id()).await.unwrap().is_some());
    let mut other = server.client(&[("cookie", &server.pair(&ann))]).await;
    assert_eq!(
        other.refused("/", "").await,
        r#"44{"message":"NO_SESSION"}"#
    );
    let refused = ann.update(|_| ()).await;
    assert!(matches!(refused, Err(UpdateError::Gone)));
    server.faults.clear();
    soon("it is deleted", async {
        while server.store.load(ann.id()).await.unwrap().is_some() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    server.assert_empty().await;
}

#[tokio::test]
async fn an_end_whose_caller_has_gone_happens_all_the_same() {
    let server = Server::start().await;
    let ann = server.login("Ann").await;
    server.faults.on(Call::Delete, Fault::Hang);
    let ending = tokio::time::timeout(Duration::from_millis(20), ann.end()).await;
    assert!(ending.is_err());
    assert!(server.store.load(ann.id()).await.unwrap().is_some());
    server.faults.clear();
    until("it is deleted", || server.sessions.pending_deletions() == 0).await;
    assert!(server.store.load(ann.id()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_deadline_that_cannot_be_asked_about_ends_the_session() {
    for fault in [
        Fault::Error(StoreErrorKind::Unavailable),
        Fault::Hang,
        Fault::Panic,
    ] {
        let server = Setup::new().say_why().start().await;
        let user = User {
            name: "Ann".into(),
            visits: 0,
        };
        let life = Duration::from_secs(4);
        let ann = server.sessions.create_for(user, life).await.unwrap();
        let mut tab = server.connected(&ann).await;
        server.faults.on(Call::Load, fault);
        assert_eq!(tab.frame().await, r#"42["ended","expired"]"#, "{fault:?}");
        server.assert_empty().await;
    }
}

/// A server whose namespace `/lingers` keeps its sockets for as long as a disconnect handler runs, and
/// that ends sessions soon after the store can't be reached.
async fn lingering(panics: bool) -> Server {
    let setup = Setup::new().say_why().bridge(|bridge| {
        bridge
            .revalidate_every(Duration::from_millis(50))
            .max_stale(Duration::from_millis(200))
    });
    let setup = setup.namespace(move |io, sessions| {
        let on_connect = async move |socket: SocketRef| {
            socket.on_disconnect(async move || {
                assert!(!panics, "a disconnect handler that panics");
                std::future::pending::<()>().await;
            });
            socket.emit("session", "in").ok();
        };
        io.ns("/lingers", on_connect.with(sessions.require()));
    });
    setup.start().await
}

/// During an outage that is longer than `max_stale`, clients get to know that it is one; afterwards
/// the same clients are admitted, whatever still holds a socket of the time before.
#[tokio::test]
async fn after_an_outage_the_same_clients_are_admitted() {
    for panics in [false, true] {
        let server = lingering(panics).await;
        let ann = server.login("Ann").await;
        let cookie = server.pair(&ann);
        let mut tab = server.client(&[("cookie", &cookie)]).await;
        tab.connect("/lingers").await;
        server
            .faults
            .on_all(Fault::Error(StoreErrorKind::Unavailable));
        tab.frame_of("41/lingers,").await;
        until("it has ended here", || ann.has_ended()).await;
        let mut http = server.http().await;
        let down = http.get("/me", &[("cookie", &cookie)]).await;
        assert_eq!(
            (down.status, &*down.body),
            (503, r#"{"error":"STORE_ERROR"}"#)
        );
        let mut other = server.client(&[("cookie", &cookie)]).await;
        let refused = other.refused("/", "").await;
        assert_eq!(refused, r#"44{"message":"STORE_ERROR"}"#);
        server.faults.clear();
        // The last failure is remembered for a second.
        soon("it is admitted", async {
            while http.get("/me", &[("cookie", &cookie)]).await.status != 200 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
        other.connect("/").await;
        assert!(ann.has_ended(), "an old handle stays ended");
    }
}

/// A tab whose disconnect handler did not end was closed before the outage.
#[tokio::test]
async fn after_an_outage_a_client_without_any_socket_is_admitted() {
    let server = lingering(true).await;
    let ann = server.login("Ann").await;
    let cookie = server.pair(&ann);
    let mut tab = server.client(&[("cookie", &cookie)]).await;
    tab.connect("/lingers").await;
    tab.close().await;
    server.assert_empty().await;
    drop(ann);
    server
        .faults
        .on_all(Fault::Error(StoreErrorKind::Unavailable));
    // The closed socket keeps what is known of the session, which counts while changes are reported.
    server.faults.report(&Change::Disconnected);
    let mut http = server.http().await;
    soon("it is refused", async {
        while http.get("/me", &[("cookie", &cookie)]).await.status != 503 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    server.faults.clear();
    soon("it is admitted", async {
        while http.get("/me", &[("cookie", &cookie)]).await.status != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}
