//! Updates, and what can meet them.

use std::sync::atomic::Ordering;

use super::{
    super::{EndReason, TryUpdateError, UpdateError, View},
    Run, assert_nothing_left,
    explorer::{Actor, dropped_midway, explore, interleave},
    live, settle,
};
use crate::store::{Saved, SessionStore as _};

impl Run {
    async fn add(&self, view: &View<u32>, number: u32) -> Result<u32, UpdateError> {
        let updated = self.live.update(view, |data| {
            *data += number;
            Ok::<_, std::convert::Infallible>(())
        });
        match updated.await {
            Ok((view, ())) => Ok(*view.snapshot.data),
            Err(TryUpdateError::Update(error)) => Err(error),
            Err(TryUpdateError::Refused(never)) => match never {},
        }
    }

    async fn save_elsewhere(&self, data: u32) {
        let saved = self.store.save(&self.id, &data, &1.into()).await.unwrap();
        assert!(matches!(saved, Saved::Saved(_) | Saved::Conflict));
    }
}

#[test]
fn an_update_against_an_end_brings_nothing_back() {
    for reports in [true, false] {
        let runs = explore(async |explorer, runs| {
            let run = Run::new(reports);
            let view = run.live.resolve(&run.id).await.unwrap();
            let update = async { drop(run.add(&view, 1).await) };
            interleave(explorer, vec![Actor::new(update), Actor::new(run.end())], 3).await;
            assert!(run.store.sessions.lock().is_empty(), "brought back");
            drop(view);
            run.assert_nothing_left(runs).await;
        });
        assert!(runs > 5, "{runs} runs");
    }
}

#[test]
fn an_update_here_and_one_elsewhere_are_both_kept() {
    let runs = explore(async |explorer, runs| {
        let run = Run::new(true);
        run.admit().await;
        let view = run.live.resolve(&run.id).await.unwrap();
        let update = async {
            run.add(&view, 1).await.unwrap();
        };
        let other = Run {
            live: live(run.store.clone()),
            store: run.store.clone(),
            ..Run::new(true)
        };
        let elsewhere = async {
            let view = other.live.resolve(&run.id).await.unwrap();
            other.add(&view, 1).await.unwrap();
        };
        let actors = vec![Actor::new(update), Actor::new(elsewhere)];
        interleave(explorer, actors, 3).await;
        tokio::time::advance(std::time::Duration::from_millis(10)).await;
        for _ in 0..16 {
            tokio::task::yield_now().await;
        }
        assert_eq!(run.store.sessions.lock()[&run.id].0, 2);
        let Some(Ok(attachment)) = run.admitted.lock().take() else {
            panic!("refused");
        };
        assert_eq!(*attachment.view().snapshot.data, 2, "stale, run {runs}");
        drop((attachment, view));
        run.assert_nothing_left(runs).await;
        assert_nothing_left(&other.live, runs);
    });
    assert!(runs > 500, "{runs} runs");
}

/// An update whose caller is gone may have taken effect or not. What this node knows then is what
/// the store has.
#[test]
fn an_update_that_is_dropped_midway_makes_the_session_stale() {
    for polls in 1..8 {
        let runs = explore(async |explorer, runs| {
            let run = Run::new(true);
            run.admit().await;
            let view = run.live.resolve(&run.id).await.unwrap();
            let update = async { drop(dropped_midway(polls, run.add(&view, 1)).await) };
            let elsewhere = run.save_elsewhere(7);
            interleave(explorer, vec![Actor::new(update), Actor::new(elsewhere)], 2).await;
            settle().await;
            let (stored, _) = run.store.sessions.lock()[&run.id];
            let known = *view.entry.snapshot().unwrap().data;
            assert_eq!(known, stored, "run {runs}");
            // The turn was released.
            assert_eq!(run.add(&view, 1).await.unwrap(), stored + 1);
            drop(view);
            run.assert_nothing_left(runs).await;
        });
        assert!(runs > 1, "{runs} runs");
    }
}

/// Without reports, nothing but the drop of the write tells that the session is stale.
#[test]
fn an_update_that_is_dropped_midway_is_loaded_again_without_reports_too() {
    for polls in 1..6 {
        let runs = explore(async |explorer, runs| {
            let run = Run::new(false);
            run.admit().await;
            let view = run.live.resolve(&run.id).await.unwrap();
            let update = async { drop(dropped_midway(polls, run.add(&view, 1)).await) };
            interleave(explorer, vec![Actor::new(update)], 2).await;
            settle().await;
            let (stored, _) = run.store.sessions.lock()[&run.id];
            let known = *view.entry.snapshot().unwrap().data;
            assert_eq!(known, stored, "run {runs}");
            drop(view);
            run.assert_nothing_left(runs).await;
        });
        assert!(runs >= 1, "{runs} runs");
    }
}

#[test]
fn an_update_against_a_deletion_elsewhere_ends_the_session() {
    for reports in [true, false] {
        let runs = explore(async |explorer, runs| {
            let run = Run::new(reports);
            run.admit().await;
            let view = run.live.resolve(&run.id).await.unwrap();
            let update = async {
                let updated = run.add(&view, 1).await;
                assert!(
                    matches!(updated, Ok(1) | Err(UpdateError::Gone)),
                    "{updated:?}"
                );
            };
            let delete = async {
                run.store.delete(&run.id).await.unwrap();
            };
            interleave(explorer, vec![Actor::new(update), Actor::new(delete)], 3).await;
            settle().await;
            assert!(run.store.sessions.lock().is_empty(), "brought back");
            if !reports {
                // Nothing told of it, if the save came first.
                let reloaded = run.live.reload(&view).await;
                assert!(matches!(reloaded, Err(UpdateError::Gone)));
            }
            assert_eq!(view.entry.end_reason(), Some(EndReason::Deleted));
            drop(view);
            run.assert_closed(runs).await;
        });
        assert!(runs > 5, "{runs} runs");
    }
}

/// A session that only a handle holds is not watched: a report during its load makes it stale all the
/// same, and the next reader gets what the store has.
#[test]
fn a_report_during_a_load_of_an_unwatched_session_counts() {
    let runs = explore(async |explorer, runs| {
        let run = Run::new(true);
        run.live.ensure_worker();
        let held = parking_lot::Mutex::new(None);
        let read = async { *held.lock() = Some(run.live.resolve(&run.id).await.unwrap()) };
        let elsewhere = run.save_elsewhere(7);
        interleave(explorer, vec![Actor::new(read), Actor::new(elsewhere)], 3).await;
        settle().await;
        let again = run.live.resolve(&run.id).await.unwrap();
        assert_eq!(*again.snapshot.data, 7, "run {runs}");
        drop((held, again));
        run.assert_nothing_left(runs).await;
    });
    assert!(runs > 20, "{runs} runs");
}

/// A session that is another user's than before ends its sockets, whichever node changed it.
#[test]
fn a_change_of_the_user_ends_the_sockets() {
    for here in [true, false] {
        let runs = explore(async |explorer, runs| {
            let run = Run::new(true);
            let change = async {
                if here {
                    let view = run.live.resolve(&run.id).await.unwrap();
                    drop(run.add(&view, 100).await);
                } else {
                    run.save_elsewhere(100).await;
                }
            };
            let actors = vec![Actor::new(run.admit()), Actor::new(change)];
            interleave(explorer, actors, 3).await;
            settle().await;
            let admitted = run.admitted.lock().take().unwrap();
            match admitted {
                // Admitted as the new user.
                Ok(attachment) if attachment.end_reason().is_none() => {
                    assert_eq!(*attachment.view().snapshot.data, 100, "run {runs}");
                    assert!(run.socket.is_in_room());
                }
                Ok(attachment) => {
                    assert_eq!(attachment.end_reason(), Some(EndReason::UserChanged));
                    assert!(!run.socket.is_in_room() && run.socket.is_gone());
                }
                Err(_) => assert!(!run.socket.is_in_room()),
            }
            assert!(run.is_stored(&run.id));
            run.assert_nothing_left(runs).await;
        });
        assert!(runs > 20, "{runs} runs");
    }
}

/// A reader on this node never sees an older value than before, also without reports.
#[test]
fn what_is_known_never_goes_back() {
    for reports in [true, false] {
        let runs = explore(async |explorer, runs| {
            let run = Run::new(reports);
            let view = run.live.resolve(&run.id).await.unwrap();
            let seen = std::sync::atomic::AtomicU64::new(0);
            let see = || {
                let known = view.entry.snapshot().unwrap().revision.as_u64().unwrap();
                let before = seen.fetch_max(known, Ordering::SeqCst);
                assert!(known >= before, "{known} after {before}, run {runs}");
            };
            let update = async {
                run.add(&view, 1).await.unwrap();
                see();
            };
            let read = async {
                drop(run.live.reload(&view).await.unwrap());
                see();
                drop(run.live.resolve(&run.id).await.unwrap());
                see();
            };
            let elsewhere = run.save_elsewhere(7);
            let actors = vec![Actor::new(update), Actor::new(read), Actor::new(elsewhere)];
            interleave(explorer, actors, 0).await;
            settle().await;
            see();
            drop(view);
            run.assert_nothing_left(runs).await;
        });
        assert!(runs > 20, "{runs} runs");
    }
}
