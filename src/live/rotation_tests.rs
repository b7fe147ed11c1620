//! Handles from before a rotation, and rotations on other nodes.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;

use super::{
    Disconnect, EndReason, LiveSessions, View,
    core::Leftovers,
    model_tests::{config, sockets::PlainSocket},
    tests_support::{DAY, SlowStore, id, live, node, sessions, tab},
};
use crate::{
    store::{GuardedStore, MemoryStore, SessionStore as _, StoreErrorKind},
    testing::{Call, Fault},
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

#[tokio::test(start_paused = true)]
async fn a_handle_from_before_many_rotations_keeps_one_later_entry_alive() {
    let store = SlowStore::new(true);
    let live = node(&store);
    let view = live.create(&id("the-first"), 0, DAY).await.unwrap();
    let first = view.unwrap();
    let mut last = first.clone();
    for nth in 0..100 {
        let next = id(&format!("id-{nth}"));
        last = live.rotate(&last, &next, Disconnect::Now).await.unwrap();
    }
    assert_eq!(live.core().registry.len(), 2);
    assert_eq!(
        first.ids(),
        [first.entry.id().clone(), last.entry.id().clone()]
    );
    drop(last);
    live.end(&first.entry).await.unwrap();
    assert!(!store.has(&id("id-99")).await);
    drop(first);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(live.core().leftovers(), Leftovers::default());
}

/// The handle of the first id is dropped between two rotations, and that of the second is held.
#[tokio::test(start_paused = true)]
async fn a_handle_from_between_rotations_leads_to_the_last() {
    let store = SlowStore::new(true);
    let live = node(&store);
    let rotate = async |view: &View<u32>, to: &str| {
        live.rotate(view, &id(to), Disconnect::Now).await.unwrap()
    };
    let first = live.create(&id("the-first"), 0, DAY).await.unwrap();
    let first = first.unwrap();
    let second = rotate(&first, "the-second").await;
    drop(first);
    let third = rotate(&second, "the-third").await;
    let fourth = rotate(&third, "the-fourth").await;
    drop(third);
    assert_eq!(second.ids().last(), Some(fourth.entry.id()));
    assert_eq!(live.core().registry.len(), 2);
}

/// On two threads, so that the rotations may return between any two steps of the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_by_the_first_handle_at_any_moment_of_rotations_ends_the_session() {
    let store = MemoryStore::<u32>::new();
    let guarded = GuardedStore::new(Arc::new(store.clone()), Duration::from_secs(10));
    let live = LiveSessions::new(guarded, config(DAY, DAY));
    for nth in 0..5_000 {
        let first = live.create(&id(&format!("first-{nth}")), 0, DAY).await;
        let first = first.unwrap().unwrap();
        let rotating = tokio::spawn({
            let (live, mut view) = (live.clone(), first.clone());
            async move {
                for new in ["second", "third"] {
                    let new = id(&format!("{new}-{nth}"));
                    match live.rotate(&view, &new, Disconnect::Now).await {
                        Ok(rotated) => view = rotated,
                        Err(_) => return,
                    }
                }
            }
        });
        for _ in 0..fastrand::u32(..6_000) {
            std::hint::spin_loop();
        }
        live.end(&first.entry).await.unwrap();
        rotating.await.unwrap();
        assert!(store.is_empty(), "a session is left in round {nth}");
    }
}

// --- The inert sockets of a replaced session ----------------------------------------------------

/// How an end names the session after two rotations.
#[derive(Debug, Clone, Copy)]
enum End {
    ByFirstHandle,
    ByLastHandle,
    ById,
    Elsewhere,
}

#[tokio::test(start_paused = true)]
async fn an_end_after_rotations_disconnects_the_inert_sockets_at_once() {
    for end in [
        End::ByFirstHandle,
        End::ByLastHandle,
        End::ById,
        End::Elsewhere,
    ] {
        let store = SlowStore::new(true);
        let live = node(&store);
        let (second, third) = (id("the-second"), id("the-third"));
        let first = live.create(&id("the-first"), 0, DAY).await.unwrap();
        let first = first.unwrap();
        let (socket, reasons) = PlainSocket::with_end_hook();
        let old_tab = live.admit(first.entry.id(), socket.clone()).await.unwrap();
        let rotated = live.rotate(&first, &second, Disconnect::later()).await;
        let rotated = rotated.unwrap();
        let last = live.rotate(&rotated, &third, Disconnect::later()).await;
        let last = last.unwrap();
        let new_tab = tab(&live, &third).await;
        sleep(Duration::from_millis(50)).await;
        assert!(!socket.is_gone(), "{end:?}");
        match end {
            End::ByFirstHandle => live.end(&first.entry).await.unwrap(),
            End::ByLastHandle => live.end(&last.entry).await.unwrap(),
            End::ById => live.end_by_id(&third).await.unwrap(),
            End::Elsewhere => store.remove(&third).await,
        }
        sleep(Duration::from_millis(50)).await;
        assert!(socket.is_gone(), "{end:?}");
        assert_eq!(*reasons.lock(), [EndReason::Deleted], "{end:?}");
        assert_eq!(new_tab.end_reason(), Some(EndReason::Deleted));
        drop(old_tab);
    }
}

/// A sign-in, and a logout before the other tabs of the browser have come back.
#[tokio::test(start_paused = true)]
async fn an_end_of_what_replaced_a_session_disconnects_its_inert_sockets_at_once() {
    let (store, old) = (SlowStore::new(true), id("the-old"));
    let live = node(&store);
    store.insert(&old, 0).await;
    let (socket, reasons) = PlainSocket::with_end_hook();
    let _tab = live.admit(&old, socket.clone()).await.unwrap();
    let new = live.create(&id("the-new"), 0, DAY).await.unwrap().unwrap();
    let replaced = live.replace(&old, &new.entry, Disconnect::later());
    replaced.await.unwrap();
    sleep(Duration::from_millis(50)).await;
    assert!(!socket.is_gone());
    live.end(&new.entry).await.unwrap();
    sleep(Duration::from_millis(50)).await;
    assert!(socket.is_gone());
    assert_eq!(*reasons.lock(), [EndReason::Deleted]);
}

/// A second sign-in: the sockets of the first session keep their second to come back.
#[tokio::test(start_paused = true)]
async fn a_replacement_of_what_replaced_a_session_leaves_its_inert_sockets_their_time() {
    let (store, old) = (SlowStore::new(true), id("the-old"));
    let live = node(&store);
    store.insert(&old, 0).await;
    let (socket, reasons) = PlainSocket::with_end_hook();
    let _tab = live.admit(&old, socket.clone()).await.unwrap();
    let create = async |text: &str| live.create(&id(text), 0, DAY).await.unwrap().unwrap();
    let (second, third): (View<u32>, View<u32>) = (create("second").await, create("third").await);
    let replaced = live.replace(&old, &second.entry, Disconnect::later());
    replaced.await.unwrap();
    let replaced = live.replace(second.entry.id(), &third.entry, Disconnect::later());
    replaced.await.unwrap();
    sleep(Duration::from_millis(900)).await;
    assert!(!socket.is_gone());
    sleep(Duration::from_millis(200)).await;
    assert!(socket.is_gone());
    assert_eq!(*reasons.lock(), [EndReason::Rotated]);
}

// --- The mark that other nodes find ---------------------------------------------------------------

/// Whatever happens to the session afterwards looks like a rotation while there is a mark.
#[tokio::test(start_paused = true)]
async fn a_rotation_that_fails_leaves_no_mark() {
    let (here, store, faults) = live(Duration::from_mins(1));
    let [old, taken] = &sessions(&store, 2).await[..] else {
        unreachable!("two were created")
    };
    let view = here.resolve(old).await.unwrap();
    assert!(here.rotate(&view, taken, Disconnect::Now).await.is_err());
    assert!(!store.was_replaced(old).await.unwrap());
    let new = id("the-new");
    faults.on(Call::Rename, Fault::Error(StoreErrorKind::Unavailable));
    assert!(here.rotate(&view, &new, Disconnect::Now).await.is_err());
    assert!(!store.was_replaced(old).await.unwrap());
    faults.clear();
    assert!(here.rotate(&view, &new, Disconnect::Now).await.is_ok());
    assert!(store.was_replaced(old).await.unwrap());
}

/// A logout elsewhere that was not reported.
#[tokio::test(start_paused = true)]
async fn a_rotation_that_finds_no_session_ends_the_sockets_as_those_of_a_deleted_one() {
    let (store, id, new) = (SlowStore::new(false), id("the-old"), id("the-new"));
    let live = node(&store);
    store.insert(&id, 0).await;
    let (socket, reasons) = PlainSocket::with_end_hook();
    let tab = live.admit(&id, socket.clone()).await.unwrap();
    store.remove(&id).await;
    let rotated = live.rotate(&tab.view(), &new, Disconnect::later()).await;
    assert!(rotated.is_err());
    assert_eq!(tab.end_reason(), Some(EndReason::Deleted));
    sleep(Duration::from_millis(50)).await;
    assert!(socket.is_gone());
    assert_eq!(*reasons.lock(), [EndReason::Deleted]);
}
