//! The number of touches of a used session that reach the store, whatever it answers.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::{Instant, sleep};

use super::{
    Config, LiveSessions, TouchEvery,
    tests_support::{SlowStore, TouchAnswer, id, node_with, tab},
};
use crate::{
    id::SessionId,
    store::{SessionStore as _, StoreErrorKind},
};

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

/// Sessions that live for an hour, and are touched every five minutes by being connected, too.
fn live(store: &Arc<SlowStore>, set: impl FnOnce(&mut Config<u32>)) -> LiveSessions<u32> {
    node_with(store, |config| {
        config.ttl = HOUR;
        config.touch_every = Some(TouchEvery {
            set: None,
            while_connected: true,
        });
        set(config);
    })
}

async fn created(store: &SlowStore, life: Duration) -> SessionId {
    let id = id("an-id");
    drop(store.memory.create(&id, &0, life).await.unwrap());
    id
}

/// Uses the session for this time, ten times a second. Returns the number of touches.
async fn used_for(
    live: &LiveSessions<u32>,
    store: &SlowStore,
    id: &SessionId,
    time: Duration,
) -> usize {
    let before = store.touches();
    let began = Instant::now();
    while began.elapsed() < time {
        if let Ok(view) = live.resolve(id).await {
            live.used(&view);
        }
        sleep(Duration::from_millis(100)).await;
    }
    store.touches() - before
}

#[tokio::test(start_paused = true)]
async fn being_connected_and_being_used_is_one_touch_per_interval() {
    let store = SlowStore::new(true);
    let live = live(&store, |_| ());
    let id = created(&store, HOUR).await;
    let _tab = tab(&live, &id).await;
    let touches = used_for(&live, &store, &id, HOUR * 2).await;
    assert!((23..=24).contains(&touches), "{touches}");
}

/// As with a record of Express whose cookie lives for a minute.
#[tokio::test(start_paused = true)]
async fn a_life_that_another_program_keeps_short_is_touched_every_tenth_of_it() {
    let store = SlowStore::new(true);
    store.set_touch(TouchAnswer::Caps(MINUTE));
    let live = live(&store, |_| ());
    let id = created(&store, MINUTE).await;
    let tab = tab(&live, &id).await;
    let touches = used_for(&live, &store, &id, MINUTE * 10).await;
    assert!((95..=101).contains(&touches), "{touches}");
    assert_eq!(tab.end_reason(), None);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_extends_nothing_is_not_called_faster_and_faster() {
    let store = SlowStore::new(true);
    store.set_touch(TouchAnswer::Nothing);
    let live = live(&store, |_| ());
    let id = created(&store, MINUTE).await;
    let tab = tab(&live, &id).await;
    let touches = used_for(&live, &store, &id, MINUTE * 2).await;
    // Of a minute, every tenth of what is left, but ten in a second at most.
    assert!(touches <= 60, "{touches}");
    assert!(tab.end_reason().is_some());
}

#[tokio::test(start_paused = true)]
async fn touches_end_at_the_absolute_end() {
    let store = SlowStore::new(true);
    let latest = SystemTime::now() + MINUTE * 20;
    let live = live(&store, |config| {
        config.max_lifetime = Some(Arc::new(move |_| Some(latest)));
    });
    let id = created(&store, MINUTE * 2).await;
    let tab = tab(&live, &id).await;
    // The clock of the wall does not follow the one of the test.
    let touches = used_for(&live, &store, &id, MINUTE * 5).await;
    assert!((1..=2).contains(&touches), "{touches}");
    assert_eq!(tab.end_reason(), None);
    let stored = store.memory.load(&id).await.unwrap().unwrap();
    assert!(stored.ttl.unwrap() <= MINUTE * 20, "{:?}", stored.ttl);
}

#[tokio::test(start_paused = true)]
async fn a_failed_touch_is_retried_once_a_second() {
    let store = SlowStore::new(true);
    store.set_touch(TouchAnswer::Fails(StoreErrorKind::Unavailable));
    let live = live(&store, |_| ());
    let id = created(&store, MINUTE * 2).await;
    let _tab = tab(&live, &id).await;
    let touches = used_for(&live, &store, &id, MINUTE).await;
    assert!((50..=62).contains(&touches), "{touches}");
    store.set_touch(TouchAnswer::Extends);
    let touches = used_for(&live, &store, &id, MINUTE).await;
    assert_eq!(touches, 1);
}

#[tokio::test(start_paused = true)]
async fn a_touch_that_the_store_does_not_support_is_never_retried() {
    let store = SlowStore::new(true);
    store.set_touch(TouchAnswer::Fails(StoreErrorKind::Unsupported));
    let live = live(&store, |_| ());
    let id = created(&store, MINUTE * 2).await;
    let _tab = tab(&live, &id).await;
    let touches = used_for(&live, &store, &id, MINUTE).await;
    assert_eq!(touches, 1);
}
