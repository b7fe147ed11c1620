//! Closures of the application that hang, panic or return short times.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::sleep;

use super::{
    TouchEvery,
    tests_support::{At, SlowStore, id, node_with, tab},
};

#[tokio::test(start_paused = true)]
async fn a_session_whose_verification_hangs_ends_when_it_is_too_stale() {
    let (store, id) = (SlowStore::new(true), id("an-id"));
    let hangs = Arc::new(AtomicBool::new(false));
    let live = node_with(&store, |config| {
        let hangs = hangs.clone();
        config.verify = Some(Arc::new(move |_| {
            let hangs = hangs.load(Ordering::SeqCst);
            Box::pin(async move {
                if hangs {
                    std::future::pending::<()>().await;
                }
                Ok(true)
            })
        }));
    });
    store.insert(&id, 0).await;
    let tab = tab(&live, &id).await;
    // The load itself succeeds each time.
    store.delay(At::BeforeLoad, Duration::from_millis(10));
    hangs.store(true, Ordering::SeqCst);
    sleep(live.config().max_stale * 3).await;
    assert!(tab.end_reason().is_some(), "{} loads", store.loads());
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_max_lifetime_delays_no_end_of_another_session() {
    const PANICS: u32 = 13;
    let store = SlowStore::new(true);
    let live = node_with(&store, |config| {
        config.max_lifetime = Some(Arc::new(|data| {
            assert!(*data != PANICS, "a closure of the application that panics");
            None
        }));
    });
    let (panics, other) = (id("panics"), id("other"));
    for id in [&panics, &other] {
        store.insert(id, 0).await;
    }
    let (_tab, other_tab) = (tab(&live, &panics).await, tab(&live, &other).await);
    let loads = store.loads();
    store.change(&panics, PANICS).await;
    sleep(Duration::from_secs(1)).await;
    assert!(store.loads() > loads, "the worker loaded it");
    store.remove(&other).await;
    sleep(Duration::from_secs(10)).await;
    assert!(other_tab.end_reason().is_some());
}

#[tokio::test(start_paused = true)]
async fn activity_keeps_a_session_alive_whose_lifetime_is_shorter_than_the_touch_interval() {
    const SHORT: Duration = Duration::from_mins(4);
    let (store, id) = (SlowStore::new(true), id("an-id"));
    let live = node_with(&store, |config| {
        config.touch_every = Some(TouchEvery {
            set: Some(Duration::from_mins(5)),
            while_connected: false,
        });
        config.ttl_of = Some(Arc::new(|_| SHORT));
    });
    live.create(&id, 0, SHORT).await.unwrap().unwrap();
    let tab = tab(&live, &id).await;
    for _ in 0..60 {
        sleep(Duration::from_secs(10)).await;
        assert_eq!(tab.end_reason(), None);
        live.used(&tab.view());
    }
    assert!(store.touches() > 0);
}
