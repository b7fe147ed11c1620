//! The end of one session among many live ones, beside the deletion in it.

#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that can't go on is to stop"
)]
#![allow(missing_docs, reason = "criterion's macros make public items")]

mod support;

use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use socketioxide_session::{
    MemoryStore, Session, SessionBridge, SessionId, SessionStore, store::Created,
};
use tokio::{runtime::Runtime, task::JoinSet};

use self::support::{cookie, many_threads};

const HOUR: Duration = Duration::from_hours(1);

/// A session that is live, because a task waits for its end.
fn live(runtime: &Runtime, bridge: &SessionBridge<String>) -> Session<String> {
    let session = runtime.block_on(bridge.create("Ann".to_owned())).unwrap();
    let waiting = session.clone();
    runtime.spawn(async move { waiting.ended().await });
    session
}

fn stored(runtime: &Runtime, store: &MemoryStore<String>) -> SessionId {
    let id = SessionId::generate().unwrap();
    let data = "Ann".to_owned();
    let created = runtime.block_on(store.create(&id, &data, HOUR));
    assert!(matches!(created, Ok(Created::Created(_))));
    id
}

/// Sessions that live for as long as the tasks of the set.
async fn crowd(bridge: &SessionBridge<String>, size: usize) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for _ in 0..size {
        let session = bridge.create("Bob".to_owned()).await.unwrap();
        tasks.spawn(async move {
            session.ended().await;
        });
    }
    while bridge.live_sessions() < size {
        tokio::task::yield_now().await;
    }
    tasks
}

fn ends(c: &mut Criterion) {
    let runtime = many_threads();
    let mut group = c.benchmark_group("end of one session among");
    for size in [1_000, 10_000, 100_000] {
        let store = MemoryStore::new();
        let bridge = SessionBridge::builder(cookie(), store.clone())
            .build()
            .unwrap();
        let crowd = runtime.block_on(crowd(&bridge, size));
        group.bench_function(BenchmarkId::new("baseline: delete", size), |b| {
            b.iter_batched(
                || stored(&runtime, &store),
                |id| runtime.block_on(store.delete(&id)).unwrap(),
                BatchSize::PerIteration,
            );
        });
        group.bench_function(BenchmarkId::new("end", size), |b| {
            b.iter_batched(
                || live(&runtime, &bridge),
                |session| runtime.block_on(session.end()).unwrap(),
                BatchSize::PerIteration,
            );
        });
        drop(crowd);
    }
    group.finish();
}

criterion_group!(benches, ends);
criterion_main!(benches);
