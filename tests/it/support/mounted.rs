//! An application with the layer, mounted as a test needs it.

use std::net::SocketAddr;

use axum::{Router, serve::ListenerExt as _};
use socketioxide::{SocketIo, extract::SocketRef, handler::ConnectHandler as _};
use socketioxide_session::{
    MemoryStore, Session, SessionBridge, SignedCookie, extractor::OriginPolicy, http::SessionLayer,
};
use tokio::net::TcpListener;

use super::server::{User, keyring};

pub(crate) struct App {
    pub(crate) sessions: SessionBridge<User>,
    pub(crate) cookie: SignedCookie,
}

pub(crate) fn ann() -> User {
    User {
        name: "Ann".into(),
        visits: 0,
    }
}

pub(crate) async fn on_connect(socket: SocketRef, session: Session<User>) {
    socket.on("visit", async |session: Session<User>| {
        let _ = session.update(|user| user.visits += 1).await.unwrap();
    });
    socket.emit("session", session.data()).unwrap();
}

impl App {
    pub(crate) fn new() -> Self {
        Self::with_origins(OriginPolicy::same_origin())
    }

    pub(crate) fn with_origins(policy: OriginPolicy) -> Self {
        let cookie = SignedCookie::new("sid", &keyring(1, &[])).unwrap();
        let cookie = cookie.insecure_http().unwrap().origin_policy(policy);
        let sessions = SessionBridge::builder(cookie.clone(), MemoryStore::new())
            .build()
            .unwrap();
        Self { sessions, cookie }
    }

    pub(crate) fn layer(&self) -> SessionLayer<User> {
        self.sessions.layer().reject_unauthenticated()
    }

    pub(crate) fn namespace(&self, io: &SocketIo) {
        io.ns("/", on_connect.with(self.sessions.require()));
    }
}

pub(crate) async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let listener = listener.tap_io(|tcp| tcp.set_nodelay(true).unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}
