//! The Socket.IO side of the examples `axum` and `hyper`.

use serde::{Deserialize, Serialize};
use serde_json::json;
use socketioxide::{
    SocketIo,
    extract::{AckSender, SocketRef},
    handler::ConnectHandler as _,
};
use socketioxide_session::{EndReason, MaybeSession, Session, SessionBridge};

/// Data of a session.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) visits: u32,
}

/// Declares the namespaces: `/` for signed-in users, `/lobby` also for guests.
pub(crate) fn mount(io: &SocketIo, sessions: &SessionBridge<User>) {
    io.ns("/", on_connect.with(sessions.require().on_end(send_reason)));
    io.ns(
        "/lobby",
        on_lobby.with(sessions.optional().on_end(send_reason)),
    );
}

async fn on_connect(socket: SocketRef, mut session: Session<User>) {
    socket.emit("session", session.data()).ok();

    // Sends every change of the session to the client. The task ends with the socket.
    let client = socket.clone();
    tokio::spawn(async move {
        while session.changed().await.is_ok() {
            client.emit("session", session.data()).ok();
        }
    });

    socket.on("whoami", async |session: Session<User>, ack: AckSender| {
        ack.send(session.data()).ok();
    });

    socket.on("visit", async |session: Session<User>, ack: AckSender| {
        match session.update(|user| user.visits += 1).await {
            Ok(session) => ack.send(&json!({ "visits": session.data().visits })).ok(),
            Err(error) => ack.send(&json!({ "error": error.to_string() })).ok(),
        };
    });
}

async fn on_lobby(socket: SocketRef, MaybeSession(session): MaybeSession<User>) {
    match session {
        Some(session) => socket.emit("session", session.data()).ok(),
        None => socket.emit("session", &json!({ "name": null })).ok(),
    };
}

/// Tells a client why it is about to be disconnected.
fn send_reason(socket: SocketRef, reason: EndReason) {
    socket.emit("ended", reason.as_str()).ok();
}
