//! The number of calls of the store, and the load under which nothing starves.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;

use super::{
    EndReason, LiveSessions, LiveSocket, LoadError, Presence, Seat, UpdateError, View,
    core::MAX_COLD_LOADS,
    model_tests::{config, sockets::PlainSocket},
    tests_support::{At, SlowStore, end, id, live, live_with_timeout, node, runtime, sessions},
};
use crate::{
    store::{GuardedStore, MemoryStore, Saved, SessionStore as _},
    testing::{Call, Fault, FaultyStore},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_reconnects_over_a_thousand_sessions_are_a_thousand_loads() {
    // A busy machine takes seconds for it.
    let timeout = Duration::from_secs(30);
    let (live, store, faults) = live_with_timeout(Duration::from_hours(1), timeout, |_| ());
    let ids = sessions(&store, 1_000).await;
    // As `build` does it.
    live.ensure_worker();
    // A load takes its time, so that others come while it is under way.
    faults.on(Call::Load, Fault::Delay(Duration::from_millis(5)));
    let reconnects = (0..10_000).map(|n| {
        let (live, id) = (live.clone(), ids[(n * 7) % ids.len()].clone());
        tokio::spawn(async move { live.admit(&id, Arc::<PlainSocket>::default()).await })
    });
    let attachments: Vec<_> = join_all(reconnects)
        .await
        .into_iter()
        .map(|admitted| admitted.unwrap().expect("it is admitted"))
        .collect();
    assert_eq!(faults.calls(Call::Load), 1_000);
    assert_eq!((live.session_count(), live.socket_count()), (1_000, 10_000));
    drop(attachments);
    assert_eq!(live.session_count(), 0);
}

/// Each of the ids has two tabs at once, which make its entry a watched one. A load under way is shared, but
/// a client can name as many dead ids as it likes.
#[tokio::test(start_paused = true)]
async fn loads_of_ids_that_are_not_known_here_are_limited_however_many_tabs_name_them() {
    let store = SlowStore::new(true);
    let live = node(&store);
    live.ensure_worker();
    store.delay(At::BeforeLoad, Duration::from_millis(500));
    let entries: Vec<_> = (0..=MAX_COLD_LOADS)
        .map(|nth| live.core().entry(&id(&format!("dead-{nth}"))))
        .collect();
    let far = tokio::time::Instant::now() + Duration::from_hours(1);
    let turns = join_all(entries.iter().map(|entry| entry.take_turn(far))).await;
    let tabs: Vec<_> = [&entries, &entries]
        .into_iter()
        .flatten()
        .map(|entry| {
            let (live, id) = (live.clone(), entry.id().clone());
            tokio::spawn(async move { live.admit(&id, Arc::<PlainSocket>::default()).await.err() })
        })
        .collect();
    // Both tabs of each are attached before the first load begins.
    tokio::time::sleep(Duration::from_millis(1)).await;
    drop(turns);
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(store.loads(), MAX_COLD_LOADS);
    for refused in join_all(tabs).await {
        assert!(matches!(refused.unwrap(), Some(LoadError::NotFound)));
    }
    assert_eq!(store.loads(), MAX_COLD_LOADS + 1);
}

#[tokio::test(start_paused = true)]
async fn a_shared_load_survives_the_caller_that_began_it() {
    let (live, store, faults) = live(Duration::from_hours(1));
    let ids = sessions(&store, 1).await;
    // The worker subscribes with the first socket.
    drop(
        live.admit(&ids[0], Arc::<PlainSocket>::default())
            .await
            .unwrap(),
    );
    faults.on(Call::Load, Fault::Delay(Duration::from_secs(1)));
    let loads = faults.calls(Call::Load);
    let first = {
        let (live, id) = (live.clone(), ids[0].clone());
        tokio::spawn(async move { live.admit(&id, Arc::<PlainSocket>::default()).await })
    };
    let second = {
        let (live, id) = (live.clone(), ids[0].clone());
        tokio::spawn(async move { live.admit(&id, Arc::<PlainSocket>::default()).await })
    };
    tokio::time::sleep(Duration::from_millis(500)).await;
    first.abort();
    assert!(first.await.is_err_and(|error| error.is_cancelled()));
    // The next waiter begins a load of its own; the worker may make one because the first was dropped.
    assert!(second.await.unwrap().is_ok());
    let loads = faults.calls(Call::Load) - loads;
    assert!((2..=3).contains(&loads), "{loads} loads");
}

/// Everything works with a session that another node changes during each load, and its end is found.
#[tokio::test(start_paused = true)]
async fn a_session_that_is_changed_without_pause_is_as_usable_as_any() {
    let (live, store, faults) = live(Duration::from_hours(1));
    let ids = sessions(&store, 1).await;
    let tab = live.admit(&ids[0], Arc::<PlainSocket>::default());
    let tab = tab.await.unwrap();
    faults.on(Call::Load, Fault::Delay(Duration::from_millis(50)));
    let changing = {
        let (id, store) = (ids[0].clone(), store.clone());
        tokio::spawn(async move {
            loop {
                let record = store.load(&id).await.unwrap().unwrap();
                let data = *record.data + 1;
                let saved = store.save(&id, &data, &record.revision).await.unwrap();
                assert!(matches!(saved, Saved::Saved(_)));
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
    };
    for _ in 0..20 {
        let another = live.admit(&ids[0], Arc::<PlainSocket>::default()).await;
        drop(another.unwrap());
        let view = live.resolve(&ids[0]).await.unwrap();
        assert!(live.reload(&view).await.is_ok());
    }
    // The snapshot follows the changes, as fast as the store answers.
    let now = *store.load(&ids[0]).await.unwrap().unwrap().data;
    let known = *tab.view().snapshot.data;
    assert!(now > 100 && known + 20 > now, "{known} of {now}");
    changing.abort();
    let _ = changing.await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let settled = store.load(&ids[0]).await.unwrap().unwrap();
    assert_eq!(tab.view().snapshot.data, settled.data);
    store.delete(&ids[0]).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(tab.end_reason().is_some());
}

async fn add_one(live: &LiveSessions<u32>, view: &View<u32>) -> Result<(), UpdateError> {
    let updated = live.update(view, |data| {
        *data += 1;
        Ok::<_, UpdateError>(())
    });
    updated.await.map(|_| ()).map_err(|error| match error {
        super::TryUpdateError::Refused(error) | super::TryUpdateError::Update(error) => error,
    })
}

/// Of two nodes that change one session at the same time, each gets its turn.
#[tokio::test(start_paused = true)]
async fn updates_from_two_nodes_at_the_same_time_are_all_made() {
    let store = MemoryStore::new();
    let ids = sessions(&store, 1).await;
    let nodes = [(); 2].map(|()| {
        let (slow, faults) = FaultyStore::new(store.clone());
        for call in [Call::Load, Call::Save] {
            faults.on(call, Fault::Delay(Duration::from_millis(2)));
        }
        let store = GuardedStore::new(Arc::new(slow), Duration::from_secs(2));
        let hour = Duration::from_hours(1);
        LiveSessions::new(store, config(hour, hour))
    });
    let mut tabs = Vec::new();
    for node in &nodes {
        let tab = node.admit(&ids[0], Arc::<PlainSocket>::default());
        tabs.push(tab.await.unwrap());
    }
    let updates = (0..100).map(|nth| {
        let (node, view) = (&nodes[nth % 2], tabs[nth % 2].view());
        async move { add_one(node, &view).await }
    });
    for updated in join_all(updates).await {
        updated.unwrap();
    }
    assert_eq!(*store.load(&ids[0]).await.unwrap().unwrap().data, 100);
}

/// The end of one among many touches its own sockets only.
#[tokio::test]
async fn an_end_touches_no_other_session() {
    struct Counted {
        asked: Arc<AtomicBool>,
    }
    impl LiveSocket for Counted {
        fn presence(&self) -> Presence {
            self.asked.store(true, Ordering::SeqCst);
            Presence::Gone
        }
        fn seat(&self) -> Option<Seat> {
            None
        }
        fn seen(&self) {}
        fn still_leaving(&self) -> bool {
            false
        }
        fn join(&self, _: String) {}
        fn join_later(&self, _: String, _: &str) {}
        fn leave_rooms(&self, _: &str) {}
        fn disconnect(&self) {}
        fn release(&self) {}
        fn end_hook(&self, _: EndReason) -> Option<Box<dyn FnOnce() + Send>> {
            None
        }
    }
    let (live, store, _) = live(Duration::from_hours(1));
    let ids = sessions(&store, 1_000).await;
    let (mine, others) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicBool::new(false)),
    );
    let mut attachments = Vec::new();
    for (n, id) in ids.iter().enumerate() {
        let asked = if n == 500 {
            mine.clone()
        } else {
            others.clone()
        };
        attachments.push(live.admit(id, Arc::new(Counted { asked })).await.unwrap());
    }
    end(&live, &ids[500]).await.unwrap();
    // Its socket is disconnected by a task of its own.
    let touched = async {
        while !mine.load(Ordering::SeqCst) {
            tokio::task::yield_now().await;
        }
    };
    let touched = tokio::time::timeout(Duration::from_secs(10), touched).await;
    touched.expect("it is disconnected");
    assert!(!others.load(Ordering::SeqCst));
}

/// A worker that died, with its runtime or by a panic, is started again and finds what happened.
#[test]
fn a_worker_whose_runtime_is_gone_is_started_again() {
    let (live, store, _) = live(Duration::from_hours(1));
    let one = runtime();
    let (ids, kept) = one.block_on(async {
        let ids = sessions(&store, 2).await;
        let kept = live
            .admit(&ids[0], Arc::<PlainSocket>::default())
            .await
            .unwrap();
        (ids, kept)
    });
    drop(one);
    let two = runtime();
    two.block_on(async {
        // No worker was there to read the report.
        store.delete(&ids[0]).await.unwrap();
        let _other = live
            .admit(&ids[1], Arc::<PlainSocket>::default())
            .await
            .unwrap();
        let ended = async {
            while kept.end_reason().is_none() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), ended)
            .await
            .expect("it was found");
    });
}

// --- A store with one odd record ----------------------------------------------------------------

fn odd(every: Duration) -> (LiveSessions<u32>, Arc<SlowStore>) {
    let store = SlowStore::new(false);
    let guarded = GuardedStore::new(store.clone(), Duration::from_secs(2));
    let live = LiveSessions::new(guarded, config(Duration::from_hours(10), every));
    (live, store)
}

/// A client whose record can't be decoded tries again and again. What its loads say is said of its
/// session alone, however rarely the others are checked.
#[tokio::test(start_paused = true)]
async fn one_undecodable_record_ends_no_other_session() {
    for every in [Duration::from_mins(1), Duration::from_mins(10)] {
        let (live, odd) = odd(every);
        let undecodable = id("undecodable");
        odd.set_undecodable(&undecodable);
        let mut tabs = Vec::new();
        for id in sessions(&odd.memory, 20).await {
            tabs.push(
                live.admit(&id, Arc::<PlainSocket>::default())
                    .await
                    .unwrap(),
            );
        }
        for _ in 0..3_000 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let socket = Arc::<PlainSocket>::default();
            let refused = live.admit(&undecodable, socket).await;
            assert!(matches!(refused, Err(LoadError::Unreadable(_))));
        }
        assert_eq!((live.session_count(), live.socket_count()), (20, 20));
    }
}

/// A session whose user loses its rights elsewhere: a load that began before that and is answered
/// later does not bring them back, also without reports.
#[tokio::test(start_paused = true)]
async fn a_load_that_is_answered_late_does_not_undo_what_was_known_after_it_began() {
    let (live, odd) = odd(Duration::from_mins(1));
    let id = sessions(&odd.memory, 1).await.remove(0);
    let tab = live
        .admit(&id, Arc::<PlainSocket>::default())
        .await
        .unwrap();
    let loads = odd.loads();
    odd.delay(At::AfterLoad, Duration::from_millis(300));
    let other = {
        let (live, id) = (live.clone(), id.clone());
        tokio::spawn(async move { live.admit(&id, Arc::<PlainSocket>::default()).await })
    };
    while odd.loads() == loads {
        tokio::task::yield_now().await;
    }
    odd.delay(At::AfterLoad, Duration::ZERO);
    odd.change(&id, 9).await;
    let reloaded = live.reload(&tab.view()).await.unwrap();
    assert_eq!(*reloaded.snapshot.data, 9);
    let _other = other.await.unwrap().unwrap();
    for _ in 0..100 {
        assert_eq!(*tab.view().snapshot.data, 9);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

// --- Nothing is left ----------------------------------------------------------------------------

#[tokio::test]
async fn clients_that_come_and_go_leave_no_timer_and_no_job() {
    let (live, store, faults) = live(Duration::from_hours(1));
    let ids = sessions(&store, 1).await;
    for _ in 0..10_000 {
        drop(
            live.admit(&ids[0], Arc::<PlainSocket>::default())
                .await
                .unwrap(),
        );
        // As long polling does it.
        let view = live.resolve(&ids[0]).await.unwrap();
        let waited = futures_util::FutureExt::now_or_never(live.changed(&view, None));
        assert!(waited.is_none());
    }
    assert_eq!(live.session_count(), 0);
    assert_eq!(live.core().leftovers().timers, 0);
    // A check that was queued holds its entry until the worker drops it.
    let dropped = async {
        while live.core().leftovers() != super::core::Leftovers::default() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let dropped = tokio::time::timeout(Duration::from_secs(10), dropped).await;
    dropped.expect("nothing is left");
    assert!(faults.calls(Call::Load) <= 20_001);
}

/// Sizes to look at when fields are added: what a live session and each further socket cost.
#[test]
fn an_entry_is_small() {
    let entry = size_of::<super::entry::Entry<()>>();
    let attachment = size_of::<super::Attachment<()>>();
    assert!(entry <= 512, "{entry} bytes an entry");
    assert!(attachment <= 64, "{attachment} bytes an attachment");
}
