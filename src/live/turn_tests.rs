//! Writes, their turn at the store, and what comes in between.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;

use super::{
    Disconnect, EndReason,
    model_tests::sockets::PlainSocket,
    tests_support::{At, SlowStore, id, live, node, sessions, tab},
};
use crate::{
    store::{Saved, SessionStore as _},
    testing::{Call, Fault},
};

const ROUNDS: usize = 60;

/// Another node saves while the answer of a save is under way. The load of the newer data comes after
/// the answer was taken in, and not before.
#[test]
fn what_a_node_knows_does_not_go_back_when_a_load_follows_a_save() {
    let back = threads().block_on(async {
        let store = SlowStore::new(true);
        store.delay(At::AfterSave, Duration::from_millis(2));
        let live = node(&store);
        let id = id("one");
        store.insert(&id, 0).await;
        let tab = tab(&live, &id).await;
        let mut back = 0;
        for _ in 0..ROUNDS {
            let view = tab.view();
            let update = {
                let (live, view) = (live.clone(), view.clone());
                // On a thread outside of the runtime's workers, which run one task after the other.
                let runtime = tokio::runtime::Handle::current();
                tokio::task::spawn_blocking(move || {
                    let add = |data: &mut u32| {
                        *data += 1;
                        Ok::<_, ()>(())
                    };
                    assert!(runtime.block_on(live.update(&view, add)).is_ok());
                })
            };
            // Another node saves while the answer of our save is under way; its report is here at once.
            let newest = loop {
                let record = store.memory.load(&id).await.unwrap().unwrap();
                if *record.data > *view.snapshot.data {
                    let data = *record.data + 1;
                    let saved = store.memory.save(&id, &data, &record.revision).await;
                    let _: Saved = saved.unwrap();
                    break data;
                }
                tokio::task::yield_now().await;
            };
            update.await.unwrap();
            // Until the check that the report has led to is over.
            tokio::time::sleep(Duration::from_millis(3)).await;
            if *tab.view().snapshot.data != newest {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            if *tab.view().snapshot.data != newest {
                back += 1;
                let resolved = live.resolve(&id).await.unwrap();
                assert_ne!(*resolved.snapshot.data, newest, "and it counts as fresh");
                live.reload(&tab.view()).await.unwrap();
            }
            assert_eq!(*tab.view().snapshot.data, newest);
        }
        back
    });
    assert_eq!(back, 0, "times that the older data stayed, of {ROUNDS}");
}

/// The report of the rename leads to a check, which waits for the turn. Should it find the old id gone
/// before the rotation has taken in its answer, the rotation would take that for a logout.
#[test]
fn a_rotation_is_not_undone_by_the_check_that_its_own_report_leads_to() {
    let undone = threads().block_on(async {
        let store = SlowStore::new(true);
        // The report is here before the answer.
        store.delay(At::AfterRename, Duration::from_millis(1));
        let live = node(&store);
        let mut undone = 0;
        for round in 0..ROUNDS * 10 {
            let (old, new) = (id(&format!("old-{round}")), id(&format!("new-{round}")));
            store.insert(&old, 0).await;
            let tab = tab(&live, &old).await;
            let rotated = live.rotate(&tab.view(), &new, Disconnect::later()).await;
            undone += usize::from(rotated.is_err());
            assert_eq!(tab.end_reason(), Some(EndReason::Rotated));
        }
        undone
    });
    assert_eq!(undone, 0, "rotations that ended the session");
}

#[tokio::test(start_paused = true)]
async fn touches_at_a_store_that_hangs_are_bounded_in_time() {
    let (live, store, faults) = live(Duration::from_hours(1));
    let ids = sessions(&store, 1).await;
    let view = live.resolve(&ids[0]).await.unwrap();
    faults.on(Call::Touch, Fault::Hang);
    let began = tokio::time::Instant::now();
    let touches = (0..100).map(|_| live.touch(&view, None));
    let all = join_all(touches).await;
    assert!(all.iter().all(Result::is_err));
    let took = began.elapsed();
    assert!(took < Duration::from_secs(10), "the last one took {took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_tab_is_admitted_while_touches_hang() {
    let (live, store, faults) = live(Duration::from_hours(1));
    let ids = sessions(&store, 1).await;
    let view = live.resolve(&ids[0]).await.unwrap();
    faults.on(Call::Touch, Fault::Hang);
    let touches: Vec<_> = (0..10)
        .map(|_| {
            let (live, view) = (live.clone(), view.clone());
            tokio::spawn(async move { drop(live.touch(&view, None).await) })
        })
        .collect();
    tokio::task::yield_now().await;
    // The snapshot is stale.
    let record = store.load(&ids[0]).await.unwrap().unwrap();
    let _: Saved = store.save(&ids[0], &7, &record.revision).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    let admitted = live.admit(&ids[0], Arc::<PlainSocket>::default()).await;
    assert!(admitted.is_ok(), "{:?}", admitted.err());
    for touch in touches {
        touch.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn rotations_at_a_store_that_hangs_are_bounded_in_time() {
    let (live, store, faults) = live(Duration::from_hours(1));
    let ids = sessions(&store, 1).await;
    let view = live.resolve(&ids[0]).await.unwrap();
    faults.on(Call::Rename, Fault::Hang);
    let began = tokio::time::Instant::now();
    let new: Vec<_> = (0..50).map(|n| id(&format!("new-{n}"))).collect();
    let rotations = new
        .iter()
        .map(|new| live.rotate(&view, new, Disconnect::later()));
    let rotated = join_all(rotations).await;
    assert!(rotated.iter().all(Result::is_err));
    let took = began.elapsed();
    assert!(took < Duration::from_secs(10), "the last one took {took:?}");
}

/// The end deletes every id that the session had.
#[tokio::test(start_paused = true)]
async fn an_end_by_a_handle_from_before_many_rotations_is_bounded_in_time() {
    let (live, store, faults) = live(Duration::from_hours(1));
    let ids = sessions(&store, 1).await;
    let first = live.resolve(&ids[0]).await.unwrap();
    let mut last = first.clone();
    for n in 0..100 {
        let new = id(&format!("new-{n}"));
        last = live.rotate(&last, &new, Disconnect::later()).await.unwrap();
    }
    faults.on(Call::Delete, Fault::Hang);
    let began = tokio::time::Instant::now();
    assert!(live.end(&first.entry).await.is_err());
    let took = began.elapsed();
    assert!(took < Duration::from_secs(10), "it took {took:?}");
}

fn threads() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .unwrap()
}
