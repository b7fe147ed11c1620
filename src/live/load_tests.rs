//! How often the store is asked.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use futures_util::future::join_all;

use super::{Config, EndReason, Live, LiveSocket, Presence, model_tests::PlainSocket};
use crate::{
    id::SessionId,
    store::{GuardedStore, MemoryStore, Saved, SessionStore},
    testing::{Call, Fault, Faults, FaultyStore},
};

fn live(every: Duration) -> (Live<u32>, MemoryStore<u32>, Faults) {
    let memory = MemoryStore::new();
    let (store, faults) = FaultyStore::new(memory.clone());
    let store = GuardedStore::new(Arc::new(store), Duration::from_secs(2));
    let live = Live::new(store, config(every), Arc::default());
    (live, memory, faults)
}

fn config(every: Duration) -> Config {
    Config {
        ttl: Duration::from_hours(1),
        revalidate_every: every,
        max_stale: Duration::from_mins(5),
        touch_every: None,
    }
}

async fn sessions(store: &MemoryStore<u32>, count: usize) -> Vec<SessionId> {
    let ids: Vec<SessionId> = (0..count)
        .map(|n| format!("id-{n}").parse().unwrap())
        .collect();
    for id in &ids {
        let created = store.create(id, &0, Duration::from_hours(1)).await.unwrap();
        assert_eq!(created, crate::store::Created::Created);
    }
    ids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_reconnects_over_a_thousand_sessions_are_a_thousand_loads() {
    let (live, store, faults) = live(Duration::from_hours(1));
    let ids = sessions(&store, 1_000).await;
    // A load takes its time, so that others come while it is under way.
    faults.on(Call::Load, Fault::Delay(Duration::from_millis(5)));
    let reconnects = (0..10_000).map(|n| {
        let (live, id) = (live.clone(), ids[(n * 7) % ids.len()].clone());
        tokio::spawn(async move { live.admit(&id, Arc::<PlainSocket>::default()).await })
    });
    let attachments: Vec<_> = join_all(reconnects)
        .await
        .into_iter()
        .map(|admitted| admitted.unwrap().expect("nobody is refused"))
        .collect();
    assert_eq!(faults.calls(Call::Load), 1_000);
    assert_eq!((live.session_count(), live.socket_count()), (1_000, 10_000));
    drop(attachments);
    assert_eq!(live.session_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_shared_load_survives_who_began_it() {
    let (live, store, faults) = live(Duration::from_hours(1));
    let ids = sessions(&store, 1).await;
    // The keeper subscribes with the first socket.
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
    assert!(second.await.unwrap().is_ok());
    assert_eq!(faults.calls(Call::Load) - loads, 1);
}

/// Everything works with a session that somebody else changes during each load, and its end is found.
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
        assert!(live.reload(&ids[0], &view).await.is_ok());
    }
    // What is known follows what is changed, as fast as the store answers.
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
        Live::new(store, config(Duration::from_hours(1)), Arc::default())
    });
    let mut tabs = Vec::new();
    for node in &nodes {
        let tab = node.admit(&ids[0], Arc::<PlainSocket>::default());
        tabs.push(tab.await.unwrap());
    }
    let updates = (0..100).map(|nth| {
        let (node, view, id) = (&nodes[nth % 2], tabs[nth % 2].view(), &ids[0]);
        async move { node.update(id, &view, |data| *data += 1).await.map(|_| ()) }
    });
    for updated in join_all(updates).await {
        updated.unwrap();
    }
    assert_eq!(*store.load(&ids[0]).await.unwrap().unwrap().data, 100);
}

/// The end of one among many touches its own sockets only.
#[tokio::test]
async fn an_end_asks_nothing_of_other_sessions() {
    struct Counted {
        asked: Arc<AtomicBool>,
    }
    impl LiveSocket for Counted {
        fn presence(&self) -> Presence {
            self.asked.store(true, std::sync::atomic::Ordering::SeqCst);
            Presence::Gone
        }
        fn seen(&self) {}
        fn leave_rooms(&self) {}
        fn disconnect(&self) {}
        fn release(&self) {}
        fn last_word(&self, _: EndReason) -> Option<crate::hook::Job> {
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
    live.end(&ids[500]).await.unwrap();
    assert!(mine.load(std::sync::atomic::Ordering::SeqCst));
    assert!(!others.load(std::sync::atomic::Ordering::SeqCst));
}

/// A keeper that died, with its runtime or by a panic, is started again and finds what happened.
#[test]
fn a_keeper_whose_runtime_is_gone_is_started_again() {
    let (live, store, _) = live(Duration::from_hours(1));
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
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
        // Nobody was there to be told.
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
