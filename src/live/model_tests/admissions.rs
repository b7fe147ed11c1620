//! Admissions, and what can end the session or break the feed meanwhile.

use std::{
    sync::{Arc, atomic::Ordering},
    task::Poll,
    time::Duration,
};

use tokio::task::yield_now;

use super::{
    super::{EndReason, LiveSessions, LiveSocket, LoadError, Presence, Seat, end::finish},
    Run,
    explorer::{Actor, dropped_midway, explore, interleave},
    settle,
    sockets::PlainSocket,
    store::step,
};
use crate::{
    id::SessionId,
    store::{Change, Saved, SessionStore as _},
};

/// Turns of the worker that are interleaved with the actors.
const TURNS: usize = 3;

#[test]
fn an_admission_against_an_end_on_this_node() {
    for reports in [true, false] {
        let runs = explore(async |explorer, runs| {
            let run = Run::new(reports);
            let end = async {
                let ending = run.live.end_by_id(&run.id);
                let mut ending = std::pin::pin!(ending);
                let begun = std::future::poll_fn(|cx| Poll::Ready(ending.as_mut().poll(cx))).await;
                assert!(begun.is_pending());
                run.known.store(true, Ordering::SeqCst);
                ending.await.unwrap();
            };
            let actors = vec![Actor::new(run.admit()), Actor::new(end)];
            interleave(explorer, actors, TURNS).await;
            run.assert_closed(runs).await;
            assert!(!run.is_stored(&run.id));
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
        interleave(explorer, actors, TURNS).await;
        run.assert_closed(runs).await;
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
        interleave(explorer, actors, TURNS).await;
        run.assert_closed(runs).await;
    });
    assert!(runs > 500, "{runs} runs");
}

#[test]
fn an_admission_against_a_deletion_while_the_feed_is_broken() {
    let runs = explore(async |explorer, runs| {
        let run = Run::new(true);
        let delete = async {
            run.store.report(&Change::Disconnected);
            step().await;
            run.store.sessions.lock().remove(&run.id);
            step().await;
            run.store.report(&Change::Resync);
        };
        let actors = vec![Actor::new(run.admit()), Actor::new(delete)];
        interleave(explorer, actors, TURNS).await;
        // Every session is loaded again.
        for _ in 0..60 {
            tokio::time::advance(Duration::from_millis(10)).await;
            yield_now().await;
        }
        run.assert_closed(runs).await;
    });
    assert!(runs > 50, "{runs} runs");
}

/// An admitted session is as the store had it after the feed broke, however the two meet.
#[test]
fn an_admission_against_a_feed_that_breaks_or_skips_reports() {
    for changes in [
        vec![Change::Disconnected],
        vec![Change::Disconnected, Change::Resync],
        vec![Change::Resync],
    ] {
        let runs = explore(async |explorer, runs| {
            let run = Run::new(true);
            run.live.ensure_worker();
            let breaks = async {
                for change in &changes {
                    run.store.report(change);
                    step().await;
                }
            };
            let actors = vec![Actor::new(run.admit()), Actor::new(breaks)];
            interleave(explorer, actors, TURNS).await;
            settle().await;
            let admitted = run.admitted.lock().take().unwrap().unwrap();
            assert_eq!(admitted.end_reason(), None);
            assert!(run.socket.is_in_room());
            // It can be relied on again exactly when the feed is back.
            let loads = run.store.loads.load(Ordering::SeqCst);
            drop(run.live.resolve(&run.id).await.unwrap());
            let more = run.store.loads.load(Ordering::SeqCst) - loads;
            let back = changes.last() == Some(&Change::Resync);
            assert_eq!(more, usize::from(!back), "run {runs}");
            drop(admitted);
            run.assert_nothing_left(runs).await;
        });
        assert!(runs > 10, "{runs} runs");
    }
}

/// The deletion of a session whose report was lost: whatever is admitted after the feed was seen to
/// break has been loaded since.
#[test]
fn two_admissions_that_share_a_load_against_a_feed_that_breaks() {
    let runs = explore(async |explorer, runs| {
        let run = Run::new(true);
        run.live.ensure_worker();
        let second = Run {
            live: run.live.clone(),
            store: run.store.clone(),
            ..Run::new(true)
        };
        let delete = async {
            run.store.sessions.lock().remove(&run.id);
            run.store.report(&Change::Resync);
        };
        let actors = vec![
            Actor::new(run.admit()),
            Actor::new(second.admit()),
            Actor::new(delete),
        ];
        interleave(explorer, actors, 2).await;
        settle().await;
        drop(second.admitted.lock().take().unwrap().map(|attachment| {
            assert!(attachment.end_reason().is_some(), "run {runs}");
        }));
        run.assert_closed(runs).await;
    });
    assert!(runs > 100, "{runs} runs");
}

#[test]
fn an_admission_that_is_dropped_midway_leaves_nothing() {
    for reports in [true, false] {
        for polls in 1..6 {
            let runs = explore(async |explorer, runs| {
                let run = Run::new(reports);
                let admit = async {
                    dropped_midway(polls, run.admit()).await;
                };
                let second = async { drop(run.live.resolve(&run.id).await.unwrap()) };
                let actors = vec![Actor::new(admit), Actor::new(second)];
                interleave(explorer, actors, 1).await;
                run.assert_nothing_left(runs).await;
            });
            assert!(runs > 1, "{runs} runs");
        }
    }
}

/// A socket in whose `join` the session ends, as if by another thread at just that moment.
struct EndsInJoin {
    socket: PlainSocket,
    live: LiveSessions<u32>,
    id: SessionId,
}

impl LiveSocket for EndsInJoin {
    fn presence(&self) -> Presence {
        Presence::Connecting
    }

    fn seat(&self) -> Option<Seat> {
        None
    }

    fn seen(&self) {}
    fn still_leaving(&self) -> bool {
        false
    }

    fn join(&self, room: String) {
        let core = self.live.core();
        let entry = core.find(&self.id).unwrap();
        finish(core, &entry, EndReason::Deleted);
        self.socket.join(room);
    }

    fn join_later(&self, room: String, _: &str) {
        self.join(room);
    }

    fn leave_rooms(&self, own: &str) {
        self.socket.leave_rooms(own);
    }

    fn disconnect(&self) {}

    fn release(&self) {}

    fn end_hook(&self, _: EndReason) -> Option<Box<dyn FnOnce() + Send>> {
        None
    }
}

#[tokio::test]
async fn an_end_between_the_load_and_the_room_is_seen_by_the_second_look() {
    let run = Run::new(true);
    let socket = Arc::new(EndsInJoin {
        socket: PlainSocket::default(),
        live: run.live.clone(),
        id: run.id.clone(),
    });
    let admitted = run.live.admit(&run.id, socket.clone()).await;
    assert!(matches!(admitted, Err(LoadError::NotFound)));
    assert!(!socket.socket.is_in_room());
}
