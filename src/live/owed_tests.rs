//! Retries of deletions that the store has not confirmed.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::time::{Instant, sleep};

use super::{
    LoadError,
    model_tests::sockets::PlainSocket,
    tests_support::{At, SlowStore, end, id, live, node, runtime, sessions},
};
use crate::{
    id::SessionId,
    store::{Created, SessionStore as _, StoreErrorKind},
    testing::{Call, Fault},
};

#[tokio::test(start_paused = true)]
async fn retries_of_owed_deletions_queue_each_of_them_once() {
    const OWED: usize = 2_000;
    let store = SlowStore::new(true);
    let live = node(&store);
    // Longer than the timeout of the call.
    store.delay(At::Delete, Duration::from_hours(1));
    let ends = (0..OWED).map(|n| {
        let live = live.clone();
        tokio::spawn(async move { live.end_by_id(&id(&format!("id-{n}"))).await })
    });
    for ended in join_all(ends).await {
        assert!(ended.unwrap().is_err());
    }
    assert_eq!(live.owed_count(), OWED);
    for _ in 0..10 {
        sleep(Duration::from_mins(1)).await;
        let queued = live.core().queue.len();
        assert!(queued <= OWED, "{queued} jobs");
    }
}

/// Whether the store refused it at once or after a while.
#[tokio::test(start_paused = true)]
async fn the_first_retry_of_a_deletion_comes_within_half_a_second() {
    for answers_after in [Duration::ZERO, Duration::from_millis(50)] {
        let store = SlowStore::new(true);
        let live = node(&store);
        store.delay(At::Delete, answers_after);
        store.set_down(true);
        let began = Instant::now();
        assert!(live.end_by_id(&id("an-id")).await.is_err());
        store.set_down(false);
        assert_eq!(live.owed_count(), 1);
        while live.owed_count() > 0 {
            sleep(Duration::from_millis(10)).await;
        }
        let took = began.elapsed();
        assert!(took < Duration::from_millis(500), "{took:?}");
    }
}

/// However long a session lives, and however little this node knows of it: its deletion is retried
/// until the store has answered, and the id is refused until then.
#[tokio::test(start_paused = true)]
async fn a_deletion_is_owed_until_the_store_answers_it() {
    const MONTH: Duration = Duration::from_hours(24 * 30);
    for (ttl, is_known) in [
        (Duration::MAX, true),
        (Duration::MAX, false),
        (MONTH, true),
        (MONTH, false),
    ] {
        let (live, store, faults) = live(Duration::from_mins(1));
        let id: SessionId = "remember-me".parse().unwrap();
        let created = store.create(&id, &0, ttl).await.unwrap();
        assert!(matches!(created, Created::Created(_)));
        live.ensure_worker();
        let mut tab = None;
        if is_known {
            let admitted = live.admit(&id, Arc::<PlainSocket>::default()).await;
            tab = Some(admitted.unwrap());
        }
        faults.on(Call::Delete, Fault::Error(StoreErrorKind::Unavailable));
        end(&live, &id).await.unwrap_err();
        drop(tab);
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_hours(24)).await;
            let refused = live.resolve(&id).await;
            assert!(
                matches!(refused, Err(LoadError::NotFound)),
                "{ttl:?} {is_known}"
            );
        }
        // With a bounded backoff: a retry every half minute at most, and at least.
        let calls = faults.calls(Call::Delete);
        assert!((20_000..30_000).contains(&calls), "{calls} deletions");
        faults.clear();
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert!(store.load(&id).await.unwrap().is_none());
        assert_eq!(live.core().leftovers(), super::core::Leftovers::default());
    }
}

/// A store that can't be reached is not asked fifty times for one session that was ended fifty times.
#[tokio::test(start_paused = true)]
async fn one_deletion_is_owed_for_an_id_however_often_it_is_ended() {
    let (live, store, faults) = live(Duration::from_mins(1));
    let ids = sessions(&store, 1).await;
    faults.on(Call::Delete, Fault::Error(StoreErrorKind::Unavailable));
    for _ in 0..50 {
        end(&live, &ids[0]).await.unwrap_err();
    }
    assert_eq!(live.owed_count(), 1);
    tokio::time::sleep(Duration::from_mins(5)).await;
    let retries = faults.calls(Call::Delete) - 50;
    assert!(retries < 30, "{retries} retries");
    faults.clear();
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(live.owed_count(), 0);
}

/// The caller of `end` is gone, and so is the runtime of the worker that made the retry.
#[test]
fn an_owed_deletion_outlives_the_runtime_of_the_worker() {
    let (live, store, faults) = live(Duration::from_hours(1));
    let first = runtime();
    let id = first.block_on(async {
        let id = sessions(&store, 1).await.remove(0);
        live.ensure_worker();
        faults.on(Call::Delete, Fault::Hang);
        let ended = tokio::time::timeout(Duration::from_millis(20), end(&live, &id)).await;
        assert!(ended.is_err());
        // The retry, after the time that the first attempt may take.
        let retried = async {
            while faults.calls(Call::Delete) < 2 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let retried = tokio::time::timeout(Duration::from_secs(10), retried).await;
        retried.expect("it is retried");
        id
    });
    drop(first);
    faults.clear();
    runtime().block_on(async {
        assert!(
            live.resolve(&id).await.is_err(),
            "refused until it is deleted"
        );
        let deleted = async {
            while live.owed_count() > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let deleted = tokio::time::timeout(Duration::from_secs(10), deleted).await;
        deleted.expect("it is deleted");
        assert!(store.load(&id).await.unwrap().is_none());
    });
}
