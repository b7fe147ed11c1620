//! The way to push changes that the documentation shows.

use std::sync::Arc;

use socketioxide::{extract::SocketRef, handler::ConnectHandler as _};
use socketioxide_session::{EndReason, Session};
use tokio::sync::{Notify, oneshot};

use crate::support::{
    server::{Setup, User},
    soon, until,
};

async fn on_connect(socket: SocketRef, mut session: Session<User>) {
    socket.emit("session", session.data()).ok();
    let to = socket.clone();
    let pushes = tokio::spawn(async move {
        while session.changed().await.is_ok() {
            to.emit("session", session.data()).ok();
        }
    })
    .abort_handle();
    socket.on_disconnect(async move || pushes.abort());
}

#[tokio::test]
async fn changes_are_pushed_for_as_long_as_the_socket_lives() {
    let setup = Setup::new().namespace(|io, sessions| {
        io.ns("/push", on_connect.with(sessions.require()));
    });
    let server = setup.start().await;
    let ann = server.login("Ann").await;
    let mut tabs = Vec::new();
    for _ in 0..2 {
        let mut tab = server.client(&[("cookie", &server.pair(&ann))]).await;
        tab.connect("/push").await;
        tabs.push(tab);
    }
    for visits in 1..4 {
        let _ = ann.update(|user| user.visits += 1).await.unwrap();
        for tab in &mut tabs {
            let pushed = format!(r#"42/push,["session",{{"name":"Ann","visits":{visits}}}]"#);
            assert_eq!(tab.frame_of("42").await, pushed);
        }
    }
    tabs.pop().unwrap().close().await;
    let _ = ann.update(|user| user.visits += 1).await.unwrap();
    tabs[0].frame_of("42").await;
    ann.end().await.unwrap();
    assert_eq!(tabs[0].frame_of("41").await, "41/push,");
    server.assert_empty().await;

    // No task waits any more for a session whose only socket has gone.
    let ann = server.login("Ann").await;
    let mut tab = server.client(&[("cookie", &server.pair(&ann))]).await;
    tab.connect("/push").await;
    tab.close().await;
    server.assert_empty().await;
}

/// The client leaves before its disconnect handler is set, which never runs then. What waits for
/// changes with the handle of that socket ends by itself.
#[tokio::test]
async fn a_push_ends_with_its_socket_when_the_client_is_quicker_than_the_handler() {
    let (connected, gone) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (sender, pushes_ended) = oneshot::channel();
    let sender = Arc::new(std::sync::Mutex::new(Some(sender)));
    let setup = {
        let (connected, gone) = (connected.clone(), gone.clone());
        Setup::new().namespace(move |io, sessions| {
            let on_connect = async move |socket: SocketRef, mut session: Session<User>| {
                let to = socket.clone();
                let sender = sender.lock().unwrap().take();
                let pushes = tokio::spawn(async move {
                    let ended = loop {
                        match session.changed().await {
                            Ok(()) => to.emit("session", session.data()).ok(),
                            Err(ended) => break ended,
                        };
                    };
                    sender.unwrap().send(ended).unwrap();
                })
                .abort_handle();
                connected.notify_one();
                gone.notified().await;
                socket.on_disconnect(async move || pushes.abort());
            };
            io.ns("/push", on_connect.with(sessions.require()));
        })
    };
    let server = setup.start().await;
    let ann = server.login("Ann").await;
    let mut tab = server.client(&[("cookie", &server.pair(&ann))]).await;
    tab.send("40/push,").await;
    soon("the handler runs", connected.notified()).await;
    tab.close().await;
    until("the client has left", || {
        server.io.of("/push").unwrap().sockets().is_empty()
    })
    .await;
    gone.notify_one();
    let ended = soon("the pushes end", pushes_ended).await.unwrap();
    assert_eq!(ended, EndReason::SocketClosed);
    assert!(!ann.has_ended(), "the session goes on");
    server.assert_empty().await;
}
