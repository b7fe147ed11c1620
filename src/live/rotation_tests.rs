//! Handles from before a rotation, and rotations on other nodes.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use super::{
    Disconnect, EndReason,
    tests_support::{DAY, SlowStore, id, node, tab},
};

/// No handle of the later ids is held, so that nothing but the first one leads to them.
#[tokio::test(start_paused = true)]
async fn an_end_by_the_first_handle_after_two_rotations_ends_the_session() {
    let store = SlowStore::new(true);
    let live = node(&store);
    let (second, third) = (id("the-second"), id("the-third"));
    let view = live.create(&id("the-first"), 0, DAY).await.unwrap();
    let first = view.unwrap();
    let rotated = live.rotate(&first, &second, Disconnect::Now).await.unwrap();
    drop(
        live.rotate(&rotated, &third, Disconnect::Now)
            .await
            .unwrap(),
    );
    drop(rotated);
    assert!(store.has(&third).await);
    live.end(&first.entry).await.unwrap();
    assert!(!store.has(&third).await);
}

#[tokio::test(start_paused = true)]
async fn a_touch_that_finds_no_session_because_another_node_rotated_it_ends_it_as_rotated() {
    let (store, id, new) = (SlowStore::new(false), id("the-old"), id("the-new"));
    let (here, there) = (node(&store), node(&store));
    let view = here.create(&id, 0, DAY).await.unwrap().unwrap();
    let tab = tab(&here, &id).await;
    let seen_there = there.resolve(&id).await.unwrap();
    let rotated = there.rotate(&seen_there, &new, Disconnect::Now).await;
    assert!(rotated.is_ok());
    assert!(here.touch(&view, None).await.is_err());
    assert_eq!(tab.end_reason(), Some(EndReason::Rotated));
}
