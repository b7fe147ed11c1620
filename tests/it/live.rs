//! Sessions that stay true while their sockets live.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use socketioxide::{
    extract::{AckSender, SocketRef},
    handler::ConnectHandler as _,
};
use socketioxide_session::{
    EndReason, MaybeSession, Session, SessionBridge, SessionStore, UpdateError,
    bridge::SessionBridgeBuilder,
    store::{Change, StoreErrorKind},
    testing::{Call, Fault},
};
use tokio::sync::Notify;

use crate::support::{
    check::Brings,
    server::{Server, Setup, User},
    soon, until,
};

/// Re-checks that come soon.
fn quick(bridge: SessionBridgeBuilder<User>) -> SessionBridgeBuilder<User> {
    bridge.revalidate_every(Duration::from_millis(50))
}

async fn quick_server() -> Server {
    Setup::new().say_why().bridge(quick).start().await
}

// --- Ends ---------------------------------------------------------------------------------------

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
async fn a_deletion_by_anybody_is_reported_and_closes_the_sockets() {
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
async fn while_the_feed_is_broken_nobody_is_admitted_without_a_load() {
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
    let life = Duration::from_millis(1500);
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
    let life = Duration::from_secs(1);
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
        let life = Duration::from_secs(1);
        let ann = server.sessions.create_for(user, life).await.unwrap();
        let mut tab = server.connected(&ann).await;
        server.faults.on(Call::Load, fault);
        assert_eq!(tab.frame().await, r#"42["ended","expired"]"#, "{fault:?}");
        server.assert_empty().await;
    }
}

#[tokio::test]
async fn the_store_down_leaves_live_ones_alone_until_they_are_too_stale() {
    let setup = Setup::new().say_why();
    let server = setup
        .bridge(|bridge| quick(bridge).max_stale(Duration::from_millis(1500)))
        .start()
        .await;
    let (ann, bob) = (server.login("Ann").await, server.login("Bob").await);
    let mut tab = server.connected(&ann).await;
    server
        .faults
        .on(Call::Load, Fault::Error(StoreErrorKind::Unavailable));
    let loads = server.loads();
    until("it was asked in vain", || server.loads() > loads).await;
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
async fn an_end_that_nobody_waits_for_happens_all_the_same() {
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

// --- Between admission and the first event ------------------------------------------------------

#[tokio::test]
async fn a_client_that_is_gone_while_it_is_loaded_leaves_nothing() {
    let server = Server::start().await;
    let ann = server.login("Ann").await;
    server
        .faults
        .on(Call::Load, Fault::Delay(Duration::from_millis(300)));
    let mut tab = server.client(&[("cookie", &server.pair(&ann))]).await;
    tab.send("40").await;
    until("the load began", || server.loads() == 1).await;
    assert_eq!(server.sessions.live_sessions(), 1);
    tab.close().await;
    server.assert_empty().await;
}

/// A namespace with a middleware that waits after ours let the client in, and a handler that takes
/// no session, joins a room, and has a slow disconnect handler.
struct Slow {
    server: Server,
    middleware: Arc<Notify>,
    disconnect: Arc<Notify>,
    joined: Arc<AtomicUsize>,
    acted: Arc<AtomicUsize>,
}

async fn slow() -> Slow {
    let (middleware, disconnect) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (joined, acted) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let server = {
        let (middleware, disconnect) = (middleware.clone(), disconnect.clone());
        let (joined, acted) = (joined.clone(), acted.clone());
        let waits = async move || {
            middleware.notified().await;
            Ok::<_, &str>(())
        };
        let on_connect = async move |socket: SocketRef| {
            socket.join("news");
            joined.fetch_add(1, Ordering::SeqCst);
            socket.emit("session", "in").ok();
            socket.on("act", async move |_: Session<User>| {
                acted.fetch_add(1, Ordering::SeqCst);
            });
            socket.on("ping", async |ack: AckSender| {
                ack.send("pong").ok();
            });
            socket.on_disconnect(async move || disconnect.notified().await);
        };
        let setup = Setup::new().namespace(move |io, sessions| {
            io.ns("/slow", on_connect.with(waits).with(sessions.require()));
        });
        setup.start().await
    };
    Slow {
        server,
        middleware,
        disconnect,
        joined,
        acted,
    }
}

#[tokio::test]
async fn an_end_while_another_middleware_runs_closes_the_socket_once_it_is_there() {
    let slow = slow().await;
    let ann = slow.server.login("Ann").await;
    let mut tab = slow
        .server
        .client(&[("cookie", &slow.server.pair(&ann))])
        .await;
    tab.send("40/slow,").await;
    until("ours let it in", || {
        slow.server.sessions.live_sockets() == 1
    })
    .await;
    ann.end().await.unwrap();
    slow.middleware.notify_one();
    assert!(tab.frame().await.starts_with("40/slow,"));
    tab.send(r#"42/slow,["act"]"#).await;
    tab.frame_of("41/slow,").await;
    slow.disconnect.notify_one();
    slow.server.assert_empty().await;
    assert_eq!(slow.acted.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn while_a_disconnect_handler_runs_no_event_acts_and_no_broadcast_arrives() {
    let slow = slow().await;
    let ann = slow.server.login("Ann").await;
    let mut tab = slow
        .server
        .client(&[("cookie", &slow.server.pair(&ann))])
        .await;
    tab.send("40/slow,").await;
    slow.middleware.notify_one();
    tab.frame_of(r#"42/slow,["session""#).await;
    let namespace = slow.server.io.of("/slow").unwrap();
    namespace.to("news").emit("news", &1).await.unwrap();
    assert_eq!(tab.frame().await, r#"42/slow,["news",1]"#);

    ann.end().await.unwrap();
    assert_eq!(tab.frame().await, "41/slow,");
    // The socket is in its namespace still, and its events are dispatched.
    assert_eq!(slow.server.io.of("/slow").unwrap().sockets().len(), 1);
    tab.send(r#"42/slow,["act"]"#).await;
    let to_its_room = slow.server.io.of("/slow").unwrap().to(ann.room());
    to_its_room.emit("news", &2).await.unwrap();
    slow.server
        .io
        .of("/slow")
        .unwrap()
        .to("news")
        .emit("news", &3)
        .await
        .unwrap();
    tab.send(r#"42/slow,5["ping"]"#).await;
    assert_eq!(
        tab.frame().await,
        r#"43/slow,5["pong"]"#,
        "and no broadcast before it"
    );
    assert_eq!(slow.joined.load(Ordering::SeqCst), 1);
    assert_eq!(slow.acted.load(Ordering::SeqCst), 0);
    slow.disconnect.notify_one();
    slow.server.assert_empty().await;
    until("it is gone", || {
        slow.server.io.of("/slow").unwrap().sockets().is_empty()
    })
    .await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_refused_at_once_and_closed_when_it_can_be() {
    let server = Server::start().await;
    let ann = server.login("Ann").await;
    let mut tab = server.connected(&ann).await;
    let big = "x".repeat(64 * 1024);
    let socket = server.io.of("/").unwrap().sockets().pop().unwrap();
    // Until the socket's buffers are full, and the queue of packets after them.
    soon("the queue is full", async {
        while socket.emit("big", &big).is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    ann.end().await.unwrap();
    tab.send(r#"42["visit"]"#).await;
    assert!(socket.rooms().is_empty());
    assert!(socket.connected(), "it can't be told now");
    drop(socket);
    tab.frame_of("41").await;
    server.assert_empty().await;
    assert!(server.store.load(ann.id()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_socket_captured_in_its_own_handler_is_let_go() {
    let setup = Setup::new().bridge(quick).namespace(|io, sessions| {
        let on_connect = async |socket: SocketRef, session: Session<User>| {
            let (captured, kept) = (socket.clone(), session.clone());
            socket.on("echo", async move |_: SocketRef| {
                captured.emit("echo", &kept.data().name).ok();
            });
            socket.emit("session", "in").unwrap();
        };
        io.ns("/cycle", on_connect.with(sessions.require()));
    });
    let server = setup.start().await;
    let ann = server.login("Ann").await;
    for ends in [false, true] {
        let session = if ends {
            ann.reload().await.unwrap()
        } else {
            ann.clone()
        };
        let mut tab = server.client(&[("cookie", &server.pair(&session))]).await;
        tab.connect("/cycle").await;
        assert_eq!(server.sessions.live_sockets(), 1);
        if ends {
            session.end().await.unwrap();
        } else {
            tab.close().await;
        }
        server.assert_empty().await;
    }
}

// --- Changes ------------------------------------------------------------------------------------

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
    assert_eq!(
        planted.refused("/", "").await,
        r#"44{"message":"NO_SESSION"}"#
    );
    let mut tab = here.connected(&rotated).await;
    assert!(tab.ask("/", "whoami").await.contains("Ann"));
}

#[tokio::test]
async fn when_an_end_is_known_even_an_optional_session_fails() {
    let slow_hook = Setup::new().namespace(|io, sessions| {
        let on_connect = async |socket: SocketRef, _: MaybeSession<User>| {
            socket.emit("session", "in").unwrap();
            socket.on(
                "maybe",
                async |session: MaybeSession<User>, ack: AckSender| {
                    ack.send(&session.0.is_some()).ok();
                },
            );
            socket.on("ping", async |ack: AckSender| {
                ack.send("pong").ok();
            });
            socket.on_disconnect(async || std::future::pending::<()>().await);
        };
        io.ns("/opt", on_connect.with(sessions.optional()));
    });
    let server = slow_hook.start().await;
    let ann = server.login("Ann").await;
    let mut tab = server.client(&[("cookie", &server.pair(&ann))]).await;
    tab.connect("/opt").await;
    assert_eq!(tab.ask("/opt", "maybe").await, "[true]");
    ann.end().await.unwrap();
    assert_eq!(tab.frame().await, "41/opt,");
    tab.send(r#"42/opt,3["maybe"]"#).await;
    // Not `false`: it is ignored.
    assert_eq!(tab.ask("/opt", "ping").await, r#"["pong"]"#);
}

// --- Activity -----------------------------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn activity_touches_at_most_once_per_interval_and_never_shortens() {
    use socketioxide_session::{
        Keyring, MemoryStore, SecretKey, SignedCookie,
        testing::{FaultyStore, HandshakeBuilder},
    };
    let minute = Duration::from_mins(1);
    let keys = Keyring::new(SecretKey::generate().unwrap());
    let cookie = SignedCookie::new("sid", &keys).unwrap();
    let (store, faults) = FaultyStore::new(MemoryStore::<u32>::new());
    let sessions = SessionBridge::builder(cookie.clone(), store)
        .ttl(minute * 30)
        .touch_on_activity(minute * 5)
        .build()
        .unwrap();
    let session = sessions.create(0).await.unwrap();
    let parts = HandshakeBuilder::request("/").session_cookie(&cookie, session.id());
    let parts = parts.into_parts();
    // Used every minute for three hours: it outlives its 30 minutes, and is touched every fifth.
    for _ in 0..180 {
        tokio::time::sleep(minute).await;
        let _ = sessions.from_request(&parts).await.unwrap();
    }
    tokio::time::sleep(minute).await;
    let touches = faults.calls(Call::Touch);
    assert!((29..=36).contains(&touches), "{touches} touches");
    // A longer life is not shortened.
    let long = sessions.create_for(0, minute * 600).await.unwrap();
    let parts = HandshakeBuilder::request("/").session_cookie(&cookie, long.id());
    let parts = parts.into_parts();
    tokio::time::sleep(minute * 10).await;
    let _ = sessions.from_request(&parts).await.unwrap();
    tokio::time::sleep(minute).await;
    assert_eq!(faults.calls(Call::Touch), touches);
    // Not used any more, it expires.
    tokio::time::sleep(minute * 31).await;
    assert!(session.reload().await.is_err());
}

#[tokio::test]
async fn an_event_keeps_the_session_alive() {
    let setup = Setup::new().bridge(|bridge| {
        bridge
            .ttl(Duration::from_millis(1500))
            .touch_on_activity(Duration::from_millis(50))
    });
    let server = setup.start().await;
    let ann = server.login("Ann").await;
    let mut tab = server.connected(&ann).await;
    for _ in 0..20 {
        assert_eq!(
            tab.ask("/", "whoami").await,
            r#"[{"name":"Ann","visits":0}]"#
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(!ann.has_ended());
    assert!(server.faults.calls(Call::Touch) >= 2);
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
