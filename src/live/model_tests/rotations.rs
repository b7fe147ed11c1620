//! Rotations, and what can meet them.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{
    super::{Disconnect, EndReason, UpdateError, View},
    Run,
    explorer::{Actor, dropped_midway, explore, interleave},
    settle,
};
use crate::id::SessionId;

fn new_id() -> SessionId {
    "the-new-id".parse().unwrap()
}

impl Run {
    async fn rotate(&self, view: &View<u32>) -> Result<View<u32>, UpdateError> {
        self.live.rotate(view, &new_id(), Disconnect::Now).await
    }
}

#[test]
fn an_admission_against_a_rotation() {
    for reports in [true, false] {
        let runs = explore(async |explorer, runs| {
            let run = Run::new(reports);
            let rotate = async {
                let view = run.live.resolve(&run.id).await.unwrap();
                let rotated = run.rotate(&view).await.unwrap();
                assert_eq!(*rotated.snapshot.data, 0);
            };
            let actors = vec![Actor::new(run.admit()), Actor::new(rotate)];
            interleave(explorer, actors, 3).await;
            let reason = match &*run.admitted.lock() {
                Some(Ok(attachment)) => attachment.end_reason(),
                _ => None,
            };
            assert!(matches!(reason, None | Some(EndReason::Rotated)));
            assert!(run.is_stored(&new_id()));
            run.assert_closed(runs).await;
        });
        assert!(runs > 50, "{runs} runs");
    }
}

/// Name by which an end finds the session that another task rotates.
#[derive(Clone, Copy, PartialEq)]
enum End {
    ByHandle,
    ById,
    /// The store answers its first deletion with an error.
    WithARetry,
}

#[test]
fn a_rotation_against_an_end_ends_both_ids() {
    for reports in [true, false] {
        for how in [End::ByHandle, End::ById, End::WithARetry] {
            let runs = explore(async |explorer, runs| {
                let run = Run::new(reports);
                let view = run.live.resolve(&run.id).await.unwrap();
                run.store.fail_deletes(usize::from(how == End::WithARetry));
                let (rotated, too_late) = (AtomicBool::new(false), AtomicBool::new(false));
                let rotate = async {
                    let outcome = run.rotate(&view).await;
                    assert!(matches!(outcome, Ok(_) | Err(UpdateError::Gone)));
                    rotated.store(true, Ordering::SeqCst);
                };
                let end = async {
                    too_late.store(rotated.load(Ordering::SeqCst), Ordering::SeqCst);
                    let ended = match how {
                        End::ById => run.live.end_by_id(&run.id).await,
                        _ => run.live.end(&view.entry).await,
                    };
                    assert!(ended.is_ok() || how == End::WithARetry);
                };
                interleave(explorer, vec![Actor::new(rotate), Actor::new(end)], 1).await;
                settle().await;
                assert!(!run.is_stored(&run.id));
                // The id from before a rotation that is over names no session.
                let other_session = how == End::ById && too_late.load(Ordering::SeqCst);
                if !other_session {
                    assert!(!run.is_stored(&new_id()), "run {runs}");
                    assert!(run.live.resolve(&new_id()).await.is_err());
                }
                drop(view);
                run.assert_nothing_left(runs).await;
            });
            assert!(runs > 100, "{runs} runs");
        }
    }
}

/// An end that its caller does not wait for is made all the same, at whatever point it is dropped.
#[test]
fn a_rotation_against_an_end_that_is_dropped_midway() {
    for polls in 1..8 {
        for begins_after in [true, false] {
            let runs = explore(async |explorer, runs| {
                let run = Run::new(true);
                let view = run.live.resolve(&run.id).await.unwrap();
                let rotate = async { drop(run.rotate(&view).await) };
                let end = async { drop(dropped_midway(polls, run.live.end(&view.entry)).await) };
                if begins_after {
                    rotate.await;
                    interleave(explorer, vec![Actor::new(end)], 2).await;
                } else {
                    interleave(explorer, vec![Actor::new(rotate), Actor::new(end)], 1).await;
                }
                settle().await;
                assert!(run.store.sessions.lock().is_empty(), "run {runs}");
                drop(view);
                run.assert_nothing_left(runs).await;
            });
            assert!(runs >= 1, "{runs} runs");
        }
    }
}

#[test]
fn an_end_of_the_first_handle_ends_what_several_rotations_made_of_it() {
    let runs = explore(async |_, runs| {
        let run = Run::new(true);
        let first = run.live.resolve(&run.id).await.unwrap();
        let second = run.rotate(&first).await.unwrap();
        let third: SessionId = "the-third-id".parse().unwrap();
        let last = run.live.rotate(&second, &third, Disconnect::Now).await;
        assert!(run.is_stored(&third));
        run.live.end(&first.entry).await.unwrap();
        assert!(run.store.sessions.lock().is_empty(), "run {runs}");
        assert_eq!(last.unwrap().entry.end_reason(), Some(EndReason::Deleted));
        drop((first, second));
        run.assert_nothing_left(runs).await;
    });
    assert_eq!(runs, 1);
}

/// A rotation whose caller is gone leaves the session under one of its ids, and a socket of the old
/// one does not stay.
#[test]
fn a_rotation_that_is_dropped_midway_leaves_no_socket_of_the_old_id() {
    for polls in 1..8 {
        let runs = explore(async |explorer, runs| {
            let run = Run::new(true);
            run.admit().await;
            let view = run.live.resolve(&run.id).await.unwrap();
            let rotate = async { drop(dropped_midway(polls, run.rotate(&view)).await) };
            interleave(explorer, vec![Actor::new(rotate)], 3).await;
            settle().await;
            let (old, new) = (run.is_stored(&run.id), run.is_stored(&new_id()));
            assert!(old != new);
            let ended = view.entry.end_reason();
            assert_eq!(ended, new.then_some(EndReason::Rotated), "run {runs}");
            assert_eq!(run.socket.is_in_room(), old);
            drop(view);
            run.assert_nothing_left(runs).await;
        });
        assert!(runs >= 1, "{runs} runs");
    }
}

#[test]
fn a_rotation_against_an_update_loses_no_save() {
    let runs = explore(async |explorer, runs| {
        let run = Run::new(true);
        let view = run.live.resolve(&run.id).await.unwrap();
        let saved = AtomicBool::new(false);
        let update = async {
            let updated = run.live.update(&view, |data| {
                *data += 1;
                Ok::<_, ()>(())
            });
            saved.store(updated.await.is_ok(), Ordering::SeqCst);
        };
        let rotate = async { drop(run.rotate(&view).await.unwrap()) };
        interleave(explorer, vec![Actor::new(update), Actor::new(rotate)], 2).await;
        let stored = run.store.sessions.lock()[&new_id()].0;
        assert_eq!(
            stored,
            u32::from(saved.load(Ordering::SeqCst)),
            "run {runs}"
        );
        drop(view);
        run.assert_nothing_left(runs).await;
    });
    assert!(runs > 10, "{runs} runs");
}
