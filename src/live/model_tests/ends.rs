//! Ends, and the deletions that are owed because of them.

use std::sync::atomic::Ordering;

use super::{
    super::LoadError,
    Run,
    explorer::{Actor, dropped_midway, explore, interleave},
    settle,
};
use crate::store::{Change, Saved, SessionStore as _};

/// While the deletion is owed, the id is refused; the retry makes it, once.
#[test]
fn an_end_against_the_retry_of_its_deletion() {
    for reports in [true, false] {
        let runs = explore(async |explorer, runs| {
            let run = Run::new(reports);
            run.admit().await;
            run.store.fail_deletes(1);
            let first = async { drop(run.live.end_by_id(&run.id).await) };
            first.await;
            assert_eq!(run.live.owed_count(), 1);
            // The retry is due, and another call ends the session again.
            tokio::time::advance(std::time::Duration::from_millis(250)).await;
            let second = async { run.end().await };
            let admission = async {
                let refused = run.live.resolve(&run.id).await;
                assert!(matches!(refused, Err(LoadError::NotFound)), "run {runs}");
            };
            let actors = vec![Actor::new(second), Actor::new(admission)];
            interleave(explorer, actors, 3).await;
            settle().await;
            assert!(!run.is_stored(&run.id));
            assert!(run.store.deletes.load(Ordering::SeqCst) <= 3);
            run.assert_closed(runs).await;
        });
        assert!(runs > 20, "{runs} runs");
    }
}

#[test]
fn an_end_that_is_dropped_midway_is_made_all_the_same() {
    for polls in 1..4 {
        for failing in [0, 2] {
            let runs = explore(async |explorer, runs| {
                let run = Run::new(true);
                run.store.fail_deletes(failing);
                let end = run.live.end_by_id(&run.id);
                let end = async { drop(dropped_midway(polls, end).await) };
                let actors = vec![Actor::new(run.admit()), Actor::new(end)];
                interleave(explorer, actors, 2).await;
                settle().await;
                assert!(!run.is_stored(&run.id), "run {runs}");
                run.assert_closed(runs).await;
            });
            assert!(runs > 10, "{runs} runs");
        }
    }
}

/// Another program writes the record again from what it had read: that is another session, which
/// this node does not mistake for the one that it ended.
#[test]
fn an_end_against_a_save_elsewhere_brings_nothing_back() {
    let runs = explore(async |explorer, runs| {
        let run = Run::new(true);
        run.admit().await;
        let save = async {
            let saved = run.store.save(&run.id, &1, &1.into()).await.unwrap();
            assert!(matches!(saved, Saved::Saved(_) | Saved::Gone));
        };
        let actors = vec![Actor::new(run.end()), Actor::new(save)];
        interleave(explorer, actors, 3).await;
        assert!(!run.is_stored(&run.id), "run {runs}");
        run.assert_closed(runs).await;
    });
    assert!(runs > 20, "{runs} runs");
}

#[test]
fn an_end_while_the_feed_breaks_and_comes_back() {
    let runs = explore(async |explorer, runs| {
        let run = Run::new(true);
        run.admit().await;
        let breaks = async {
            run.store.report(&Change::Disconnected);
            super::store::step().await;
            run.store.report(&Change::Resync);
        };
        interleave(explorer, vec![Actor::new(run.end()), Actor::new(breaks)], 3).await;
        assert!(!run.is_stored(&run.id), "run {runs}");
        run.assert_closed(runs).await;
    });
    assert!(runs > 20, "{runs} runs");
}
