//! `update()` on Redis beside the script in it, with records that hold fields of another program and
//! without. What `update` adds is the clone, the merge of three versions and the encoding.
//!
//! Starts a `redis-server` of its own.

#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that can't go on is to stop"
)]
#![allow(missing_docs, reason = "criterion's macros make public items")]

mod support;

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::Duration,
};

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fred::{
    clients::Client,
    interfaces::ClientLike as _,
    types::{ClusterHash, CustomCommand, Value, config::Config},
};
use serde::{Deserialize, Serialize};
use socketioxide_session::{RedisStore, Session, SessionBridge};

use self::support::{cookie, id, one_thread};

/// Replaces a value if it is the expected one.
const SWAP: &str = "
    if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 1 end
    redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
    return 2";

/// A server that ends with its handle.
struct Redis {
    port: u16,
    process: Child,
}

impl Redis {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let process = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is missing");
        Self { port, process }
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Part of a record that this program knows.
#[derive(Clone, Serialize, Deserialize)]
struct Data {
    count: u64,
    items: Vec<String>,
}

/// Data of about this size as JSON.
fn data(bytes: usize) -> Data {
    let items = vec!["an item of 26 characters..".to_owned(); bytes / 29];
    Data { count: 0, items }
}

/// A record of about this size, half of which are fields of another program.
fn shared_record(bytes: usize) -> String {
    let own = serde_json::to_value(data(bytes / 2)).unwrap();
    let serde_json::Value::Object(mut record) = own else {
        unreachable!("a struct is an object");
    };
    for nth in 0..bytes / 2 / 34 {
        record.insert(format!("other{nth:05}"), "of another program".into());
    }
    serde_json::to_string(&record).unwrap()
}

/// Runs a script on the key of the session.
async fn run(client: &Client, script: &'static str, args: [&Bytes; 2]) -> i64 {
    let mut words: Vec<Value> = vec![script.into(), "1".into()];
    words.push(format!("session:{}", id().expose()).into());
    words.extend(args.map(|arg| Value::Bytes(arg.clone())));
    let eval = CustomCommand::new_static("EVAL", ClusterHash::FirstKey, false);
    client.custom(eval, words).await.unwrap()
}

/// A session with this record.
async fn session(client: &Client, url: &str, record: String) -> Session<Data> {
    const SET: &str = "redis.call('SET', KEYS[1], ARGV[1], 'PX', 3600000) return 2";
    run(client, SET, [&record.into(), &Bytes::new()]).await;
    let store = RedisStore::<Data>::connect(url).await.unwrap();
    let bridge = SessionBridge::builder(cookie(), store).build().unwrap();
    bridge.get(&id()).await.unwrap().unwrap()
}

async fn connected(url: &str) -> Client {
    loop {
        let client = Client::new(Config::from_url(url).unwrap(), None, None, None);
        if client.init().await.is_ok() {
            return client;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn updates(c: &mut Criterion) {
    let runtime = one_thread();
    let redis = Redis::start();
    let client = runtime.block_on(connected(&redis.url()));
    let mut group = c.benchmark_group("update, Redis");
    for bytes in [260, 16 * 1024] {
        group.throughput(Throughput::Bytes(bytes as u64));
        let own = serde_json::to_string(&data(bytes)).unwrap();
        for (kind, record) in [("own", own), ("shared", shared_record(bytes))] {
            let name = format!("{bytes} bytes, {kind}");
            let session = runtime.block_on(session(&client, &redis.url(), record.clone()));
            let baseline = BenchmarkId::new("baseline: a script of the same size", &name);
            let mut versions = versions(&record);
            group.bench_function(baseline, |b| {
                b.iter(|| {
                    let swapped = run(&client, SWAP, [&versions[0], &versions[1]]);
                    assert_eq!(runtime.block_on(swapped), 2);
                    versions.swap(0, 1);
                });
            });
            let session = runtime.block_on(session.reload()).unwrap();
            group.bench_function(BenchmarkId::new("update", &name), |b| {
                b.iter(|| {
                    let updated = session.update(|data| data.count = (data.count + 1) % 10);
                    let _ = runtime.block_on(updated).unwrap();
                });
            });
        }
    }
    group.finish();
}

/// The record, and another one of the same size, which replace each other.
fn versions(record: &str) -> [Bytes; 2] {
    let with = |count: u32| record.replace("\"count\":0", &format!("\"count\":{count}"));
    [with(0).into(), with(1).into()]
}

criterion_group!(benches, updates);
criterion_main!(benches);
