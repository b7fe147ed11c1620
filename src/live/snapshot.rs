//! The state of a session as a node has seen it at one time.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

use crate::store::{Record, Revision};

/// Lifetimes from here on count as endless, because clocks can't express everything that a
/// `Duration` can.
const ENDLESS: Duration = Duration::from_hours(100 * 365 * 24);

/// When a session expires whose lifetime is `ttl` from `now`; `None`: never.
pub(crate) fn deadline_after(now: Instant, ttl: Duration) -> Option<Instant> {
    (ttl < ENDLESS).then(|| now + ttl)
}

/// The earlier of two deadlines, of which `None` is never.
pub(super) fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// A point of the wall clock on tokio's clock.
pub(super) fn instant_of(time: SystemTime) -> Option<Instant> {
    let now = Instant::now();
    match time.duration_since(SystemTime::now()) {
        Ok(left) => deadline_after(now, left),
        Err(_past) => Some(now),
    }
}

/// State of a session as a node has seen it at one time.
pub(crate) struct Snapshot<T> {
    pub(crate) data: Arc<T>,
    pub(crate) revision: Revision,
    /// When the session expires; `None`: never.
    pub(crate) deadline: Option<Instant>,
    /// When the last load that found the session began.
    pub(crate) checked: Instant,
}

impl<T> Snapshot<T> {
    /// Result of a load that began at `began`. The session ends at `latest` at the latest.
    pub(super) fn loaded(record: Record<T>, began: Instant, latest: Option<Instant>) -> Self {
        let deadline = record.ttl.and_then(|ttl| deadline_after(began, ttl));
        Self {
            data: record.data,
            revision: record.revision,
            deadline: earlier(deadline, latest),
            checked: began,
        }
    }

    pub(super) fn with_data(&self, data: Arc<T>, revision: Revision) -> Self {
        Self {
            data,
            revision,
            deadline: self.deadline,
            checked: self.checked,
        }
    }

    pub(super) fn with_deadline(&self, deadline: Option<Instant>) -> Self {
        Self {
            data: self.data.clone(),
            revision: self.revision.clone(),
            deadline,
            checked: self.checked,
        }
    }

    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }
}
