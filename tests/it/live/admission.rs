//! Events between an admission and the first event, and while a socket leaves.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use socketioxide::{
    extract::{AckSender, SocketRef},
    handler::ConnectHandler as _,
};
use socketioxide_session::{
    MaybeSession, Session, SessionStore as _,
    testing::{Call, Fault},
};
use tokio::sync::Notify;

use super::quick;
use crate::support::{
    server::{Server, Setup, User},
    soon, until,
};

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
    // Number of runs of the handlers: with the session, and without.
    let runs: [Arc<AtomicUsize>; 2] = Default::default();
    let counted = runs.clone();
    let setup = Setup::new().namespace(move |io, sessions| {
        let on_connect = async move |socket: SocketRef, _: Session<User>| {
            let [with, without] = counted;
            socket.on("with", async move |_: Session<User>| {
                with.fetch_add(1, Ordering::SeqCst);
            });
            socket.on("without", async move || {
                without.fetch_add(1, Ordering::SeqCst);
            });
            socket.emit("session", "in").unwrap();
        };
        io.ns("/full", on_connect.with(sessions.require()));
    });
    let server = setup.start().await;
    let ann = server.login("Ann").await;
    let mut tab = server.client(&[("cookie", &server.pair(&ann))]).await;
    tab.connect("/full").await;
    let ran = |nth: usize| runs[nth].load(Ordering::SeqCst);
    tab.send(r#"42/full,["with"]"#).await;
    until("a handler ran", || ran(0) == 1).await;

    let big = "x".repeat(64 * 1024);
    let socket = server.io.of("/full").unwrap().sockets().pop().unwrap();
    // Until the socket's buffers are full, and the queue of packets after them.
    soon("the queue is full", async {
        while socket.emit("big", &big).is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    ann.end().await.unwrap();
    tab.send(r#"42/full,["with"]"#).await;
    tab.send(r#"42/full,["without"]"#).await;
    until("both events have arrived", || ran(1) == 1).await;
    assert_eq!(ran(0), 1, "a handler ran after the end");
    assert!(socket.rooms().is_empty());
    assert!(socket.connected(), "a disconnect can't be sent now");
    drop(socket);
    tab.frame_of("41/full").await;
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
