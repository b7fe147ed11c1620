//! Disconnects and end hooks of retired sockets.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::sleep;

use super::{
    EndReason, LiveSocket, Presence, Seat,
    model_tests::sockets::PlainSocket,
    tests_support::{SlowStore, id, node, tab, until},
};

type Hook = Box<dyn FnOnce() + Send>;

/// A socket whose disconnect handler blocks until it is released.
struct BlockingSocket {
    socket: PlainSocket,
    is_blocking: AtomicBool,
    released: Mutex<mpsc::Receiver<()>>,
}

impl LiveSocket for BlockingSocket {
    fn presence(&self) -> Presence {
        self.socket.presence()
    }

    fn seat(&self) -> Option<Seat> {
        self.socket.seat()
    }

    fn seen(&self) {}
    fn still_leaving(&self) -> bool {
        false
    }

    fn join(&self, room: String) {
        self.socket.join(room);
    }

    fn join_later(&self, room: String, own: &str) {
        self.socket.join_later(room, own);
    }

    fn leave_rooms(&self, own: &str) {
        self.socket.leave_rooms(own);
    }

    fn disconnect(&self) {
        self.is_blocking.store(true, Ordering::SeqCst);
        self.released.lock().recv().ok();
        self.socket.disconnect();
    }

    fn release(&self) {}

    fn end_hook(&self, _: EndReason) -> Option<Hook> {
        None
    }
}

/// A user who signs in again on the same transport takes the seat of the socket before. Its disconnect
/// handler blocks, so the new one is rejected at the deadline of a call, and admitted once it ends.
#[tokio::test(start_paused = true)]
async fn a_successor_waits_for_a_disconnect_handler_until_its_deadline() {
    let (store, id) = (SlowStore::new(true), id("an-id"));
    let live = node(&store);
    store.insert(&id, 0).await;
    let (release, released) = mpsc::channel::<()>();
    let socket = Arc::new(BlockingSocket {
        socket: PlainSocket::default(),
        is_blocking: AtomicBool::new(false),
        released: Mutex::new(released),
    });
    let seat = socket.seat().unwrap();
    let tab = live.admit(&id, socket.clone()).await.unwrap();
    live.end_by_id(&id).await.unwrap();
    // A thread that blocks keeps the paused clock from going on by itself.
    while !socket.is_blocking.load(Ordering::SeqCst) {
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    let succeed = || {
        let (live, seat) = (live.clone(), seat.clone());
        tokio::spawn(async move { live.succeed(|| seat).await })
    };
    let late = [succeed(), succeed()];
    // Their time begins now.
    tokio::task::yield_now().await;
    tokio::time::advance(Duration::from_millis(1_900)).await;
    assert!(late.iter().all(|late| !late.is_finished()));
    tokio::time::advance(Duration::from_millis(200)).await;
    for late in late {
        assert!(!late.await.unwrap());
    }
    let in_time = succeed();
    drop(release);
    assert!(in_time.await.unwrap());
    drop(tab);
}

/// A socket with an end hook.
struct HookedSocket {
    socket: PlainSocket,
    make_hook: Box<dyn Fn() -> Hook + Send + Sync>,
    /// Its client does not read, so that it can't be disconnected.
    is_stuck: bool,
}

impl LiveSocket for HookedSocket {
    fn presence(&self) -> Presence {
        self.socket.presence()
    }

    fn seat(&self) -> Option<Seat> {
        self.socket.seat()
    }

    fn seen(&self) {}
    fn still_leaving(&self) -> bool {
        false
    }

    fn join(&self, room: String) {
        self.socket.join(room);
    }

    fn join_later(&self, room: String, own: &str) {
        self.socket.join_later(room, own);
    }

    fn leave_rooms(&self, own: &str) {
        self.socket.leave_rooms(own);
    }

    fn disconnect(&self) {
        if !self.is_stuck {
            self.socket.disconnect();
        }
    }

    fn release(&self) {}

    fn end_hook(&self, _: EndReason) -> Option<Hook> {
        Some((self.make_hook)())
    }
}

/// The application disconnected it several times before the end.
#[tokio::test(start_paused = true)]
async fn the_end_hook_of_a_socket_that_is_being_disconnected_runs_once_at_the_end() {
    let (store, id) = (SlowStore::new(true), id("an-id"));
    let live = node(&store);
    store.insert(&id, 0).await;
    let calls = Arc::new(AtomicUsize::new(0));
    let socket = HookedSocket {
        socket: PlainSocket::default(),
        make_hook: {
            let calls = calls.clone();
            Box::new(move || {
                let calls = calls.clone();
                Box::new(move || {
                    calls.fetch_add(1, Ordering::SeqCst);
                })
            })
        },
        is_stuck: true,
    };
    let tab = live.admit(&id, Arc::new(socket)).await.unwrap();
    for _ in 0..5 {
        live.disconnect(&tab.view().entry);
    }
    sleep(Duration::from_secs(5)).await;
    assert_eq!(calls.load(Ordering::SeqCst), 0, "the session goes on");
    live.end_by_id(&id).await.unwrap();
    until("the hook runs", || calls.load(Ordering::SeqCst) > 0).await;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn end_hooks_that_block_delay_no_disconnect_of_another_session() {
    const HOOKS: usize = 64;
    let store = SlowStore::new(true);
    let live = node(&store);
    let (hooked, plain) = (id("hooked"), id("plain"));
    for id in [&hooked, &plain] {
        store.insert(id, 0).await;
    }
    let (release, blocks) = mpsc::channel::<()>();
    let blocks = Arc::new(Mutex::new(blocks));
    let blocked = Arc::new(AtomicUsize::new(0));
    let mut tabs = Vec::new();
    for _ in 0..HOOKS {
        let (blocks, blocked) = (blocks.clone(), blocked.clone());
        let socket = HookedSocket {
            socket: PlainSocket::default(),
            make_hook: Box::new(move || {
                let (blocks, blocked) = (blocks.clone(), blocked.clone());
                Box::new(move || {
                    blocked.fetch_add(1, Ordering::SeqCst);
                    blocks.lock().recv().ok();
                })
            }),
            is_stuck: false,
        };
        tabs.push(live.admit(&hooked, Arc::new(socket)).await.unwrap());
    }
    let socket = Arc::<PlainSocket>::default();
    tabs.push(live.admit(&plain, socket.clone()).await.unwrap());
    live.end_by_id(&hooked).await.unwrap();
    until("all hooks block", || {
        blocked.load(Ordering::SeqCst) == HOOKS
    })
    .await;
    live.end_by_id(&plain).await.unwrap();
    until("it is disconnected", || socket.is_gone()).await;
    drop(release);
}

#[tokio::test]
async fn a_disconnect_from_a_thread_without_a_runtime_is_made() {
    let (store, id) = (SlowStore::new(true), id("an-id"));
    let live = node(&store);
    store.insert(&id, 0).await;
    // The worker runs from here on.
    drop(tab(&live, &id).await);
    let socket = Arc::<PlainSocket>::default();
    let tab = live.admit(&id, socket.clone()).await.unwrap();
    let caller = {
        let (live, view) = (live.clone(), tab.view());
        std::thread::spawn(move || live.disconnect(&view.entry))
    };
    caller.join().unwrap();
    until("it is disconnected", || socket.is_gone()).await;
    assert!(!socket.is_in_room());
}
