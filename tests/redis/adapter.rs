//! Two nodes on one Redis, whose sockets are one to each other by socketioxide's adapter for Redis.

use std::time::Duration;

use axum::{Router, serve::ListenerExt as _};
use fred::{
    interfaces::{EventInterface as _, PubsubInterface as _},
    prelude::Builder,
    types::{
        RespVersion,
        config::{Config, ReconnectPolicy},
    },
};
use socketioxide::{
    SocketIo,
    adapter::{Adapter, Emitter},
    extract::SocketRef,
    handler::ConnectHandler as _,
};
use socketioxide_redis::{FredAdapter, RedisAdapterCtr};
use socketioxide_session::{
    EndReason, MaybeSession, RedisStore, Session, SessionBridge, SignedCookie,
};
use tokio::net::TcpListener;

use crate::support::{
    log,
    redis::Redis,
    server::{User, keyring, pair},
    socket::Client,
    soon, until,
};

type Io = SocketIo<FredAdapter<Emitter>>;

struct Node {
    address: std::net::SocketAddr,
    io: Io,
    sessions: SessionBridge<User>,
    cookie: SignedCookie,
}

async fn on_connect<A: Adapter>(socket: SocketRef<A>, session: Session<User>) {
    socket.on_disconnect(async |_: MaybeSession<User>| {});
    socket.on(
        "whisper",
        async |io: SocketIo<A>, session: Session<User>| {
            // It fails while Redis is down.
            let _ = io.to(session.room()).emit("heard", "psst").await;
        },
    );
    socket.emit("session", session.data()).unwrap();
}

fn on_end<A: Adapter>(socket: SocketRef<A>, reason: EndReason) {
    let _ = socket.emit("ended", reason.as_str());
}

async fn node(redis: &Redis) -> Node {
    log::capture();
    let mut config = Config::from_url(&redis.url()).unwrap();
    config.version = RespVersion::RESP3;
    let client = Builder::from_config(config)
        .set_policy(ReconnectPolicy::new_exponential(0, 50, 500, 2))
        .build_subscriber_client();
    let client = client.unwrap();
    let again = client.clone();
    tokio::spawn(async move {
        let mut reconnects = again.reconnect_rx();
        while reconnects.recv().await.is_ok() {
            for channel in again.tracked_shard_channels() {
                again.ssubscribe(channel).await.unwrap();
            }
        }
    });
    let adapter = RedisAdapterCtr::new_with_fred(client).await;
    let (layer, io) = SocketIo::builder()
        .with_adapter::<FredAdapter<_>>(adapter.unwrap())
        .build_layer();
    let keys = keyring(1, &[]);
    let cookie = SignedCookie::new("sid", &keys)
        .unwrap()
        .insecure_http()
        .unwrap();
    let store = RedisStore::<User>::connect(&redis.url()).await.unwrap();
    let sessions = SessionBridge::builder(cookie.clone(), store)
        .build()
        .unwrap();
    let gate = sessions.require().on_end(on_end);
    io.ns("/", on_connect.with(gate)).await.unwrap();
    let app = Router::new().layer(layer).layer(sessions.layer());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let listener = listener.tap_io(|tcp| tcp.set_nodelay(true).unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    Node {
        address,
        io,
        sessions,
        cookie,
    }
}

impl Node {
    async fn connected(&self, session: &Session<User>) -> Client {
        let cookie = pair(&self.cookie, session.id());
        let mut client = Client::open(self.address, "", &[("cookie", &cookie)]).await;
        client.connect("/").await;
        client
    }
}

#[tokio::test]
async fn a_broadcast_to_a_session_reaches_all_nodes_and_a_logout_too() {
    let mut redis = Redis::start().await;
    if redis.cli(&["COMMAND", "INFO", "SSUBSCRIBE"]).is_empty() {
        eprintln!("Redis 6 has no sharded channels, which socketioxide's adapter needs");
        return;
    }
    let [a, b] = [node(&redis).await, node(&redis).await];
    let login = async |name: &str| {
        let name = name.to_owned();
        a.sessions.create(User { name, visits: 0 }).await.unwrap()
    };
    let (ann, bob) = (login("Ann").await, login("Bob").await);
    let mut here = a.connected(&ann).await;
    let mut there = b.connected(&ann).await;
    let mut other = b.connected(&bob).await;

    soon("both nodes hear of it", async {
        here.send(r#"42["whisper"]"#).await;
        assert_eq!(here.frame_of("42").await, r#"42["heard","psst"]"#);
        assert_eq!(there.frame_of("42").await, r#"42["heard","psst"]"#);
    })
    .await;

    a.sessions.end(ann.id()).await.unwrap();
    assert_eq!(here.frame_of("42").await, r#"42["ended","deleted"]"#);
    assert_eq!(here.frame().await, "41");
    assert_eq!(there.frame_of("42").await, r#"42["ended","deleted"]"#);
    assert_eq!(there.frame().await, "41");
    other.send(r#"42["whisper"]"#).await;
    assert_eq!(other.frame_of("42").await, r#"42["heard","psst"]"#);

    // The adapter can't publish while Redis is down; a logout takes effect here all the same.
    redis.kill();
    assert!(b.sessions.end(bob.id()).await.is_err());
    assert_eq!(other.frame_of("42").await, r#"42["ended","deleted"]"#);
    assert_eq!(other.frame().await, "41");
    // The deletion that failed is made up for.
    redis.restart().await;
    soon("a broadcast reaches both nodes again", async {
        let ann = loop {
            let user = User {
                name: "Ann".into(),
                visits: 0,
            };
            match a.sessions.create(user).await {
                Ok(session) => break session,
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        };
        // The other node has a connection of its own.
        while b.sessions.get(ann.id()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let mut here = a.connected(&ann).await;
        let mut there = b.connected(&ann).await;
        let heard = async {
            let frame = there.frame_of("42").await;
            assert_eq!(frame, r#"42["heard","psst"]"#);
        };
        let whispers = async {
            loop {
                here.send(r#"42["whisper"]"#).await;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::select! {
            () = heard => {}
            () = whispers => {}
        }
        ann.end().await.unwrap();
    })
    .await;
    for node in [&a, &b] {
        until("no session is live", || node.sessions.live_sessions() == 0).await;
        until("no socket is left", || {
            node.io.of("/").unwrap().sockets().is_empty()
        })
        .await;
    }
}
