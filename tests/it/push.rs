//! The way to push changes that the documentation shows.

use socketioxide::{extract::SocketRef, handler::ConnectHandler as _};
use socketioxide_session::Session;

use crate::support::server::{Setup, User};

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

    // Nobody waits any more for a session whose only socket has gone.
    let ann = server.login("Ann").await;
    let mut tab = server.client(&[("cookie", &server.pair(&ann))]).await;
    tab.connect("/push").await;
    tab.close().await;
    server.assert_empty().await;
}
