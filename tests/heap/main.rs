//! The heap that clients leave behind, and that a live socket takes, in exact bytes.
//!
//! A binary of its own, because all threads of the process count; each test waits for the others.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "../it/support/socket.rs"]
#[allow(dead_code, reason = "the other tests use more of it")]
mod socket;

use std::{
    alloc::System,
    future::Future,
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use axum::{Router, serve::ListenerExt as _};
use socketioxide::{SocketIo, extract::SocketRef, handler::ConnectHandler as _};
use socketioxide_session::{Keyring, MemoryStore, SecretKey, SessionBridge, SignedCookie};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tokio::{net::TcpListener, task::JoinHandle};

use self::socket::Client;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Bytes a further socket of a live session may cost, the layer included.
const MAX_PER_SOCKET: isize = 880;
/// Bytes a session with a handle may cost, beside its record in the store.
const MAX_PER_SESSION: isize = 640;

/// Waits for something that must happen.
async fn soon<R>(what: &str, happens: impl Future<Output = R>) -> R {
    let happened = tokio::time::timeout(Duration::from_secs(30), happens).await;
    happened.unwrap_or_else(|_| panic!("never happened: {what}"))
}

/// Runs a test while no other one runs. Its runtime is made and dropped meanwhile, too: it takes several KiB.
fn alone(test: impl Future<Output = ()>) {
    static ONE: Mutex<()> = Mutex::new(());
    let _alone = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap().block_on(test);
}

fn bytes_in_use() -> isize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated.cast_signed() - stats.bytes_deallocated.cast_signed()
}

struct Server {
    address: SocketAddr,
    io: SocketIo,
    sessions: SessionBridge<u32>,
    cookie: SignedCookie,
    task: JoinHandle<()>,
}

impl Server {
    /// With sessions, or as socketioxide is by itself.
    async fn start(with_sessions: bool) -> Self {
        let keys = Keyring::new(SecretKey::generate().unwrap());
        let cookie = SignedCookie::new("sid", &keys).unwrap();
        let cookie = cookie.insecure_http().unwrap();
        let builder = SessionBridge::builder(cookie.clone(), MemoryStore::new());
        let sessions = builder.build().unwrap();
        let (layer, io) = SocketIo::new_layer();
        let on_connect = async |socket: SocketRef| {
            socket.emit("session", "in").ok();
        };
        let app = Router::new().layer(layer);
        let app = if with_sessions {
            io.ns("/", on_connect.with(sessions.require()));
            app.layer(sessions.layer())
        } else {
            io.ns("/", on_connect);
            app
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let listener = listener.tap_io(|tcp| tcp.set_nodelay(true).unwrap());
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self {
            address,
            io,
            sessions,
            cookie,
            task,
        }
    }

    async fn signed_in(&self) -> String {
        let session = self.sessions.create(0).await.unwrap();
        let cookie = self.cookie.issue(session.id());
        format!("{}={}", cookie.name(), cookie.value())
    }

    async fn until_sockets(&self, number: usize) {
        soon("the number of sockets", async {
            while self.io.of("/").unwrap().sockets().len() != number {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One client, one WebSocket: what it makes and leaves costs nothing afterwards.
#[test]
fn ten_thousand_connects_and_leaves_leave_the_heap_where_it_was() {
    alone(async {
        let server = Server::start(true).await;
        let cookie = server.signed_in().await;
        let mut tab = Client::open(server.address, "", &[("cookie", &cookie)]).await;
        let mut cycles = async |number| {
            for _ in 0..number {
                tab.connect("/").await;
                tab.send("41").await;
            }
            server.until_sockets(0).await;
            soon("nothing is live", async {
                while server.sessions.live_sessions() > 0 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            })
            .await;
            bytes_in_use()
        };
        // Buffers and tables have grown to their size after some of them.
        let before = cycles(1_000).await;
        let after = cycles(10_000).await;
        let left = after - before;
        // Less than half a byte a cycle: none of them leaves anything.
        assert!(left < 5_000, "{left} bytes are left");
    });
}

/// Bytes that each of `number` connected clients costs.
async fn per_socket(server: &Server, cookie: &str, number: usize) -> isize {
    let mut tabs = Vec::with_capacity(number + 1);
    let mut connect = async || {
        let mut tab = Client::open(server.address, "", &[("cookie", cookie)]).await;
        tab.connect("/").await;
        tabs.push(tab);
    };
    // The first one makes the session live.
    connect().await;
    server.until_sockets(1).await;
    let before = bytes_in_use();
    for _ in 0..number {
        connect().await;
    }
    server.until_sockets(number + 1).await;
    (bytes_in_use() - before) / number.cast_signed()
}

/// Bytes that a session with a handle costs this node, beside its record in the store.
#[test]
fn an_entry_of_a_session_is_small() {
    alone(async {
        let number = 1_000;
        let server = Server::start(true).await;
        let mut ids = Vec::new();
        for _ in 0..number {
            ids.push(server.sessions.create(0).await.unwrap().id().clone());
        }
        let mut handles = Vec::with_capacity(number);
        let before = bytes_in_use();
        for id in &ids {
            handles.push(server.sessions.get(id).await.unwrap().unwrap());
        }
        let bytes = (bytes_in_use() - before) / number.cast_signed();
        eprintln!("{bytes} bytes for each session with a handle");
        assert!(bytes <= MAX_PER_SESSION, "{bytes} bytes");
        drop(handles);
        let left = bytes_in_use() - before;
        // The registry's table keeps its size.
        assert!(left <= 128 * number.cast_signed(), "{left} bytes are left");
    });
}

#[test]
fn a_further_socket_of_a_live_session_is_small() {
    alone(async {
        // The tables of both servers have the same size then.
        let number = 255;
        let bare = Server::start(false).await;
        let bare_bytes = per_socket(&bare, "sid=", number).await;
        let server = Server::start(true).await;
        let cookie = server.signed_in().await;
        let same_cookie = "x".repeat(cookie.len());
        let bare_again = per_socket(&Server::start(false).await, &same_cookie, number).await;
        let bytes = per_socket(&server, &cookie, number).await - bare_again;
        eprintln!("{bytes} bytes for each further socket; a bare one has {bare_bytes}");
        assert!(bytes <= MAX_PER_SOCKET, "{bytes} bytes");
    });
}
