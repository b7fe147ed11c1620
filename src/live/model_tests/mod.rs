//! Every interleaving of what can meet in one session, driven through the shipped code.
//!
//! A call of the store yields before and after it takes effect, so each call of an actor is three
//! steps. All orders of the steps of all actors, and of the worker, are run one after the other. At
//! the end of each run no socket is in that should not be, the store has no session that was ended,
//! and nothing is left.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod admissions;
mod changes;
mod ends;
mod explorer;
mod rotations;
mod seats;
pub(super) mod sockets;
mod store;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::task::yield_now;

use self::{sockets::PlainSocket, store::SteppedStore};
use super::{Attachment, Config, LiveSessions, LoadError, core::Leftovers};
use crate::{id::SessionId, store::GuardedStore};

pub(super) fn config(ttl: Duration, revalidate_every: Duration) -> Config<u32> {
    Config {
        ttl,
        ttl_of: None,
        max_lifetime: None,
        revalidate_every,
        max_stale: Duration::from_mins(5).max(revalidate_every * 2),
        touch_every: None,
        verify: None,
        foreign_records: false,
    }
}

fn live(store: Arc<SteppedStore>) -> LiveSessions<u32> {
    let store = GuardedStore::new(store, Duration::from_secs(2));
    LiveSessions::new(
        store,
        config(Duration::from_hours(1), Duration::from_mins(1)),
    )
}

struct Run {
    id: SessionId,
    store: Arc<SteppedStore>,
    live: LiveSessions<u32>,
    socket: Arc<PlainSocket>,
    admitted: Mutex<Option<Result<Attachment<u32>, LoadError>>>,
    /// This node knows of the end.
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

    /// Steps of the middleware.
    async fn admit(&self) {
        let admitted = self.live.admit(&self.id, self.socket.clone()).await;
        if let Ok(attachment) = &admitted {
            assert!(
                !self.known.load(Ordering::SeqCst) || attachment.end_reason().is_some(),
                "admitted after the end was known"
            );
            let loaded = attachment.entry().state().loads.epoch;
            assert_eq!(
                loaded,
                self.live.core().feed.epoch(),
                "before the feed broke"
            );
        }
        *self.admitted.lock() = Some(admitted);
    }

    async fn end(&self) {
        self.live.end_by_id(&self.id).await.unwrap();
    }

    fn is_stored(&self, id: &SessionId) -> bool {
        self.store.sessions.lock().contains_key(id)
    }

    /// Nothing is admitted, and nothing is left.
    async fn assert_closed(&self, runs: usize) {
        match self.admitted.lock().as_ref() {
            Some(Ok(attachment)) => {
                assert!(attachment.end_reason().is_some(), "alive, run {runs}");
            }
            None | Some(Err(LoadError::NotFound)) => {}
            Some(Err(error)) => panic!("{error:?}, run {runs}"),
        }
        assert!(!self.socket.is_in_room(), "in a room, run {runs}");
        self.assert_nothing_left(runs).await;
    }

    async fn assert_nothing_left(&self, runs: usize) {
        drop(self.admitted.lock().take());
        for _ in 0..24 {
            if self.live.core().leftovers() == Leftovers::default() {
                break;
            }
            quarter_of_a_second().await;
        }
        assert_nothing_left(&self.live, runs);
    }
}

/// Long enough for retried deletions, inert sockets and waiting checks, and shorter than the interval
/// of periodic checks.
async fn settle() {
    for _ in 0..24 {
        quarter_of_a_second().await;
    }
}

async fn quarter_of_a_second() {
    tokio::time::advance(Duration::from_millis(250)).await;
    for _ in 0..8 {
        yield_now().await;
    }
}

fn assert_nothing_left(live: &LiveSessions<u32>, runs: usize) {
    let left = live.core().leftovers();
    assert_eq!(left, Leftovers::default(), "run {runs}");
    assert_eq!(
        (live.session_count(), live.socket_count()),
        (0, 0),
        "run {runs}"
    );
}
