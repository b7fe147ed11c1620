//! The cost of the metrics of an admission, beside the handshake of a WebSocket that they belong to.

#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that can't go on is to stop"
)]
#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use futures_util::{SinkExt as _, StreamExt as _};
use metrics::{counter, gauge, histogram};
use metrics_exporter_prometheus::PrometheusBuilder;
use socketioxide::{SocketIo, extract::SocketRef, handler::ConnectHandler as _};
use socketioxide_session::{Keyring, MemoryStore, SecretKey, Session, SessionBridge, SignedCookie};
use tokio::{net::TcpListener, runtime::Runtime};
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Message, client::IntoClientRequest as _},
};

/// The emissions of an admission that loads its session, with the labels that it has.
fn emissions() {
    let (kind, call, outcome) = (black_box("session"), black_box("load"), black_box("ok"));
    counter!("socketio_session_admissions_total", "kind" => kind).increment(1);
    histogram!("socketio_session_admission_seconds", "outcome" => kind).record(0.001);
    counter!("socketio_session_store_calls_total", "call" => call, "outcome" => outcome)
        .increment(1);
    histogram!("socketio_session_store_call_seconds", "call" => call).record(0.001);
    gauge!("socketio_session_live_sessions").increment(1.0);
    gauge!("socketio_session_live_sockets").increment(1.0);
    gauge!("socketio_session_bound_transports").increment(1.0);
}

/// A server, and the URL and the cookie of a client.
async fn server() -> (String, String) {
    let keys = Keyring::new(SecretKey::from_bytes(&[7; 32]).unwrap());
    let cookie = SignedCookie::new("sid", &keys).unwrap();
    let cookie = cookie.insecure_http().unwrap();
    let store = MemoryStore::<String>::new();
    let sessions = SessionBridge::builder(cookie.clone(), store)
        .build()
        .unwrap();
    let session = sessions.create("Ann".to_owned()).await.unwrap();
    let (layer, io) = SocketIo::new_layer();
    let on_connect = async |_: SocketRef, _: Session<String>| {};
    io.ns("/", on_connect.with(sessions.require()));
    let app = axum::Router::new().layer(layer).layer(sessions.layer());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    let url = format!("ws://{address}/socket.io/?EIO=4&transport=websocket");
    let issued = cookie.issue(session.id());
    (url, format!("{}={}", issued.name(), issued.value()))
}

async fn handshake(url: &str, cookie: &str) {
    let mut request = url.into_client_request().unwrap();
    request
        .headers_mut()
        .insert("cookie", cookie.parse().unwrap());
    let (mut socket, _) = connect_async(request).await.unwrap();
    socket.next().await.unwrap().unwrap();
    socket.send(Message::text("40")).await.unwrap();
    socket.next().await.unwrap().unwrap();
    socket.close(None).await.unwrap();
}

fn metrics_of_an_admission(c: &mut Criterion) {
    let mut group = c.benchmark_group("metrics");
    group.bench_function("emissions without a recorder", |b| b.iter(emissions));
    let builder = PrometheusBuilder::new().set_buckets(&[0.001, 0.01, 0.1]);
    let recorder = builder.unwrap().build_recorder();
    metrics::set_global_recorder(recorder).ok().unwrap();
    group.bench_function("emissions with Prometheus", |b| b.iter(emissions));
    let runtime = Runtime::new().unwrap();
    let (url, cookie) = runtime.block_on(server());
    group.bench_function("a whole handshake, client included", |b| {
        b.to_async(&runtime).iter(|| handshake(&url, &cookie));
    });
    group.finish();
}

criterion_group!(benches, metrics_of_an_admission);
criterion_main!(benches);
