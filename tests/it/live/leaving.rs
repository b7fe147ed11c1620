//! Sockets that leave, or enter, when their session ends.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use socketioxide::{extract::SocketRef, handler::ConnectHandler as _};

use super::quick;
use crate::support::{
    server::{Server, Setup},
    until,
};

fn in_room(server: &Server, namespace: &str, room: &str) -> usize {
    let namespace = server.io.of(namespace).unwrap();
    namespace.within(room.to_owned()).sockets().len()
}

/// A namespace whose sockets the application holds, which has a disconnect handler.
fn held(handler: fn(&SocketRef)) -> Setup {
    let held = Arc::new(Mutex::new(Vec::new()));
    Setup::new().namespace(move |io, sessions| {
        let on_connect = async move |socket: SocketRef| {
            socket.join("news");
            handler(&socket);
            socket.emit("session", "in").ok();
            held.lock().unwrap().push(socket);
        };
        io.ns("/held", on_connect.with(sessions.require()));
    })
}

/// The client leaves the namespace, and its disconnect handler does not end.
#[tokio::test]
async fn after_the_end_no_broadcast_reaches_a_socket_whose_disconnect_handler_runs() {
    let hangs = |socket: &SocketRef| {
        socket.on_disconnect(async || std::future::pending::<()>().await);
    };
    let server = held(hangs).bridge(quick).start().await;
    let ann = server.login("Ann").await;
    let mut tab = server.client(&[("cookie", &server.pair(&ann))]).await;
    tab.connect("/held").await;
    let room = ann.room();
    assert_eq!(in_room(&server, "/held", &room), 1);
    tab.send("41/held,").await;
    until("it is let go", || server.sessions.live_sockets() == 0).await;
    ann.end().await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let namespace = server.io.of("/held").unwrap();
    namespace.to(room).emit("secret", &1).await.unwrap();
    let got = tokio::time::timeout(Duration::from_millis(500), tab.frame()).await;
    assert!(got.is_err(), "after the end: {}", got.unwrap());
}

/// After the panic socketioxide does not remove the socket by itself.
#[tokio::test]
async fn a_socket_whose_disconnect_handler_panicked_is_removed_at_last() {
    let panics = |socket: &SocketRef| {
        socket.on_disconnect(async |_: SocketRef| {
            let panics = true;
            assert!(!panics, "in a disconnect handler");
        });
    };
    let server = held(panics).bridge(quick).start().await;
    let ann = server.login("Ann").await;
    let mut tab = server.client(&[("cookie", &server.pair(&ann))]).await;
    tab.connect("/held").await;
    tab.close().await;
    until("it is let go", || server.sessions.live_sockets() == 0).await;
    ann.end().await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(70)).await;
    tokio::time::resume();
    until("no socket is in the namespace", || {
        server.io.of("/held").unwrap().sockets().is_empty()
    })
    .await;
}

/// A later middleware takes longer than a minute, and the session ends meanwhile.
#[tokio::test]
async fn an_end_while_a_very_slow_middleware_runs_closes_the_socket_once_it_is_there() {
    let middleware = Arc::new(tokio::sync::Notify::new());
    let setup = {
        let middleware = middleware.clone();
        Setup::new().namespace(move |io, sessions| {
            let waits = async move || {
                middleware.notified().await;
                Ok::<_, &str>(())
            };
            let on_connect = async move |socket: SocketRef| {
                socket.join("news");
                socket.emit("session", "in").ok();
            };
            io.ns("/slow", on_connect.with(waits).with(sessions.require()));
        })
    };
    let server = setup.start().await;
    let ann = server.login("Ann").await;
    let mut tab = server.client(&[("cookie", &server.pair(&ann))]).await;
    tab.connect("/lobby").await;
    tab.send("40/slow,").await;
    until("ours let it in", || server.sessions.live_sockets() == 2).await;
    ann.end().await.unwrap();
    tab.frame_of("41/lobby,").await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(61)).await;
    tokio::time::resume();
    tokio::time::sleep(Duration::from_millis(200)).await;
    middleware.notify_one();
    tab.frame_of("40/slow,").await;
    tab.frame_of("41/slow,").await;
}
