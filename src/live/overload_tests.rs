//! The behavior of a worker that has more to check than its store can answer.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    LiveSessions, LoadError,
    model_tests::sockets::PlainSocket,
    tests_support::{end, live},
};
use crate::{
    id::SessionId,
    store::{Created, MemoryStore, SessionStore as _, StoreErrorKind},
    testing::{Call, Fault, Faults},
};

/// 5,000 live sessions on a store that answers a load after half a second: 64 loads a second are
/// possible, and 83 are wanted.
struct Overloaded {
    live: LiveSessions<u32>,
    store: MemoryStore<u32>,
    faults: Faults,
    ids: Vec<SessionId>,
    tabs: Vec<super::Attachment<u32>>,
}

async fn overloaded(ttl: Duration) -> Overloaded {
    let (live, store, faults) = live(Duration::from_mins(1));
    let mut ids = Vec::new();
    let mut tabs = Vec::new();
    for n in 0..5_000 {
        let id: SessionId = format!("id-{n}").parse().unwrap();
        let created = store.create(&id, &0, ttl).await.unwrap();
        assert!(matches!(created, Created::Created(_)));
        let tab = live.admit(&id, Arc::<PlainSocket>::default()).await;
        tabs.push(tab.unwrap());
        ids.push(id);
    }
    faults.on(Call::Load, Fault::Delay(Duration::from_millis(500)));
    tokio::time::sleep(Duration::from_mins(5)).await;
    Overloaded {
        live,
        store,
        faults,
        ids,
        tabs,
    }
}

#[tokio::test(start_paused = true)]
async fn reports_and_deletions_and_touches_are_not_delayed_by_periodic_checks() {
    let node = overloaded(Duration::from_hours(10)).await;
    let waiting = node.live.core().leftovers();
    assert!(waiting != super::core::Leftovers::default());
    // A logout on another node.
    let began = Instant::now();
    assert!(node.store.delete(&node.ids[0]).await.unwrap());
    while node.tabs[0].end_reason().is_none() {
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "a logout elsewhere"
        );
    }
    // A retried deletion.
    node.faults
        .on(Call::Delete, Fault::Error(StoreErrorKind::Unavailable));
    end(&node.live, &node.ids[1]).await.unwrap_err();
    node.faults
        .on(Call::Delete, Fault::Delay(Duration::from_millis(1)));
    let began = Instant::now();
    while node.live.owed_count() > 0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "a retried deletion"
        );
    }
}

/// A session that expired in the store is not admitted because the check of its deadline waits.
#[tokio::test(start_paused = true)]
async fn an_expired_session_is_refused_while_the_worker_is_overloaded() {
    let node = overloaded(Duration::from_mins(6)).await;
    let expired = Instant::now() + Duration::from_mins(1) + Duration::from_millis(1);
    tokio::time::sleep_until(expired).await;
    for id in node.ids.iter().step_by(500) {
        let refused = node.live.resolve(id).await;
        assert!(matches!(refused, Err(LoadError::NotFound)), "{id:?}");
    }
    // All deadlines come at once, and each session has ended a second after its own.
    tokio::time::sleep_until(expired + Duration::from_secs(1)).await;
    assert_eq!(node.live.session_count(), 0);
}
