//! Every interleaving of an admission with an end, driven through the shipped code.
//!
//! A call of the store yields before and after it takes effect, so each call of an actor is three
//! steps. All orders of the steps of all actors, and of the keeper, are run one after the other.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod explorer;
mod store;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::task::yield_now;

use self::{
    explorer::{Actor, Explorer},
    store::{SteppedStore, step},
};
use super::{Attachment, Config, EndReason, Live, LiveSocket, LoadError, Presence};
use crate::{
    hook::{HookThread, Job},
    id::SessionId,
    store::{Change, GuardedStore, Saved, SessionStore},
};

/// A socket that can be closed at once.
#[derive(Default)]
pub(super) struct PlainSocket {
    gone: AtomicBool,
    in_room: AtomicBool,
}

impl LiveSocket for PlainSocket {
    fn presence(&self) -> Presence {
        if self.gone.load(Ordering::SeqCst) {
            Presence::Gone
        } else {
            Presence::Connected
        }
    }

    fn seen(&self) {}

    fn leave_rooms(&self) {
        self.in_room.store(false, Ordering::SeqCst);
    }

    fn disconnect(&self) {
        self.gone.store(true, Ordering::SeqCst);
    }

    fn release(&self) {}

    fn last_word(&self, _: EndReason) -> Option<Job> {
        None
    }
}

/// So many turns of the keeper are interleaved with the actors; it has as many as it needs after.
const KEEPER_TURNS: usize = 3;

async fn interleave(explorer: &mut Explorer, mut actors: Vec<Actor<'_>>) {
    let mut keeper_turns = KEEPER_TURNS;
    loop {
        let ready: Vec<usize> = (0..actors.len())
            .filter(|n| actors[*n].is_ready())
            .collect();
        if ready.is_empty() {
            if actors.iter().all(|actor| actor.future.is_none()) {
                break;
            }
            // They wait for the keeper, or for time.
            tokio::time::advance(Duration::from_millis(1)).await;
            continue;
        }
        let options = ready.len() + usize::from(keeper_turns > 0);
        if let Some(nth) = ready.get(explorer.choose(options)) {
            actors[*nth].poll();
        } else {
            keeper_turns -= 1;
            yield_now().await;
        }
    }
    for _ in 0..64 {
        yield_now().await;
    }
}

fn live(store: Arc<SteppedStore>) -> Live<u32> {
    let config = Config {
        ttl: Duration::from_hours(1),
        revalidate_every: Duration::from_mins(1),
        max_stale: Duration::from_mins(5),
        touch_every: None,
    };
    let store = GuardedStore::new(store, Duration::from_secs(2));
    Live::new(store, config, Arc::new(HookThread::default()))
}

struct Run {
    id: SessionId,
    store: Arc<SteppedStore>,
    live: Live<u32>,
    socket: Arc<PlainSocket>,
    admitted: Mutex<Option<Result<Attachment<u32>, LoadError>>>,
    /// This node was told of the end.
    known: AtomicBool,
}

impl Run {
    fn new(reports: bool) -> Self {
        let id: SessionId = "the-session".parse().unwrap();
        let store = SteppedStore::with(&id, reports);
        Self {
            live: live(store.clone()),
            id,
            store,
            socket: Arc::default(),
            admitted: Mutex::new(None),
            known: AtomicBool::new(false),
        }
    }

    /// What the middleware does: admit, join the room, look again.
    async fn admit(&self) {
        let admitted = self.live.admit(&self.id, self.socket.clone()).await;
        if let Ok(attachment) = &admitted {
            self.socket.in_room.store(true, Ordering::SeqCst);
            if attachment.end_reason().is_some() {
                self.socket.leave_rooms();
            }
            assert!(
                !self.known.load(Ordering::SeqCst) || attachment.end_reason().is_some(),
                "let in after the end was known"
            );
        }
        *self.admitted.lock() = Some(admitted);
    }

    /// Whatever happened in between: at the end nobody is in who should not be, nothing is left.
    fn assert_closed(self, runs: usize) {
        match self.admitted.lock().take().expect("the admission is over") {
            Ok(attachment) => {
                assert!(attachment.end_reason().is_some(), "alive, run {runs}");
                assert!(!self.socket.in_room.load(Ordering::SeqCst), "in a room");
            }
            Err(LoadError::Gone) => {}
            Err(LoadError::Store(error)) => panic!("{error}, run {runs}"),
        }
        assert_eq!(self.live.session_count(), 0, "an entry is left, run {runs}");
    }
}

/// Runs `scenario` once for each interleaving, and says how many there were.
fn explore(scenario: impl AsyncFn(&mut Explorer, usize)) -> usize {
    let mut explorer = Explorer::default();
    let mut runs = 0;
    loop {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        // The pauses of the code under test are random, and must be the same in each run.
        fastrand::seed(7);
        runtime.block_on(scenario(&mut explorer, runs));
        runs += 1;
        assert!(runs < 1_000_000, "too many interleavings");
        if !explorer.next_run() {
            return runs;
        }
    }
}

#[test]
fn an_admission_against_an_end_on_this_node() {
    for reports in [true, false] {
        let runs = explore(async |explorer, runs| {
            let run = Run::new(reports);
            let end = async {
                let ending = run.live.end(&run.id);
                let mut ending = std::pin::pin!(ending);
                let begun = std::future::poll_fn(|cx| Poll::Ready(ending.as_mut().poll(cx))).await;
                assert!(begun.is_pending());
                run.known.store(true, Ordering::SeqCst);
                ending.await.unwrap();
            };
            let actors = vec![Actor::new(run.admit()), Actor::new(end)];
            interleave(explorer, actors).await;
            run.assert_closed(runs);
        });
        assert!(runs > 50, "{runs} runs");
    }
}

#[test]
fn an_admission_against_a_deletion_elsewhere_that_is_reported() {
    let runs = explore(async |explorer, runs| {
        let run = Run::new(true);
        let delete = async {
            run.store.delete(&run.id).await.unwrap();
        };
        let actors = vec![Actor::new(run.admit()), Actor::new(delete)];
        interleave(explorer, actors).await;
        run.assert_closed(runs);
    });
    assert!(runs > 50, "{runs} runs");
}

#[test]
fn an_admission_against_changes_elsewhere_and_a_deletion() {
    let runs = explore(async |explorer, runs| {
        let run = Run::new(true);
        let elsewhere = async {
            let saved = run.store.save(&run.id, &1, &1.into()).await.unwrap();
            assert!(matches!(saved, Saved::Saved(_)));
            run.store.delete(&run.id).await.unwrap();
        };
        let actors = vec![Actor::new(run.admit()), Actor::new(elsewhere)];
        interleave(explorer, actors).await;
        run.assert_closed(runs);
    });
    assert!(runs > 500, "{runs} runs");
}

#[test]
fn an_admission_against_a_deletion_while_the_feed_is_broken() {
    let runs = explore(async |explorer, runs| {
        let run = Run::new(true);
        let delete = async {
            run.store.tell(&Change::Disconnected);
            step().await;
            run.store.sessions.lock().remove(&run.id);
            step().await;
            run.store.tell(&Change::Resync);
        };
        let actors = vec![Actor::new(run.admit()), Actor::new(delete)];
        interleave(explorer, actors).await;
        // Every session is looked at again, spread over half a second.
        for _ in 0..60 {
            tokio::time::advance(Duration::from_millis(10)).await;
            yield_now().await;
        }
        run.assert_closed(runs);
    });
    assert!(runs > 50, "{runs} runs");
}

#[test]
fn an_admission_against_a_rotation() {
    let new: SessionId = "the-new-id".parse().unwrap();
    for reports in [true, false] {
        let runs = explore(async |explorer, runs| {
            let run = Run::new(reports);
            let rotate = async {
                let view = run.live.resolve(&run.id).await.unwrap();
                let rotated = run.live.rotate(&run.id, &new, &view).await.unwrap();
                assert_eq!(*rotated.snapshot.data, 0);
            };
            let actors = vec![Actor::new(run.admit()), Actor::new(rotate)];
            interleave(explorer, actors).await;
            let reason = match &*run.admitted.lock() {
                Some(Ok(attachment)) => attachment.end_reason(),
                _ => None,
            };
            assert!(matches!(reason, None | Some(EndReason::Rotated)));
            assert!(run.store.sessions.lock().contains_key(&new));
            run.assert_closed(runs);
        });
        assert!(runs > 50, "{runs} runs");
    }
}

#[test]
fn an_update_against_an_end_brings_nothing_back() {
    for reports in [true, false] {
        let runs = explore(async |explorer, _| {
            let run = Run::new(reports);
            let view = run.live.resolve(&run.id).await.unwrap();
            let update = async {
                let _ = run.live.update(&run.id, &view, |data| *data += 1).await;
            };
            let end = async { run.live.end(&run.id).await.unwrap() };
            interleave(explorer, vec![Actor::new(update), Actor::new(end)]).await;
            assert!(run.store.sessions.lock().is_empty(), "brought back");
            assert_eq!(run.live.session_count(), 0);
        });
        assert!(runs > 5, "{runs} runs");
    }
}

#[test]
fn an_update_here_and_one_elsewhere_are_both_kept() {
    let runs = explore(async |explorer, _| {
        let run = Run::new(true);
        run.admit().await;
        let view = run.live.resolve(&run.id).await.unwrap();
        let update = async {
            let updated = run.live.update(&run.id, &view, |data| *data += 1).await;
            updated.map(|_| ()).unwrap();
        };
        let elsewhere = async {
            let other = live(run.store.clone());
            let view = other.resolve(&run.id).await.unwrap();
            let updated = other.update(&run.id, &view, |data| *data += 1).await;
            updated.map(|_| ()).unwrap();
        };
        let actors = vec![Actor::new(update), Actor::new(elsewhere)];
        interleave(explorer, actors).await;
        tokio::time::advance(Duration::from_millis(10)).await;
        for _ in 0..16 {
            yield_now().await;
        }
        assert_eq!(run.store.sessions.lock()[&run.id].0, 2);
        let Some(Ok(attachment)) = run.admitted.lock().take() else {
            panic!("refused");
        };
        assert_eq!(*attachment.view().snapshot.data, 2, "stale");
    });
    assert!(runs > 500, "{runs} runs");
}
