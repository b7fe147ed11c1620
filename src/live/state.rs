//! What an entry knows, and what follows from it with time.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::future::WeakShared;
use tokio::time::Instant;

use super::{EndReason, entry::LoadFuture, socket::LiveSocket};
use crate::store::{Record, Revision};

/// A deletion seen this shortly before the known end of life is that end: the store's clock and
/// ours, and the way in between, are not exact.
const EXPIRY_TOLERANCE: Duration = Duration::from_secs(1);
/// A session whose time has come and that nobody could ask about is ended after this.
pub(super) const EXPIRY_GRACE: Duration = Duration::from_millis(750);

/// A session that lives for longer than this lives for ever.
const FOR_EVER: Duration = Duration::from_hours(100 * 365 * 24);

/// When a session expires that lives for `ttl` from `now`; `None`: never.
pub(super) fn deadline(now: Instant, ttl: Duration) -> Option<Instant> {
    (ttl < FOR_EVER).then(|| now + ttl)
}

/// What a node knows of a session at one time.
pub(crate) struct Snapshot<T> {
    pub(crate) data: Arc<T>,
    /// `None`: not known, as it was just created here.
    pub(crate) revision: Option<Revision>,
    /// When it expires; `None`: never.
    pub(crate) deadline: Option<Instant>,
    /// When the store was last asked.
    pub(crate) checked: Instant,
}

impl<T> Snapshot<T> {
    pub(super) fn with_deadline(&self, deadline: Option<Instant>) -> Self {
        Self {
            data: self.data.clone(),
            revision: self.revision.clone(),
            deadline,
            checked: self.checked,
        }
    }
}

/// Tells whether something may have changed since: the entry's count of reports, and the epoch of
/// the feed, which is another one after it broke or came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) reports: u64,
    pub(super) epoch: u64,
    pub(super) saves: u64,
    pub(super) loads: u64,
}

/// What the passing of time asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Due {
    /// The session ends now.
    pub(super) end: Option<EndReason>,
    /// The store is to be asked.
    pub(super) check: bool,
    /// Look again at this time.
    pub(super) next: Option<Instant>,
}

/// The state of an entry, under its lock.
pub(super) struct State<T> {
    pub(super) known: Option<Arc<Snapshot<T>>>,
    /// The epoch of the feed in which `known` was loaded, if every change since would have been
    /// reported, and none was.
    pub(super) trusted: Option<u64>,
    pub(super) reports: u64,
    pub(super) saves: u64,
    pub(super) loads: u64,
    pub(super) sockets: HashMap<u64, Arc<dyn LiveSocket>>,
    pub(super) next_key: u64,
    /// Sockets, and those who wait for the end or a change.
    pub(super) watchers: usize,
    pub(super) rotations: usize,
    pub(super) load: Option<WeakShared<LoadFuture<T>>>,
    /// When the store is to be asked again.
    pub(super) recheck: Instant,
    /// The earliest time for which the agenda has this entry.
    pub(super) scheduled: Option<Instant>,
    /// A check waits to be run.
    pub(super) queued: bool,
    /// The time has come, and a last check is under way.
    pub(super) expiring: bool,
}

impl<T> State<T> {
    pub(super) fn new() -> Self {
        Self {
            known: None,
            trusted: None,
            reports: 0,
            saves: 0,
            loads: 0,
            sockets: HashMap::new(),
            next_key: 0,
            watchers: 0,
            rotations: 0,
            load: None,
            recheck: Instant::now(),
            scheduled: None,
            queued: false,
            expiring: false,
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.known.as_ref()?.deadline
    }

    pub(super) fn end_of_missing(&self) -> EndReason {
        let now = Instant::now();
        if self.rotations > 0 {
            EndReason::Rotated
        } else if self
            .deadline()
            .is_some_and(|deadline| deadline <= now + EXPIRY_TOLERANCE)
        {
            EndReason::Expired
        } else {
            EndReason::Deleted
        }
    }

    /// `overtaken`: something was saved here while the load was under way, so it may have read what
    /// was there before. `true` when the data has changed.
    pub(super) fn take_in(
        &mut self,
        record: Record<T>,
        deadline: Option<Instant>,
        checked: Instant,
        overtaken: bool,
    ) -> bool {
        let old = self.known.take();
        let same = old
            .as_ref()
            .filter(|old| overtaken || old.revision.as_ref() == Some(&record.revision));
        let (data, revision) = match same {
            Some(same) => (same.data.clone(), same.revision.clone()),
            None => (record.data, Some(record.revision)),
        };
        let changed = same.is_none() && old.is_some();
        self.known = Some(Arc::new(Snapshot {
            data,
            revision,
            deadline,
            checked,
        }));
        changed
    }

    /// The end that needs no answer of the store.
    pub(super) fn overdue(
        &self,
        now: Instant,
        max_stale: Duration,
        store_down: bool,
    ) -> Option<EndReason> {
        let known = self.known.as_ref()?;
        if self.expiring && known.deadline.is_some_and(|at| at + EXPIRY_GRACE <= now) {
            return Some(EndReason::Expired);
        }
        let too_old = now.saturating_duration_since(known.checked) >= max_stale;
        (too_old && store_down).then_some(EndReason::StoreUnreachable)
    }

    pub(super) fn next_look(&self, max_stale: Duration) -> Instant {
        let Some(known) = &self.known else {
            return self.recheck;
        };
        let mut next = self.recheck;
        if let Some(deadline) = known.deadline {
            let grace = if self.expiring {
                EXPIRY_GRACE
            } else {
                Duration::ZERO
            };
            next = next.min(deadline + grace);
        }
        match known.checked.checked_add(max_stale) {
            Some(stale) if stale > Instant::now() => next.min(stale),
            _ => next,
        }
    }
}
