//! Tests of an application's own handlers as a logged-in user: a real server, a session that was
//! made by the test, and a client that brings its token.

use axum::Router;
use futures_util::{SinkExt as _, StreamExt as _};
use socketioxide::{SocketIo, extract::SocketRef, handler::ConnectHandler as _};
use socketioxide_session::{
    EncryptedToken, Keyring, MemoryStore, SecretKey, Session, SessionBridge,
};
use tokio_tungstenite::{connect_async, tungstenite::Message};

/// The application under test.
fn app(sessions: &SessionBridge<String>) -> Router {
    let (layer, io) = SocketIo::new_layer();
    let greet = async |socket: SocketRef, user: Session<String>| {
        socket.emit("hello", user.data()).unwrap();
    };
    io.ns("/", greet.with(sessions.require()));
    Router::new().layer(layer).layer(sessions.layer())
}

#[tokio::test]
async fn a_logged_in_socket_is_greeted() {
    let keys = Keyring::new(SecretKey::generate().unwrap());
    let token = EncryptedToken::new("token", &keys).unwrap();
    let sessions = SessionBridge::builder(token.clone(), MemoryStore::new())
        .build()
        .unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = app(&sessions);
    let server = tokio::spawn(async { axum::serve(listener, app).await });

    // Three lines make a logged-in user: a session, its token, and the URL that brings it.
    let ann = sessions.create("Ann".to_owned()).await.unwrap();
    let token = token.issue(ann.id()).unwrap();
    let url = format!("ws://{address}/socket.io/?EIO=4&transport=websocket&token={token}");

    let (mut socket, _) = connect_async(url).await.unwrap();
    socket.send(Message::text("40")).await.unwrap();
    let greeted = async {
        while let Some(Ok(frame)) = socket.next().await {
            if frame == Message::text(r#"42["hello","Ann"]"#) {
                return true;
            }
        }
        false
    };
    let deadline = std::time::Duration::from_secs(10);
    assert!(tokio::time::timeout(deadline, greeted).await.unwrap());
    server.abort();
}
