//! The cost of the index of users, beside the same calls without it, and the end of all sessions of a user
//! whose sockets are on two nodes.

#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that can't go on is to stop"
)]
#![allow(missing_docs, reason = "criterion's macros make public items")]

#[path = "support/redis.rs"]
mod redis;
mod support;

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use axum::{Router, serve::ListenerExt as _};
use criterion::{Criterion, SamplingMode, criterion_group, criterion_main};
use futures_util::{SinkExt as _, StreamExt as _, future::join_all, stream};
use socketioxide::{SocketIo, extract::SocketRef, handler::ConnectHandler as _};
use socketioxide_session::{
    MemoryStore, RedisStore, Session, SessionBridge, SessionId, SessionStore, store::Created,
};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Runtime,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest as _},
};

use self::{
    redis::Redis,
    support::{cookie, many_threads},
};

const HOUR: Duration = Duration::from_hours(1);
/// Number of sessions that end.
const SESSIONS: usize = 1_000;

type Name = String;

#[allow(clippy::unnecessary_wraps, reason = "as the stores want it")]
fn user_id(name: &Name) -> Option<String> {
    Some(name.clone())
}

async fn connect(redis: &Redis, indexed: bool) -> RedisStore<Name> {
    let builder = RedisStore::builder(&redis.url()).unwrap();
    let builder = if indexed {
        builder.user_id(user_id)
    } else {
        builder
    };
    builder.connect().await.unwrap()
}

async fn stored(store: &impl SessionStore<Data = Name>, id: &SessionId) {
    let created = store.create(id, &"Ann".to_owned(), HOUR).await.unwrap();
    assert!(matches!(created, Created::Created(_)));
}

fn new_id() -> SessionId {
    SessionId::generate().unwrap()
}

/// The calls that write the index, each by itself.
fn calls(
    c: &mut Criterion,
    runtime: &Runtime,
    place: &str,
    stores: [(&str, impl SessionStore<Data = Name>); 2],
) {
    for call in ["create", "touch", "rename"] {
        let mut group = c.benchmark_group(format!("{call} {place}"));
        for (name, store) in &stores {
            group.bench_function(*name, |b| {
                b.iter_custom(|times| {
                    runtime.block_on(async {
                        match call {
                            "create" => creates(store, times).await,
                            "touch" => touches(store, times).await,
                            _ => renames(store, times).await,
                        }
                    })
                });
            });
        }
        group.finish();
    }
}

async fn creates(store: &impl SessionStore<Data = Name>, times: u64) -> Duration {
    let mut took = Duration::ZERO;
    for _ in 0..times {
        let id = new_id();
        let began = Instant::now();
        stored(store, &id).await;
        took += began.elapsed();
        store.delete(&id).await.unwrap();
    }
    took
}

async fn touches(store: &impl SessionStore<Data = Name>, times: u64) -> Duration {
    let (id, data) = (new_id(), "Ann".to_owned());
    stored(store, &id).await;
    let began = Instant::now();
    for nth in 0..times {
        let ttl = HOUR + Duration::from_millis(nth);
        assert!(store.touch(&id, &data, ttl).await.unwrap());
    }
    let took = began.elapsed();
    store.delete(&id).await.unwrap();
    took
}

async fn renames(store: &impl SessionStore<Data = Name>, times: u64) -> Duration {
    let mut id = new_id();
    stored(store, &id).await;
    let ids: Vec<_> = (0..times).map(|_| new_id()).collect();
    let began = Instant::now();
    for next in ids {
        assert!(store.rename(&id, &next).await.unwrap());
        id = next;
    }
    let took = began.elapsed();
    store.delete(&id).await.unwrap();
    took
}

fn in_memory(c: &mut Criterion) {
    let runtime = many_threads();
    let stores = [
        ("without the index", MemoryStore::new()),
        ("with the index", MemoryStore::new().user_id(user_id)),
    ];
    calls(c, &runtime, "in memory", stores);
}

fn on_redis(c: &mut Criterion) {
    let (runtime, redis) = (many_threads(), Redis::start());
    let stores = [
        (
            "without the index",
            runtime.block_on(connect(&redis, false)),
        ),
        ("with the index", runtime.block_on(connect(&redis, true))),
    ];
    calls(c, &runtime, "on Redis", stores);
    drop(runtime);
}

/// A process with a Socket.IO server.
struct Node {
    sessions: SessionBridge<Name>,
    address: SocketAddr,
}

impl Node {
    async fn start(redis: &Redis) -> Self {
        let sessions = SessionBridge::builder(cookie(), connect(redis, true).await);
        let sessions = sessions.build().unwrap();
        let (layer, io) = SocketIo::new_layer();
        let on_connect = async |_: SocketRef, _: Session<Name>| ();
        io.ns("/", on_connect.with(sessions.require()));
        let app = Router::new().layer(layer).layer(sessions.layer());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let listener = listener.tap_io(|tcp| tcp.set_nodelay(true).unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { sessions, address }
    }

    /// A socket of this session.
    async fn socket(&self, id: &SessionId) -> WebSocketStream<TcpStream> {
        let url = format!("ws://{}/socket.io/?EIO=4&transport=websocket", self.address);
        let mut request = url.into_client_request().unwrap();
        let issued = cookie().issue(id);
        let pair = format!("{}={}", issued.name(), issued.value());
        request
            .headers_mut()
            .insert("cookie", pair.parse().unwrap());
        let tcp = TcpStream::connect(self.address).await.unwrap();
        let (mut socket, _) = client_async(request, tcp).await.unwrap();
        socket.send(Message::text("40")).await.unwrap();
        until(&mut socket, "40").await;
        socket
    }
}

/// Waits for a frame that begins like this.
async fn until(socket: &mut WebSocketStream<TcpStream>, start: &str) {
    loop {
        match socket.next().await.unwrap().unwrap() {
            Message::Text(text) if text.starts_with(start) => return,
            Message::Text(text) if text == "2" => socket.send(Message::text("3")).await.unwrap(),
            Message::Text(text) => assert!(text.starts_with('0'), "{text}"),
            _ => {}
        }
    }
}

/// Time until the call returned, and until the last client knows.
async fn end_all(nodes: &[Node; 2], with_sockets: bool) -> (Duration, Duration) {
    let created = stream::iter(0..SESSIONS).map(async |nth| {
        let session = nodes[nth % 2]
            .sessions
            .create("Ann".to_owned())
            .await
            .unwrap();
        session.id().clone()
    });
    let ids: Vec<_> = created.buffered(50).collect().await;
    let count = if with_sockets { SESSIONS } else { 0 };
    // Half of them at the node that did not create their session.
    let opened = stream::iter(ids.iter().enumerate().take(count))
        .map(|(nth, id)| nodes[nth / 2 % 2].socket(id))
        .buffered(50);
    let sockets: Vec<_> = opened.collect().await;
    let closed = sockets.into_iter().map(|mut socket| {
        tokio::spawn(async move {
            until(&mut socket, "41").await;
            // The rest is not measured.
            socket
        })
    });
    let closed: Vec<_> = closed.collect();
    let began = Instant::now();
    let ended = nodes[0].sessions.end_sessions_of_user("Ann").await.unwrap();
    let returned = began.elapsed();
    assert_eq!(ended, SESSIONS);
    let closed = join_all(closed).await;
    let all_closed = began.elapsed();
    drop(closed);
    (returned, all_closed)
}

fn ends(c: &mut Criterion) {
    let (runtime, redis) = (many_threads(), Redis::start());
    let nodes = runtime.block_on(async { [Node::start(&redis).await, Node::start(&redis).await] });
    let mut group = c.benchmark_group("end 1,000 sessions of one user on two nodes");
    group
        .sample_size(10)
        .sampling_mode(SamplingMode::Flat)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(10));
    for (name, with_sockets) in [
        ("without sockets: the call", false),
        ("with a socket each: the call", true),
        ("with a socket each: the last client knows", true),
    ] {
        group.bench_function(name, |b| {
            b.iter_custom(|times| {
                let mut took = Duration::ZERO;
                for _ in 0..times {
                    let (call, all) = runtime.block_on(end_all(&nodes, with_sockets));
                    took += if name.ends_with("call") { call } else { all };
                }
                took
            });
        });
    }
    group.finish();
    drop(runtime);
}

criterion_group!(benches, in_memory, on_redis, ends);
criterion_main!(benches);
