//! `resolve()` for each extractor, beside the extraction and the load that it consists of; with many at
//! the same time; and after all clients have lost their connections.

#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that can't go on is to stop"
)]
#![allow(missing_docs, reason = "criterion's macros make public items")]

mod support;

use std::{
    hint::black_box,
    sync::{Arc, LazyLock},
    time::Duration,
};

use cookie::Key;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures_util::future::join_all;
use http::request::Parts;
use socketioxide_session::{
    EncryptedToken, MemoryStore, SessionBridge, SessionId, SessionIdExtractor, SessionStore as _,
    SignedCookie, extractor::Handshake, interop::express::ExpressCookie, store::Created,
};

use self::support::{bridge, id, keys, many_threads, one_thread, parts};

const HOUR: Duration = Duration::from_hours(1);
static SESSION: LazyLock<SessionId> = LazyLock::new(id);

/// Input of an extractor: a request that shows the session `id()`.
struct Case {
    name: &'static str,
    extractor: Arc<dyn SessionIdExtractor>,
    parts: Parts,
}

fn cases() -> Vec<Case> {
    let cookie = support::cookie();
    let token = EncryptedToken::new("token", &keys()).unwrap();
    let express = ExpressCookie::new("connect.sid", ["a secret of the benchmark"]).unwrap();
    let plain_key = SignedCookie::with_key("other", Key::from(&[9; 64])).unwrap();
    let pair = |cookie: cookie::Cookie<'_>| format!("{}={}", cookie.name(), cookie.value());
    let in_query = format!(
        "/socket.io/?EIO=4&transport=websocket&token={}",
        token.issue(&id()).unwrap()
    );
    let by_cookie = parts("/", &pair(cookie.issue(&id())));
    vec![
        Case {
            name: "signed cookie, a key of cookie-rs",
            parts: parts("/", &pair(plain_key.issue(&id()))),
            extractor: Arc::new(plain_key),
        },
        Case {
            name: "cookie of express-session",
            parts: parts("/", &pair(express.issue(&id()))),
            extractor: Arc::new(express),
        },
        Case {
            name: "encrypted token",
            parts: parts(&in_query, "a=b"),
            extractor: Arc::new(token.clone()),
        },
        Case {
            name: "token or signed cookie, by the cookie",
            parts: by_cookie.clone(),
            extractor: Arc::new(token.or(cookie.clone())),
        },
        Case {
            name: "signed cookie",
            parts: by_cookie,
            extractor: Arc::new(cookie),
        },
    ]
}

fn extractors(c: &mut Criterion) {
    let runtime = one_thread();
    let mut group = c.benchmark_group("resolve, memory store");
    let store = MemoryStore::new();
    let data = "Ann".to_owned();
    let created = runtime.block_on(store.create(&SESSION, &data, HOUR));
    assert!(matches!(created, Ok(Created::Created(_))));
    group.bench_function("baseline: load", |b| {
        b.to_async(&runtime)
            .iter(|| store.load(black_box(&SESSION)));
    });
    for case in cases() {
        let handshake = Handshake::from_parts(&case.parts).with_namespace("/");
        let baseline = BenchmarkId::new("baseline: extract", case.name);
        group.bench_function(baseline, |b| {
            b.iter(|| case.extractor.extract(black_box(&handshake)).unwrap());
        });
        let bridge = SessionBridge::builder(case.extractor.clone(), store.clone());
        let bridge = bridge.build().unwrap();
        group.bench_function(BenchmarkId::new("resolve", case.name), |b| {
            b.to_async(&runtime)
                .iter(|| async { bridge.resolve(black_box(&handshake)).await.unwrap() });
        });
    }
    group.finish();
}

/// Each of the tasks resolves one session of its own.
fn concurrent(c: &mut Criterion) {
    let runtime = many_threads();
    let mut group = c.benchmark_group("concurrent resolves");
    for tasks in [1, 4, 16, 64] {
        let (bridge, requests) = bridge(&runtime, tasks);
        let requests = Arc::new(requests);
        group.throughput(Throughput::Elements(tasks as u64));
        group.bench_function(BenchmarkId::new("baseline: extract", tasks), |b| {
            let cookie = Arc::new(support::cookie());
            b.to_async(&runtime).iter(|| {
                spawn_each(&requests, {
                    let cookie = cookie.clone();
                    move |parts| {
                        let id = cookie.extract(&Handshake::from_parts(parts));
                        async move { drop(black_box(id)) }
                    }
                })
            });
        });
        group.bench_function(BenchmarkId::new("resolve", tasks), |b| {
            b.to_async(&runtime).iter(|| {
                let tasks = (0..tasks).map(|nth| {
                    let (bridge, requests) = (bridge.clone(), requests.clone());
                    tokio::spawn(async move { resolve(&bridge, &requests[nth]).await })
                });
                join_all(tasks.collect::<Vec<_>>())
            });
        });
    }
    group.finish();
}

async fn spawn_each<F: Future<Output = ()> + Send + 'static>(
    requests: &Arc<Vec<Parts>>,
    call: impl Fn(&Parts) -> F + Clone + Send + 'static,
) {
    let tasks = (0..requests.len()).map(|nth| {
        let (requests, call) = (requests.clone(), call.clone());
        tokio::spawn(async move { call(&requests[nth]).await })
    });
    join_all(tasks.collect::<Vec<_>>()).await;
}

async fn resolve(bridge: &SessionBridge<String>, parts: &Parts) {
    let session = bridge.resolve(&Handshake::from_parts(parts)).await;
    let _ = black_box(session.unwrap());
}

/// Ten tabs of each of 1,000 sessions come back at once, and hold their sessions.
fn storm(c: &mut Criterion) {
    let runtime = many_threads();
    let mut group = c.benchmark_group("10,000 reconnects over 1,000 sessions");
    group
        .sample_size(10)
        .throughput(Throughput::Elements(10_000));
    let (bridge, requests) = bridge(&runtime, 1_000);
    let cookie = support::cookie();
    group.bench_function("baseline: extract", |b| {
        b.iter(|| {
            for nth in 0..10_000 {
                let handshake = Handshake::from_parts(&requests[nth % 1_000]);
                drop(black_box(cookie.extract(&handshake)));
            }
        });
    });
    group.bench_function("resolve", |b| {
        b.to_async(&runtime)
            .iter(|| all_come_back(&bridge, &requests));
    });
    group.finish();
}

async fn all_come_back(bridge: &SessionBridge<String>, requests: &[Parts]) {
    let handshakes: Vec<_> = requests.iter().map(Handshake::from_parts).collect();
    let resolves = (0..10_000).map(|nth| bridge.resolve(&handshakes[nth % 1_000]));
    let sessions = join_all(resolves).await;
    assert!(sessions.iter().all(Result::is_ok));
}

criterion_group!(benches, extractors, concurrent, storm);
criterion_main!(benches);
