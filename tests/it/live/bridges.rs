//! Namespaces with the middlewares of two bridges for one type.

use std::net::SocketAddr;

use axum::Router;
use socketioxide::{SocketIo, extract::SocketRef, handler::ConnectHandler as _};
use socketioxide_session::{MemoryStore, Session, SessionBridge, SignedCookie};
use tokio::{net::TcpListener, task::JoinHandle};

use super::user;
use crate::support::{
    server::{User, keyring, pair},
    socket::Client,
    until,
};

fn bridge(name: &'static str) -> (SignedCookie, SessionBridge<User>) {
    let cookie = SignedCookie::new(name, &keyring(1, &[])).unwrap();
    let cookie = cookie.insecure_http().unwrap();
    let store = MemoryStore::new();
    let sessions = SessionBridge::builder(cookie.clone(), store).build();
    (cookie, sessions.unwrap())
}

async fn serve(app: Router) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (address, task)
}

/// The end of either session disconnects the socket.
#[tokio::test]
async fn with_two_bridges_of_one_type_both_sessions_end_the_socket() {
    let ((admin_cookie, admins), (user_cookie, users)) = (bridge("admin"), bridge("user"));
    let (layer, io) = SocketIo::new_layer();
    let on_connect = async |socket: SocketRef, session: Session<User>| {
        socket.emit("session", session.data()).ok();
    };
    io.ns("/", on_connect.with(users.require()).with(admins.require()));
    let app = Router::new().layer(layer).layer(users.layer());
    let (address, task) = serve(app.layer(admins.layer())).await;
    for of_admin in [true, false] {
        let admin = admins.create(user("admin")).await.unwrap();
        let ann = users.create(user("Ann")).await.unwrap();
        let cookies = [
            pair(&admin_cookie, admin.id()),
            pair(&user_cookie, ann.id()),
        ];
        let mut tab = Client::open(address, "", &[("cookie", &cookies.join("; "))]).await;
        tab.connect("/").await;
        assert_eq!((admins.live_sockets(), users.live_sockets()), (1, 1));
        match of_admin {
            true => admin.end().await.unwrap(),
            false => ann.end().await.unwrap(),
        }
        assert_eq!(tab.frame().await, "41");
        until("nothing is live", || {
            admins.live_sockets() + users.live_sockets() == 0
        })
        .await;
    }
    task.abort();
}

/// The middleware of the optional session runs after that of the required one.
#[tokio::test]
async fn an_optional_session_that_is_missing_leaves_the_required_one_in_place() {
    let ((cookie, users), (_, guests)) = (bridge("user"), bridge("guest"));
    let (layer, io) = SocketIo::new_layer();
    let on_connect = async |socket: SocketRef| {
        socket.emit("session", "in").ok();
    };
    let on_connect = on_connect.with(guests.optional());
    io.ns("/", on_connect.with(users.require()));
    let app = Router::new().layer(layer).layer(users.layer());
    let (address, task) = serve(app).await;
    let ann = users.create(user("Ann")).await.unwrap();
    let cookie = pair(&cookie, ann.id());
    let mut tab = Client::open(address, "", &[("cookie", &cookie)]).await;
    tab.connect("/").await;
    assert_eq!((users.live_sockets(), guests.live_sockets()), (1, 0));
    ann.end().await.unwrap();
    assert_eq!(tab.frame().await, "41");
    until("nothing is live", || users.live_sockets() == 0).await;
    task.abort();
}
