//! Allocations of the hot paths.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{Request, Response, request::Parts};
use http_body_util::{BodyExt as _, Full};
use socketioxide::{SocketIo, extract::SocketRef, handler::ConnectHandler as _};
use socketioxide_session::{
    MemoryStore, Session, SessionBridge, SignedCookie, extractor::Handshake,
};
use tokio::runtime::Runtime;
use tower::{Layer as _, Service, ServiceExt as _, service_fn};

use crate::{
    counter::{Alone, TRIES},
    user::{User, ann, cookie},
};

/// The layer adds a scope for the stores of tower-sessions.
const WITH_TOWER_SESSIONS: usize = cfg!(any(
    feature = "tower-sessions-0-14",
    feature = "tower-sessions-0-15"
)) as usize;

/// Metrics allocate their labels.
const WITH_METRICS: usize = cfg!(feature = "metrics") as usize;

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn bridge() -> (SessionBridge<User>, SignedCookie) {
    let cookie = cookie();
    let bridge = SessionBridge::builder(cookie.clone(), MemoryStore::new()).build();
    (bridge.unwrap(), cookie)
}

fn request(cookie: &str) -> Parts {
    let request = Request::get("/").header("host", "a.test");
    let request = request.header("cookie", cookie).body(()).unwrap();
    request.into_parts().0
}

fn presents(session: &Session<User>, cookie: &SignedCookie) -> String {
    let issued = cookie.issue(session.id());
    format!("theme=dark; {}={}; lang=en", issued.name(), issued.value())
}

#[test]
fn resolving_a_session_from_memory() {
    let mut alone = Alone::begin();
    let runtime = runtime();
    let _context = runtime.enter();
    let (bridge, cookie) = bridge();
    let session = runtime.block_on(bridge.create(ann())).unwrap();
    let parts = request(&presents(&session, &cookie));
    drop(session);
    let handshake = Handshake::from_parts(&parts);
    // The store answers at once, so the future is ready at once.
    let resolve = || bridge.resolve(&handshake).now_or_never().unwrap().unwrap();
    let count = alone.allocations(resolve);
    assert!(count <= 5 + WITH_METRICS, "{count} allocations");
}

#[test]
fn resolving_a_session_that_is_live() {
    let mut alone = Alone::begin();
    let runtime = runtime();
    let _context = runtime.enter();
    let (bridge, cookie) = bridge();
    let session = runtime.block_on(bridge.create(ann())).unwrap();
    let parts = request(&presents(&session, &cookie));
    let watching = session.clone();
    runtime.spawn(async move { watching.ended().await });
    // The worker subscribes, and the session is loaded.
    runtime.block_on(async {
        while bridge.live_sessions() == 0 {
            tokio::task::yield_now().await;
        }
        let _ = session.reload().await.unwrap();
    });
    let handshake = Handshake::from_parts(&parts);
    let resolve = || bridge.resolve(&handshake).now_or_never().unwrap().unwrap();
    let count = alone.allocations(resolve);
    assert!(count <= 1, "{count} allocations: the id, and nothing else");
}

#[test]
fn a_request_that_never_asks_for_its_session() {
    let mut alone = Alone::begin();
    let runtime = runtime();
    let _context = runtime.enter();
    let (bridge, cookie) = bridge();
    let session = runtime.block_on(bridge.create(ann())).unwrap();
    let shown = presents(&session, &cookie);
    let handler = service_fn(async |_: Request<()>| {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"hello"))))
    });
    let mut plain = handler;
    let mut layered = bridge.layer().layer(handler);
    let requests = || Request::from_parts(request(&shown), ());
    let plain = alone.allocations(|| plain.call(requests()).now_or_never().unwrap().unwrap());
    let layered = alone.allocations(|| layered.call(requests()).now_or_never().unwrap().unwrap());
    let count = layered - plain;
    // Its entry in the request, and the extensions' map, its table and its slot.
    let limit = 4 + WITH_TOWER_SESSIONS;
    assert!(count <= limit, "{count} allocations");
}

/// Opens a polling transport, connects, and reads the answer.
async fn connect<S, B>(app: &mut S, cookie: &str)
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible>,
    B: http_body::Body<Data = Bytes, Error: std::fmt::Debug>,
{
    let url = "/socket.io/?EIO=4&transport=polling";
    let build = |uri: &str, body: Option<&'static str>| {
        let method = if body.is_some() { "POST" } else { "GET" };
        let request = Request::builder().method(method).uri(uri);
        let request = request.header("host", "a.test").header("cookie", cookie);
        request.body(Full::from(body.unwrap_or_default())).unwrap()
    };
    let mut send = async |request| {
        let answer = app.ready().await.unwrap().call(request).await.unwrap();
        answer.into_body().collect().await.unwrap().to_bytes()
    };
    let opened = send(build(url, None)).await;
    let opened = std::str::from_utf8(&opened).unwrap();
    let (_, sid) = opened.split_once("\"sid\":\"").unwrap();
    let transport = format!("{url}&sid={}", sid.split('"').next().unwrap());
    assert_eq!(send(build(&transport, Some("40"))).await, "ok");
    let answer = send(build(&transport, None)).await;
    assert!(answer.starts_with(b"40{"), "{answer:?}");
}

/// Allocations of a client that connects, over those without sessions. Each client shows the next cookie.
fn allocations_over_bare(
    alone: &mut Alone,
    runtime: &Runtime,
    bridge: &SessionBridge<User>,
    cookies: &[String],
) -> usize {
    let not_found = service_fn(async |_: Request<Full<Bytes>>| {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
    });

    let (layer, io) = SocketIo::new_layer();
    io.ns("/", async |_: SocketRef| ());
    let mut bare = layer.layer(not_found);
    let bare = alone.allocations(|| runtime.block_on(connect(&mut bare, &cookies[0])));

    let (layer, io) = SocketIo::new_layer();
    let on_connect = async |_: SocketRef, _: Session<User>| ();
    io.ns("/", on_connect.with(bridge.require()));
    let mut ours = bridge.layer().layer(layer.layer(not_found));
    let mut cookies = cookies.iter().cycle();
    let ours = alone.allocations(|| {
        let cookie = cookies.next().unwrap();
        runtime.block_on(connect(&mut ours, cookie));
    });
    ours - bare
}

/// Three requests that pass the layer, a binding of the transport, and the socket itself.
const FURTHER_SOCKET: usize = 30 + 3 * WITH_TOWER_SESSIONS + 2 * WITH_METRICS;

#[test]
fn a_further_socket_of_a_live_session() {
    let mut alone = Alone::begin();
    let runtime = runtime();
    let (bridge, cookie) = bridge();
    let session = runtime.block_on(bridge.create(ann())).unwrap();
    let cookies = [presents(&session, &cookie)];
    let count = allocations_over_bare(&mut alone, &runtime, &bridge, &cookies);
    assert!(bridge.live_sockets() > 1 && bridge.live_sessions() == 1);
    assert!(count <= FURTHER_SOCKET, "{count} allocations");
}

#[test]
fn the_first_socket_of_a_session() {
    let mut alone = Alone::begin();
    let runtime = runtime();
    let (bridge, cookie) = bridge();
    let create = || runtime.block_on(bridge.create(ann())).unwrap();
    let cookies: Vec<_> = (0..TRIES).map(|_| presents(&create(), &cookie)).collect();
    let count = allocations_over_bare(&mut alone, &runtime, &bridge, &cookies);
    assert!(bridge.live_sockets() == TRIES && bridge.live_sessions() == TRIES);
    // What a further socket needs, then the entry with its list of sockets, a load, and the room.
    let limit = FURTHER_SOCKET + 7 + WITH_METRICS;
    assert!(count <= limit, "{count} allocations");
}
