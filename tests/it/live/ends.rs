//! Ends of sessions, and how soon they are noticed.

use std::{sync::Arc, time::Duration};

use socketioxide_session::{
    EndReason, SessionBridge, SessionStore as _,
    store::{Change, StoreErrorKind},
    testing::{Call, Fault},
};

use super::{quick, quick_server};
use crate::support::{
    check::Brings,
    server::{Server, Setup, User},
    soon, until,
};

#[tokio::test]
async fn a_logout_closes_every_tab_in_every_namespace_once() {
    let server = Server::start().await;
    let (ann, bob) = (server.login("Ann").await, server.login("Bob").await);
    let mut tabs = Vec::new();
    for _ in 0..5 {
        let mut tab = server.connected(&ann).await;
        tab.connect("/admin").await;
        tab.connect("/lobby").await;
        tabs.push(tab);
    }
    let mut other = server.connected(&bob).await;
    let page = ann.reload().await.unwrap();
    page.end().await.unwrap();
    for tab in &mut tabs {
        let mut frames = [tab.frame().await, tab.frame().await, tab.frame().await];
        frames.sort();
        assert_eq!(frames, ["41", "41/admin,", "41/lobby,"]);
    }
    until("every disconnect handler ran", || {
        server.disconnects() == 15
    })
    .await;
    assert_eq!(
        other.ask("/", "whoami").await,
        r#"[{"name":"Bob","visits":0}]"#
    );
    assert!(ann.has_ended() && page.has_ended() && !bob.has_ended());
    assert_eq!(server.sessions.live_sessions(), 1);
    other.close().await;
    server.assert_empty().await;
    assert_eq!(server.disconnects(), 16, "each ran once");
    let brings = Brings::nothing().cookie(server.pair(&ann));
    server
        .refuses("after the logout", &brings, "NO_SESSION")
        .await;
}

#[tokio::test]
async fn a_deletion_by_any_program_is_reported_and_closes_the_sockets() {
    let server = Setup::new().say_why().start().await;
    let ann = server.login("Ann").await;
    let mut tab = server.connected(&ann).await;
    // An update and a touch in between must not silence the reports.
    assert_eq!(tab.ask("/", "visit").await, "[1]");
    let _ = ann.touch().await.unwrap();
    assert!(server.store.delete(ann.id()).await.unwrap());
    assert_eq!(tab.frame().await, r#"42["ended","deleted"]"#);
    assert_eq!(tab.frame().await, "41");
    server.assert_empty().await;
}

#[tokio::test]
async fn a_store_that_reports_nothing_is_asked_again() {
    let setup = Setup::new().say_why().without_reports();
    let server = setup.bridge(quick).start().await;
    let ann = server.login("Ann").await;
    let mut tab = server.connected(&ann).await;
    tab.connect("/lobby").await;
    server.store.delete(ann.id()).await.unwrap();
    let mut frames = [
        tab.frame().await,
        tab.frame().await,
        tab.frame().await,
        tab.frame().await,
    ];
    frames.sort();
    let expected = [
        "41",
        "41/lobby,",
        r#"42/lobby,["ended","deleted"]"#,
        r#"42["ended","deleted"]"#,
    ];
    assert_eq!(frames, expected);
    server.assert_empty().await;
}

#[tokio::test]
async fn without_reports_each_connect_loads_for_itself() {
    let server = Setup::new().without_reports().start().await;
    let ann = server.login("Ann").await;
    let mut tab = server.connected(&ann).await;
    tab.connect("/lobby").await;
    let _other = server.connected(&ann).await;
    assert_eq!(server.loads(), 3);
}

#[tokio::test]
async fn a_lost_report_is_made_up_for_by_a_re_check() {
    let server = quick_server().await;
    let ann = server.login("Ann").await;
    let mut tab = server.connected(&ann).await;
    server.faults.lose_changes();
    server.store.delete(ann.id()).await.unwrap();
    assert_eq!(tab.frame().await, r#"42["ended","deleted"]"#);
    server.assert_empty().await;
}

#[tokio::test]
async fn after_a_broken_feed_everything_is_looked_at_again() {
    let server = Setup::new().say_why().start().await;
    let (ann, bob) = (server.login("Ann").await, server.login("Bob").await);
    let (mut tab, mut other) = (server.connected(&ann).await, server.connected(&bob).await);
    server.faults.report(&Change::Disconnected);
    server.faults.lose_changes();
    server.store.delete(ann.id()).await.unwrap();
    server.faults.clear();
    server.faults.report(&Change::Resync);
    assert_eq!(tab.frame().await, r#"42["ended","deleted"]"#);
    assert_eq!(
        other.ask("/", "whoami").await,
        r#"[{"name":"Bob","visits":0}]"#
    );

    // A feed that ends is subscribed to again, and what happened in between is found.
    server.faults.end_feeds();
    server.faults.lose_changes();
    server.store.delete(bob.id()).await.unwrap();
    server.faults.clear();
    assert_eq!(other.frame().await, r#"42["ended","deleted"]"#);
    server.assert_empty().await;
}

#[tokio::test]
async fn while_the_feed_is_broken_no_client_is_admitted_without_a_load() {
    let server = Server::start().await;
    let ann = server.login("Ann").await;
    let mut tab = server.connected(&ann).await;
    tab.connect("/admin").await;
    assert_eq!(server.loads(), 1);
    server.faults.report(&Change::Disconnected);
    until("it was lost", || server.sessions.live_sessions() == 1).await;
    // The report comes through a task of its own.
    soon("each loads for itself", async {
        let mut loads = server.loads();
        for nth in 0.. {
            let mut other = server.client(&[("cookie", &server.pair(&ann))]).await;
            other.connect("/").await;
            if server.loads() > loads && nth > 0 {
                break;
            }
            loads = server.loads();
        }
    })
    .await;
    server
        .faults
        .on(Call::Load, Fault::Error(StoreErrorKind::Unavailable));
    let mut other = server.client(&[("cookie", &server.pair(&ann))]).await;
    let refused = other.refused("/", "").await;
    assert_eq!(refused, r#"44{"message":"STORE_ERROR"}"#);
    assert_eq!(
        tab.ask("/", "whoami").await,
        r#"[{"name":"Ann","visits":0}]"#
    );
}

#[tokio::test]
async fn an_expired_session_is_closed_and_a_touched_one_lives_on() {
    let server = Setup::new().say_why().start().await;
    let user = |name: &str| User {
        name: name.into(),
        visits: 0,
    };
    let life = Duration::from_secs(4);
    let ann = server.sessions.create_for(user("Ann"), life).await.unwrap();
    let bob = server.sessions.create_for(user("Bob"), life).await.unwrap();
    let (mut tab, mut other) = (server.connected(&ann).await, server.connected(&bob).await);
    let _ = bob.touch().await.unwrap();
    assert_eq!(tab.frame().await, r#"42["ended","expired"]"#);
    assert_eq!(tab.frame().await, "41");
    assert!(ann.has_ended());
    assert_eq!(
        other.ask("/", "whoami").await,
        r#"[{"name":"Bob","visits":0}]"#
    );
    assert!(bob.latest().expires_at() > bob.expires_at());
}

#[tokio::test]
async fn a_session_touched_elsewhere_lives_on_though_it_was_not_reported() {
    let setup = Setup::new().say_why().without_reports();
    let server = setup.start().await;
    let user = User {
        name: "Ann".into(),
        visits: 0,
    };
    let life = Duration::from_secs(4);
    let ann = server.sessions.create_for(user, life).await.unwrap();
    let mut tab = server.connected(&ann).await;
    server
        .store
        .touch(ann.id(), ann.data(), life * 3)
        .await
        .unwrap();
    let loads = server.loads();
    until("the deadline was looked at", || server.loads() > loads).await;
    assert_eq!(
        tab.ask("/", "whoami").await,
        r#"[{"name":"Ann","visits":0}]"#
    );
    assert_eq!(tab.frame().await, r#"42["ended","expired"]"#);
}

#[tokio::test(start_paused = true)]
async fn an_end_is_noticed_in_time_by_the_clock() {
    use socketioxide_session::{
        Keyring, MemoryStore, SecretKey, SignedCookie, testing::FaultyStore,
    };
    let keys = Keyring::new(SecretKey::generate().unwrap());
    let cookie = SignedCookie::new("sid", &keys).unwrap();
    let (store, faults) = FaultyStore::new(MemoryStore::<u32>::new());
    faults.report_nothing();
    let store = Arc::new(store);
    let every = Duration::from_mins(1);
    let sessions = SessionBridge::builder(cookie, store.clone())
        .ttl(every * 60)
        .revalidate_every(every)
        .build()
        .unwrap();
    // A deletion that is not reported: at most a fifth more than the interval.
    for _ in 0..20 {
        let session = sessions.create(0).await.unwrap();
        let waiting = session.clone();
        let ended = tokio::spawn(async move { waiting.ended().await });
        tokio::time::sleep(every * 3).await;
        let deleted = tokio::time::Instant::now();
        store.delete(session.id()).await.unwrap();
        assert_eq!(ended.await.unwrap(), EndReason::Deleted);
        assert!(deleted.elapsed() <= every.mul_f64(1.2) + Duration::from_millis(10));
    }
    // The end of a life: within a second.
    let session = sessions.create_for(0, every * 10).await.unwrap();
    let created = tokio::time::Instant::now();
    assert_eq!(session.ended().await, EndReason::Expired);
    let late = created.elapsed().checked_sub(every * 10).unwrap();
    assert!(late < Duration::from_secs(1), "{late:?}");
    // The store down: `max_stale` after it was last asked, and not before.
    let session = sessions.create(0).await.unwrap();
    let created = tokio::time::Instant::now();
    let waiting = session.clone();
    let ended = tokio::spawn(async move { waiting.ended().await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    faults.on(Call::Load, Fault::Error(StoreErrorKind::Unavailable));
    assert_eq!(ended.await.unwrap(), EndReason::StoreUnreachable);
    let stale = created.elapsed();
    let max = Duration::from_mins(5);
    assert!(
        stale >= max && stale < max + Duration::from_secs(3),
        "{stale:?}"
    );
    assert_eq!(sessions.live_sessions(), 0);
}
