//! The life of the worker, and everything at the same time.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use fastrand::Rng;
use futures_util::future::join_all;
use tokio::{runtime::Handle, time::timeout};

use super::{
    Config, Disconnect, LiveSessions, TouchEvery,
    core::Leftovers,
    model_tests::sockets::PlainSocket,
    tests_support::{DAY, SlowStore, id, live, node, sessions, until},
};
use crate::{
    store::{Change, GuardedStore, MemoryStore, SessionStore as _, StoreErrorKind},
    testing::{Call, Fault, Faults, FaultyStore},
};

#[tokio::test(start_paused = true)]
async fn a_worker_ends_with_its_bridge() {
    const NODES: usize = 10;
    let store = SlowStore::new(false);
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let nodes = [(); NODES].map(|()| node(&store));
    for node in &nodes {
        node.ensure_worker();
    }
    assert!(tasks() >= before + NODES);
    tokio::task::yield_now().await;
    drop(nodes);
    until("all workers end", || tasks() == before).await;
}

// --- Everything at the same time ----------------------------------------------------------------

const CLIENTS: u64 = 32;
const CALLS: u32 = 100;

/// The sessions that the data below looks at when it is dropped.
static LIVE: OnceLock<LiveSessions<Data>> = OnceLock::new();

/// Data whose drop takes all locks: it deadlocks when a lock is held meanwhile.
#[derive(Clone)]
struct Data(u32);

impl Drop for Data {
    fn drop(&mut self) {
        if let Some(live) = LIVE.get() {
            live.was_ended(&id("an-id"));
            live.core().leftovers();
        }
    }
}

/// Next step of some client or another node.
async fn act(live: &LiveSessions<Data>, faults: &Faults, random: &mut Rng, nth: u32) {
    let soon = Duration::from_millis(2);
    let id = id(&format!("id-{}", random.u8(0..12)));
    match random.u8(0..12) {
        0 => drop(live.create(&id, Data(nth), DAY).await),
        1 => drop(live.end_by_id(&id).await),
        action @ 2..6 => {
            let Ok(view) = live.resolve(&id).await else {
                return;
            };
            match action {
                2 => {
                    let new = format!("new-{}", random.u64(..)).parse().unwrap();
                    drop(live.rotate(&view, &new, Disconnect::Now).await);
                }
                3 => {
                    let add_one = |data: &mut Data| {
                        data.0 += 1;
                        Ok::<_, ()>(())
                    };
                    drop(live.update(&view, add_one).await);
                    live.used(&view);
                }
                4 => drop(timeout(soon, live.ended(&view, None)).await),
                _ => {
                    drop(timeout(soon, live.changed(&view, None)).await);
                    live.disconnect(&view.entry);
                }
            }
        }
        6 => {
            let call = [Call::Delete, Call::Load, Call::Save][random.usize(0..3)];
            faults.on(call, Fault::ErrorAfter(StoreErrorKind::Unavailable));
            tokio::task::yield_now().await;
            faults.clear();
        }
        7 if nth.is_multiple_of(2) => faults.report(&Change::Disconnected),
        7 => faults.report(&Change::Resync),
        _ => {
            let admitted = live.admit(&id, Arc::<PlainSocket>::default()).await;
            if let Ok(tab) = admitted {
                tokio::task::yield_now().await;
                drop(tab.view());
                let patience = Duration::from_micros(random.u64(0..3_000));
                drop(timeout(patience, live.revalidate()).await);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn all_calls_at_the_same_time_deadlock_nothing_and_leave_nothing() {
    let (store, faults) = FaultyStore::new(MemoryStore::<Data>::new());
    let config = Config {
        ttl: DAY,
        ttl_of: None,
        max_lifetime: None,
        revalidate_every: Duration::from_secs(1),
        max_stale: Duration::from_secs(3),
        touch_every: Some(TouchEvery {
            set: Some(Duration::from_millis(1)),
            while_connected: false,
        }),
        verify: None,
        foreign_records: false,
    };
    let store = GuardedStore::new(Arc::new(store), Duration::from_millis(50));
    let live = LIVE.get_or_init(|| LiveSessions::new(store, config));
    let clients = (0..CLIENTS).map(|client| {
        let faults = faults.clone();
        tokio::spawn(async move {
            let mut random = Rng::with_seed(client);
            for nth in 0..CALLS {
                act(live, &faults, &mut random, nth).await;
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        let ended = timeout(Duration::from_mins(1), client).await;
        ended.expect("no deadlock").unwrap();
    }
    faults.clear();
    faults.report(&Change::Resync);
    until("nothing is left", || {
        live.core().leftovers() == Leftovers::default()
            && (live.session_count(), live.socket_count()) == (0, 0)
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_logout_elsewhere_is_noticed_at_once_while_deletions_hang() {
    let (live, store, faults) = live(Duration::from_hours(1));
    let mut ids = sessions(&store, 100).await;
    let last = ids.pop().unwrap();
    let socket = Arc::<PlainSocket>::default();
    let _tab = live.admit(&last, socket.clone()).await.unwrap();
    faults.on(Call::Delete, Fault::Hang);
    let ends = ids.iter().map(|id| live.end_by_id(id));
    assert!(join_all(ends).await.iter().all(Result::is_err));
    // The first retries are under way.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(store.delete(&last).await.unwrap());
    let began = tokio::time::Instant::now();
    while !socket.is_gone() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let took = began.elapsed();
    assert!(took < Duration::from_millis(200), "it took {took:?}");
}
