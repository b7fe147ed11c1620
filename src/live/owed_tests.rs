//! Retries of deletions that the store has not confirmed.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep};

use super::tests_support::{At, SlowStore, id, node};

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
