//! Ends that meet slow lookups, dropped callers and other threads.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{
    sync::{Arc, Barrier},
    time::{Duration, Instant},
};

use tokio::time::{sleep, timeout};

use super::{
    Disconnect,
    model_tests::sockets::PlainSocket,
    tests_support::{At, DAY, SlowStore, id, live, node, node_with, runtime, sessions, tab},
};

/// The load and the lookup of the reason take more time together than one store call may.
#[tokio::test(start_paused = true)]
async fn a_slow_lookup_of_the_reason_delays_no_end_for_long() {
    let (store, id) = (SlowStore::new(true), id("an-id"));
    let live = node(&store);
    store.insert(&id, 0).await;
    let tab = tab(&live, &id).await;
    store.delay(At::BeforeLoad, Duration::from_millis(1_200));
    store.delay(At::WasReplaced, Duration::from_millis(1_200));
    store.remove(&id).await;
    sleep(Duration::from_secs(40)).await;
    assert!(tab.end_reason().is_some(), "{} loads", store.loads());
}

#[tokio::test(start_paused = true)]
async fn a_report_during_the_load_of_a_request_counts_for_a_socket_that_shares_the_load() {
    let (store, id) = (SlowStore::new(true), id("an-id"));
    let live = node_with(&store, |config| config.revalidate_every = DAY);
    store.insert(&id, 0).await;
    live.ensure_worker();
    store.delay(At::AfterLoad, Duration::from_millis(500));
    let request = {
        let (live, id) = (live.clone(), id.clone());
        tokio::spawn(async move { drop(live.resolve(&id).await) })
    };
    sleep(Duration::from_millis(100)).await;
    assert_eq!(store.loads(), 1);
    store.remove(&id).await;
    // The report is read meanwhile.
    sleep(Duration::from_millis(100)).await;
    let admitted = live.admit(&id, Arc::<PlainSocket>::default()).await;
    request.await.unwrap();
    sleep(Duration::from_mins(1)).await;
    if let Ok(tab) = admitted {
        assert!(tab.end_reason().is_some(), "live after the report");
    }
}

#[tokio::test(start_paused = true)]
async fn failed_checks_of_earlier_sockets_end_no_session_that_is_watched_again() {
    let (store, id) = (SlowStore::new(true), id("an-id"));
    let live = node(&store);
    store.insert(&id, 0).await;
    let first = tab(&live, &id).await;
    // A handle keeps what is known of the session.
    let _handle = first.view();
    store.set_down(true);
    store.change(&id, 1).await;
    sleep(Duration::from_secs(2)).await;
    drop(first);
    store.set_down(false);
    store.delay(At::BeforeLoad, Duration::from_millis(5));
    sleep(live.config().max_stale * 2).await;
    let again = live.admit(&id, Arc::<PlainSocket>::default()).await;
    assert_eq!(again.unwrap().end_reason(), None);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_session_that_was_created_during_a_lookup_wakes_its_waiters() {
    let (store, id) = (SlowStore::new(true), id("an-id"));
    let live = node(&store);
    store.delay(At::AfterLoad, Duration::from_millis(300));
    let early = {
        let (live, id) = (live.clone(), id.clone());
        tokio::spawn(async move { drop(live.resolve(&id).await) })
    };
    sleep(Duration::from_millis(100)).await;
    assert_eq!(store.loads(), 1);
    let view = live.create(&id, 0, DAY).await.unwrap().unwrap();
    early.await.unwrap();
    store.remove(&id).await;
    sleep(Duration::from_secs(1)).await;
    let ended = timeout(Duration::from_mins(10), live.ended(&view, None)).await;
    assert!(ended.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_record_that_another_program_writes_again_after_its_end_is_not_admitted() {
    let (store, id) = (SlowStore::new(true), id("an-id"));
    let live = node_with(&store, |config| config.foreign_records = true);
    store.insert(&id, 0).await;
    let view = live.resolve(&id).await.unwrap();
    live.end(&view.entry).await.unwrap();
    drop(view);
    sleep(Duration::from_millis(100)).await;
    store.insert(&id, 0).await;
    let admitted = live.admit(&id, Arc::<PlainSocket>::default()).await;
    assert!(admitted.is_err());
}

/// The report of the deletion repeats it, and the store answers then that there is no such session.
#[tokio::test(start_paused = true)]
async fn a_record_that_was_never_loaded_here_is_not_admitted_again_either() {
    let (store, id) = (SlowStore::new(true), id("an-id"));
    let live = node_with(&store, |config| config.foreign_records = true);
    store.insert(&id, 0).await;
    live.end_by_id(&id).await.unwrap();
    for _ in 0..3 {
        sleep(Duration::from_secs(15)).await;
        store.insert(&id, 0).await;
        assert!(
            live.admit(&id, Arc::<PlainSocket>::default())
                .await
                .is_err()
        );
        sleep(Duration::from_secs(1)).await;
        assert!(!store.has(&id).await);
    }
}

/// Clients can make up the ids of plain cookies.
#[tokio::test(start_paused = true)]
async fn an_end_of_an_id_without_a_session_guards_nothing() {
    let (store, id) = (SlowStore::new(true), id("an-id"));
    let live = node_with(&store, |config| config.foreign_records = true);
    live.end_by_id(&id).await.unwrap();
    assert_eq!(store.loads(), 0);
    store.insert(&id, 0).await;
    assert!(live.admit(&id, Arc::<PlainSocket>::default()).await.is_ok());
    sleep(Duration::from_mins(1)).await;
    assert!(store.has(&id).await);
}

#[tokio::test(start_paused = true)]
async fn a_replaced_session_ends_at_once_also_when_its_caller_is_gone() {
    let (store, id, new) = (SlowStore::new(true), id("an-id"), id("another-id"));
    let live = node(&store);
    store.insert(&id, 0).await;
    let tab = tab(&live, &id).await;
    store.delay(At::MarkReplaced, Duration::from_millis(1_500));
    let new = live.create(&new, 0, DAY).await.unwrap().unwrap();
    let replacing = live.replace(&id, &new.entry, Disconnect::Now);
    let replaced = timeout(Duration::from_millis(100), replacing).await;
    assert!(replaced.is_err());
    assert!(tab.end_reason().is_some());
    sleep(Duration::from_mins(1)).await;
    assert!(!store.has(&id).await);
}

/// The admission that was to load it is dropped, and what remains is a caller that waits.
#[tokio::test(start_paused = true)]
async fn a_stale_session_with_a_waiter_is_loaded_though_an_admission_was_dropped() {
    let (store, id) = (SlowStore::new(true), id("an-id"));
    let live = node_with(&store, |config| config.revalidate_every = DAY);
    let view = live.create(&id, 0, DAY).await.unwrap().unwrap();
    sleep(Duration::from_secs(1)).await;
    live.core().invalidate(&view.entry);
    store.delay(At::BeforeLoad, Duration::from_millis(500));
    let admission = {
        let (live, id) = (live.clone(), id.clone());
        tokio::spawn(async move { drop(live.admit(&id, Arc::<PlainSocket>::default()).await) })
    };
    sleep(Duration::from_millis(100)).await;
    let waiter = {
        let (live, view) = (live.clone(), view.clone());
        tokio::spawn(async move { live.ended(&view, None).await })
    };
    sleep(Duration::from_millis(100)).await;
    admission.abort();
    let loads = store.loads();
    sleep(Duration::from_mins(1)).await;
    assert!(store.loads() > loads);
    waiter.abort();
}

// --- Two sessions under one id ------------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn the_handle_of_a_new_session_never_shows_an_earlier_one_of_its_id() {
    let (store, id) = (SlowStore::new(false), id("an-id"));
    let live = node(&store);
    store.insert(&id, 1).await;
    let _tab = tab(&live, &id).await;
    // Elsewhere, and not reported.
    store.remove(&id).await;
    let view = live.create(&id, 2, DAY).await.unwrap().unwrap();
    assert_eq!(*view.latest().snapshot.data, 2);
}

#[tokio::test(start_paused = true)]
async fn sockets_of_a_deleted_session_are_not_those_of_a_new_one_under_its_id() {
    let (store, id) = (SlowStore::new(false), id("an-id"));
    let live = node(&store);
    store.insert(&id, 1).await;
    let old = tab(&live, &id).await;
    store.remove(&id).await;
    let _view = live.create(&id, 2, DAY).await.unwrap().unwrap();
    sleep(Duration::from_secs(200)).await;
    assert!(old.end_reason().is_some());
}

/// A record came back after its end; an end by the old handle, which is answered with success, and an
/// admission come at the same moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn an_end_by_an_old_handle_on_another_thread_leaves_no_admission_alive() {
    const ROUNDS: u32 = 2_000;
    let store = SlowStore::new(false);
    let live = node_with(&store, |config| config.revalidate_every = DAY);
    for round in 0..ROUNDS {
        let id = id(&format!("id-{round}"));
        store.insert(&id, round).await;
        let view = live.resolve(&id).await.unwrap();
        live.end(&view.entry).await.unwrap();
        store.insert(&id, round).await;
        let barrier = Arc::new(Barrier::new(2));
        let end = {
            let (live, barrier) = (live.clone(), barrier.clone());
            tokio::spawn(async move {
                barrier.wait();
                live.end(&view.entry).await
            })
        };
        let admission = {
            let live = live.clone();
            tokio::spawn(async move {
                barrier.wait();
                live.admit(&id, Arc::<PlainSocket>::default()).await
            })
        };
        end.await.unwrap().unwrap();
        if let Ok(tab) = admission.await.unwrap() {
            assert!(tab.end_reason().is_some(), "round {round}");
        }
    }
}

/// A client shows an id before a session of it exists, as ids of an identity provider allow.
#[tokio::test(start_paused = true)]
async fn a_session_that_is_created_while_its_id_is_looked_up_goes_on() {
    let (store, id) = (SlowStore::new(true), id("an-id"));
    let live = node(&store);
    store.delay(At::AfterLoad, Duration::from_millis(500));
    let early = {
        let (live, id) = (live.clone(), id.clone());
        tokio::spawn(async move { live.resolve(&id).await.is_err() })
    };
    sleep(Duration::from_millis(100)).await;
    assert_eq!(store.loads(), 1);
    let created = live.create(&id, 7, DAY).await.unwrap().unwrap();
    assert!(early.await.unwrap());
    sleep(Duration::from_secs(2)).await;
    assert_eq!(created.end_reason(), None);
    assert_eq!(*live.resolve(&id).await.unwrap().snapshot.data, 7);
}

/// A logout by a job with a runtime of its own, which ends with the call.
#[test]
fn an_end_from_a_short_lived_runtime_disconnects_the_sockets() {
    let server = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let (live, socket, id) = server.block_on(async {
        let (live, store, _) = live(Duration::from_hours(1));
        let ids = sessions(&store, 1).await;
        let socket = Arc::<PlainSocket>::default();
        let tab = live.admit(&ids[0], socket.clone()).await.unwrap();
        std::mem::forget(tab);
        (live, socket, ids[0].clone())
    });
    std::thread::spawn({
        let live = live.clone();
        move || runtime().block_on(live.end_by_id(&id)).unwrap()
    })
    .join()
    .unwrap();
    let began = Instant::now();
    while !socket.is_gone() && began.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(socket.is_gone(), "the socket of an ended session");
}
