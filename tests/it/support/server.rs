//! The server under test.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{Json, Router, routing::get, serve::ListenerExt as _};
use serde::{Deserialize, Serialize};
use socketioxide::{
    ParserConfig, SocketIo,
    extract::{AckSender, SocketRef},
    handler::ConnectHandler as _,
};
use socketioxide_session::{
    EncryptedToken, EndReason, Keyring, MaybeSession, MemoryStore, SecretKey, Session,
    SessionBridge, SessionId, SessionIdExtractor, SessionStore, SignedCookie,
    bridge::SessionBridgeBuilder,
    http::SessionLayer,
    testing::{Call, Faults, FaultyStore},
};
use tokio::{net::TcpListener, task::JoinHandle};

use super::{log, polling::Http, socket::Client, until};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) visits: u32,
}

pub(crate) fn keyring(active: u8, older: &[u8]) -> Keyring {
    let key = |byte| SecretKey::from_bytes(&[byte; 32]).unwrap();
    let ring = Keyring::new(key(active));
    older
        .iter()
        .fold(ring, |ring, byte| ring.accept(key(*byte)).unwrap())
}

/// A server with the namespaces `/` and `/admin` that require a session, `/lobby` where it is
/// optional, and the page `/me`. It ends when this is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) io: SocketIo,
    pub(crate) sessions: SessionBridge<User>,
    pub(crate) store: Arc<dyn SessionStore<Data = User>>,
    pub(crate) faults: Faults,
    pub(crate) cookie: SignedCookie,
    pub(crate) token: EncryptedToken,
    /// Number of runs of a connect handler.
    pub(crate) connects: Arc<AtomicUsize>,
    /// Number of runs of a disconnect handler.
    pub(crate) disconnects: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

pub(crate) struct Setup {
    pub(crate) keys: Keyring,
    pub(crate) msgpack: bool,
    pub(crate) say_why: bool,
    configure: Box<dyn FnOnce(SessionBridgeBuilder<User>) -> SessionBridgeBuilder<User> + Send>,
    extractor: Option<MakeExtractor>,
    namespaces: Vec<AddNamespace>,
    reports: bool,
    store: Option<Arc<dyn SessionStore<Data = User>>>,
    layer: Option<fn(SessionLayer<User>) -> SessionLayer<User>>,
}

type MakeExtractor = Box<dyn FnOnce(&SignedCookie, &EncryptedToken) -> DynExtractor + Send>;
type AddNamespace = Box<dyn FnOnce(&SocketIo, &SessionBridge<User>) + Send>;

/// Any extractor.
pub(crate) struct DynExtractor(Box<dyn SessionIdExtractor>);

impl DynExtractor {
    pub(crate) fn new(extractor: impl SessionIdExtractor) -> Self {
        Self(Box::new(extractor))
    }
}

impl SessionIdExtractor for DynExtractor {
    fn extract(
        &self,
        handshake: &socketioxide_session::extractor::Handshake<'_>,
    ) -> Result<SessionId, socketioxide_session::extractor::ExtractError> {
        self.0.extract(handshake)
    }

    fn presented(
        &self,
        handshake: &socketioxide_session::extractor::Handshake<'_>,
    ) -> Vec<SessionId> {
        self.0.presented(handshake)
    }
}

impl Setup {
    pub(crate) fn new() -> Self {
        Self {
            keys: keyring(1, &[]),
            msgpack: false,
            say_why: false,
            configure: Box::new(|builder| builder),
            extractor: None,
            namespaces: Vec::new(),
            reports: true,
            store: None,
            layer: Some(|layer| layer),
        }
    }

    pub(crate) fn keys(self, keys: Keyring) -> Self {
        Self { keys, ..self }
    }

    pub(crate) fn msgpack(self) -> Self {
        Self {
            msgpack: true,
            ..self
        }
    }

    /// With a hook that says why before a socket is disconnected.
    pub(crate) fn say_why(self) -> Self {
        Self {
            say_why: true,
            ..self
        }
    }

    /// With another store than one in memory.
    pub(crate) fn store(self, store: impl SessionStore<Data = User>) -> Self {
        Self {
            store: Some(Arc::new(store)),
            ..self
        }
    }

    /// With a store that reports no changes.
    pub(crate) fn without_reports(self) -> Self {
        Self {
            reports: false,
            ..self
        }
    }

    /// With another layer than the usual one.
    pub(crate) fn layer(self, set: fn(SessionLayer<User>) -> SessionLayer<User>) -> Self {
        Self {
            layer: Some(set),
            ..self
        }
    }

    /// Without the layer, as socketioxide is by itself.
    pub(crate) fn without_layer(self) -> Self {
        Self {
            layer: None,
            ..self
        }
    }

    pub(crate) fn bridge(
        self,
        configure: impl FnOnce(SessionBridgeBuilder<User>) -> SessionBridgeBuilder<User>
        + Send
        + 'static,
    ) -> Self {
        Self {
            configure: Box::new(configure),
            ..self
        }
    }

    /// Another extractor than the cookie, else the token.
    pub(crate) fn extractor(
        self,
        make: impl FnOnce(&SignedCookie, &EncryptedToken) -> DynExtractor + Send + 'static,
    ) -> Self {
        Self {
            extractor: Some(Box::new(make)),
            ..self
        }
    }

    /// Adds namespaces.
    pub(crate) fn namespace(
        mut self,
        add: impl FnOnce(&SocketIo, &SessionBridge<User>) + Send + 'static,
    ) -> Self {
        self.namespaces.push(Box::new(add));
        self
    }

    pub(crate) async fn start(self) -> Server {
        log::capture();
        let cookie = SignedCookie::new("sid", &self.keys)
            .unwrap()
            .insecure_http()
            .unwrap();
        let token = EncryptedToken::new("token", &self.keys).unwrap();
        let store = self.store.unwrap_or_else(|| Arc::new(MemoryStore::new()));
        let (store, faults) = FaultyStore::new(store);
        if !self.reports {
            faults.report_nothing();
        }
        let store: Arc<dyn SessionStore<Data = User>> = Arc::new(store);
        let extractor = match self.extractor {
            Some(make) => make(&cookie, &token),
            None => DynExtractor::new(token.clone().or(cookie.clone())),
        };
        // So that the calls of the store can be counted.
        let builder = SessionBridge::builder(extractor, store.clone()).no_touch_on_activity();
        let sessions = (self.configure)(builder).build().unwrap();

        let (layer, io) = match self.msgpack {
            true => SocketIo::builder()
                .with_parser(ParserConfig::msgpack())
                .build_layer(),
            false => SocketIo::new_layer(),
        };
        let (connects, disconnects) = (Arc::default(), Arc::default());
        add_namespaces(&io, &sessions, self.say_why, &connects, &disconnects);
        for add in self.namespaces {
            add(&io, &sessions);
        }
        let app = Router::new().route("/me", get(me).post(me)).layer(layer);
        let app = match self.layer {
            Some(set) => app.layer(set(sessions.layer())),
            None => app,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let listener = listener.tap_io(|tcp| tcp.set_nodelay(true).unwrap());
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Server {
            address,
            io,
            sessions,
            store,
            faults,
            cookie,
            token,
            connects,
            disconnects,
            task,
        }
    }
}

async fn me(session: Session<User>) -> Json<User> {
    Json(session.data().clone())
}

fn add_namespaces(
    io: &SocketIo,
    sessions: &SessionBridge<User>,
    say_why: bool,
    connects: &Arc<AtomicUsize>,
    disconnects: &Arc<AtomicUsize>,
) {
    let (connects, disconnects) = (connects.clone(), disconnects.clone());
    let on_connect = {
        let (connects, disconnects) = (connects.clone(), disconnects.clone());
        async move |socket: SocketRef, session: Session<User>| {
            connects.fetch_add(1, Ordering::SeqCst);
            add_handlers(&socket, disconnects);
            // It fails when the client has gone already.
            let _ = socket.emit("session", session.data());
        }
    };
    let on_lobby = async move |socket: SocketRef, MaybeSession(session): MaybeSession<User>| {
        connects.fetch_add(1, Ordering::SeqCst);
        add_handlers(&socket, disconnects);
        let name = session.map(|session| session.data().name.clone());
        let _ = socket.emit("session", &name);
    };
    let say = |socket: SocketRef, reason: EndReason| {
        let _ = socket.emit("ended", reason.as_str());
    };
    if say_why {
        io.ns("/", on_connect.clone().with(sessions.require().on_end(say)));
        io.ns("/admin", on_connect.with(sessions.require().on_end(say)));
        io.ns("/lobby", on_lobby.with(sessions.optional().on_end(say)));
    } else {
        io.ns("/", on_connect.clone().with(sessions.require()));
        io.ns("/admin", on_connect.with(sessions.require()));
        io.ns("/lobby", on_lobby.with(sessions.optional()));
    }
}

fn add_handlers(socket: &SocketRef, disconnects: Arc<AtomicUsize>) {
    socket.on("whoami", async |session: Session<User>, ack: AckSender| {
        ack.send(session.data()).unwrap();
    });
    socket.on(
        "maybe",
        async |session: MaybeSession<User>, ack: AckSender| {
            ack.send(&session.0.is_some()).unwrap();
        },
    );
    socket.on("visit", async |session: Session<User>, ack: AckSender| {
        let updated = session.update(|user| user.visits += 1).await;
        ack.send(&updated.map(|user| user.data().visits).ok())
            .unwrap();
    });
    socket.on_disconnect(async move |_session: MaybeSession<User>| {
        disconnects.fetch_add(1, Ordering::SeqCst);
    });
}

impl Server {
    pub(crate) async fn start() -> Self {
        Setup::new().start().await
    }

    pub(crate) async fn login(&self, name: &str) -> Session<User> {
        let user = User {
            name: name.to_owned(),
            visits: 0,
        };
        self.sessions.create(user).await.unwrap()
    }

    /// The pair that a browser sends for this session.
    pub(crate) fn pair(&self, session: &Session<User>) -> String {
        pair(&self.cookie, session.id())
    }

    pub(crate) fn loads(&self) -> usize {
        self.faults.calls(Call::Load)
    }

    pub(crate) fn connects(&self) -> usize {
        self.connects.load(Ordering::SeqCst)
    }

    pub(crate) fn disconnects(&self) -> usize {
        self.disconnects.load(Ordering::SeqCst)
    }

    /// A WebSocket client with these header fields.
    pub(crate) async fn client(&self, headers: &[(&str, &str)]) -> Client {
        Client::open(self.address, "", headers).await
    }

    /// A WebSocket client that is in the namespace `/` with this session.
    pub(crate) async fn connected(&self, session: &Session<User>) -> Client {
        let mut client = self.client(&[("cookie", &self.pair(session))]).await;
        client.connect("/").await;
        client
    }

    pub(crate) async fn http(&self) -> Http {
        Http::open(self.address).await
    }

    /// Waits until the socket of a client is out of its namespace. Until then socketioxide ignores another
    /// connect on the same transport.
    pub(crate) async fn removed(&self, namespace: &str, client: &Client) {
        until("the socket is removed", || {
            let mut sockets = self.io.of(namespace).unwrap().sockets().into_iter();
            sockets.all(|socket| socket.id.as_str() != client.sid)
        })
        .await;
    }

    /// Nothing is left of clients that were refused.
    pub(crate) async fn assert_empty(&self) {
        until("no session is live", || self.sessions.live_sessions() == 0).await;
        for namespace in ["/", "/admin", "/lobby"] {
            let rooms = self.io.of(namespace).unwrap().rooms().await.unwrap();
            assert!(rooms.is_empty(), "{rooms:?} in {namespace}");
        }
    }
}

pub(crate) fn pair(cookie: &SignedCookie, id: &SessionId) -> String {
    let issued = cookie.issue(id);
    format!("{}={}", issued.name(), issued.value())
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}
