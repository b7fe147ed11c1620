//! The state that the clones and views of one `ReportingStore` share: the feed, and recently deleted ids.
//!
//! # A deletion, from the request's begin to its end
//!
//! ```text
//! delete(old) ─► marked as replaced ─► deleted ─► reported: live sockets become inert
//!                      │
//!                      ├─ create(new) in the same request ─► the mark stays: a rotation
//!                      │
//!                      └─ the request ends without it ─► the mark is removed, and `old` is
//!                                                        reported again: a logout
//! ```
//!
//! tower-sessions' `cycle_id` deletes at once and creates when the answer passes its layer, so a
//! rotation can't be known when the deletion is reported. A deletion outside of a request is a
//! logout at once.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::stream;
use tokio::sync::broadcast::{self, error::RecvError};

use super::id_locks::IdLocks;
use crate::{
    lock::Mutex,
    recent::Recent,
    store::{Change, Changes, CurrentRequest, REPLACED_MARK_TTL, tower_sessions::raw_id},
};

/// Number of reports that a slow reader may lag behind, before it gets a `Resync` instead.
const FEED_CAPACITY: usize = 1024;
/// Time for which a late save of a deleted session is dropped.
const DELETED_TTL: Duration = Duration::from_mins(5);
/// Maximum number of deleted ids that are remembered.
const MAX_DELETED: usize = 65_536;
/// Maximum number of ids that are marked as replaced.
const MAX_REPLACED: usize = 8_192;
/// Delay before the second report of a call that was dropped midway.
const REPORT_AGAIN_AFTER: Duration = Duration::from_secs(1);

pub(super) struct Reports {
    pub(super) locks: IdLocks,
    feed: broadcast::Sender<Change>,
    marks: Mutex<Marks>,
}

struct Marks {
    deleted: Recent<i128, ()>,
    replaced: Recent<i128, ()>,
    /// The deletions of running requests that no create has followed yet, by the request's id.
    undecided: HashMap<usize, Vec<i128>>,
}

impl Marks {
    fn mark_replaced(&mut self, id: i128) {
        self.replaced.insert(&id, (), REPLACED_MARK_TTL);
    }
}

impl Reports {
    pub(super) fn new() -> Self {
        Self {
            locks: IdLocks::default(),
            feed: broadcast::Sender::new(FEED_CAPACITY),
            marks: Mutex::new(Marks {
                deleted: Recent::new(MAX_DELETED),
                replaced: Recent::new(MAX_REPLACED),
                undecided: HashMap::new(),
            }),
        }
    }

    pub(super) fn report(&self, id: i128) {
        // An error: there is no reader.
        let _ = self.feed.send(Change::Session(raw_id::session_id(id)));
    }

    pub(super) fn report_all(&self) {
        let _ = self.feed.send(Change::Resync);
    }

    pub(super) fn changes(&self) -> Changes {
        let receiver = self.feed.subscribe();
        Changes::new(stream::unfold(
            receiver,
            async |mut receiver| match receiver.recv().await {
                Ok(change) => Some((change, receiver)),
                Err(RecvError::Lagged(_)) => Some((Change::Resync, receiver)),
                Err(RecvError::Closed) => None,
            },
        ))
    }

    /// Reports `id` when the call that is about to begin ends, in whatever way.
    pub(super) fn on_end_of_call(self: &Arc<Self>, id: i128) -> ReportOnDrop {
        ReportOnDrop {
            reports: self.clone(),
            id,
            completed: false,
        }
    }

    /// Records a deletion that is about to begin, so that no save undoes it.
    pub(super) fn deleting(&self, id: i128) {
        self.marks.lock().deleted.insert(&id, (), DELETED_TTL);
    }

    pub(super) fn was_deleted(&self, id: i128) -> bool {
        self.marks.lock().deleted.get(&id).is_some()
    }

    pub(super) fn mark_replaced(&self, id: i128) {
        self.marks.lock().mark_replaced(id);
    }

    pub(super) fn was_replaced(&self, id: i128) -> bool {
        self.marks.lock().replaced.get(&id).is_some()
    }

    /// Marks `id` as replaced until the running request shows whether it was.
    pub(super) fn deleting_in_request(self: &Arc<Self>, id: i128) {
        let Some(request) = CurrentRequest::get() else {
            return;
        };
        let number = request.id();
        let is_first = {
            let mut marks = self.marks.lock();
            marks.mark_replaced(id);
            let undecided = marks.undecided.entry(number).or_default();
            undecided.push(id);
            undecided.len() == 1
        };
        if is_first {
            let reports = self.clone();
            request.on_end(move || reports.request_ended(number));
        }
    }

    /// A session was created: it replaces those that the running request has deleted before.
    pub(super) fn created_in_request(&self) {
        if let Some(request) = CurrentRequest::get()
            && let Some(undecided) = self.marks.lock().undecided.get_mut(&request.id())
        {
            undecided.clear();
        }
    }

    fn request_ended(&self, number: usize) {
        let ended = {
            let mut marks = self.marks.lock();
            let ended = marks.undecided.remove(&number).unwrap_or_default();
            for id in &ended {
                marks.replaced.remove(id);
            }
            ended
        };
        for id in ended {
            self.report(id);
        }
    }
}

/// Reports an id when it is dropped, because a call that failed or was dropped midway may have
/// happened all the same.
pub(super) struct ReportOnDrop {
    reports: Arc<Reports>,
    id: i128,
    completed: bool,
}

impl ReportOnDrop {
    /// The call ended by itself, and was about `id`.
    pub(super) fn completed(mut self, id: i128) {
        self.id = id;
        self.completed = true;
    }
}

impl Drop for ReportOnDrop {
    fn drop(&mut self) {
        self.reports.report(self.id);
        // A database may carry out the statement of a dropped call after this report.
        if !self.completed
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let (reports, id) = (self.reports.clone(), self.id);
            runtime.spawn(async move {
                tokio::time::sleep(REPORT_AGAIN_AFTER).await;
                reports.report(id);
            });
        }
    }
}
