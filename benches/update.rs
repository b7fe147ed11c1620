//! `update()` beside the store call in it.

#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that can't go on is to stop"
)]
#![allow(missing_docs, reason = "criterion's macros make public items")]

mod support;

use std::{sync::LazyLock, time::Duration};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use socketioxide_session::{
    MemoryStore, SessionBridge, SessionId, SessionStore as _,
    store::{Created, Revision, Saved},
};

use self::support::{cookie, id, one_thread};

const HOUR: Duration = Duration::from_hours(1);
static SESSION: LazyLock<SessionId> = LazyLock::new(id);

/// Data of this size, of which a counter changes.
#[derive(Clone)]
struct Data {
    count: u64,
    text: String,
}

fn data(bytes: usize) -> Data {
    let text = "x".repeat(bytes);
    Data { count: 0, text }
}

async fn save(store: &MemoryStore<Data>, data: &mut Data, revision: &mut Revision) {
    data.count += 1;
    let Saved::Saved(new) = store.save(&SESSION, &data.clone(), revision).await.unwrap() else {
        panic!("another writer");
    };
    *revision = new;
}

fn updates(c: &mut Criterion) {
    let runtime = one_thread();
    let mut group = c.benchmark_group("update, memory store");
    for bytes in [260, 16 * 1024] {
        group.throughput(Throughput::Bytes(bytes as u64));
        let store = MemoryStore::new();
        let mut stored = data(bytes);
        let created = runtime.block_on(store.create(&SESSION, &stored, HOUR));
        let Created::Created(mut revision) = created.unwrap() else {
            panic!("the id is taken");
        };
        group.bench_function(BenchmarkId::new("baseline: clone and save", bytes), |b| {
            b.iter(|| runtime.block_on(save(&store, &mut stored, &mut revision)));
        });
        let bridge = SessionBridge::builder(cookie(), MemoryStore::new());
        let bridge = bridge.build().unwrap();
        let session = runtime.block_on(bridge.create(data(bytes))).unwrap();
        group.bench_function(BenchmarkId::new("update", bytes), |b| {
            b.iter(|| {
                let updated = session.update(|data| data.count += 1);
                let updated = runtime.block_on(updated).unwrap();
                assert_eq!(updated.data().text.len(), bytes);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, updates);
criterion_main!(benches);
