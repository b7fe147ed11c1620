//! Short-lived marks of ids that are being replaced, in memory.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use tokio::time::Instant;

use crate::id::SessionId;

/// Lifetime of a [mark](super::SessionStore::mark_replaced).
pub const REPLACED_MARK_TTL: Duration = Duration::from_secs(10);

/// The ids that are being replaced by others. Each call removes what has expired, so that the number of
/// marks is that of the replacements within [`REPLACED_MARK_TTL`].
#[derive(Default)]
pub(super) struct ReplacedMarks {
    /// When each mark expires.
    expiries: HashMap<SessionId, Instant>,
    /// The marks in the order of their expiry, which is that of their creation. An id that was marked
    /// twice is in it twice.
    queue: VecDeque<(Instant, SessionId)>,
}

impl ReplacedMarks {
    pub(super) fn add(&mut self, id: &SessionId) {
        let expiry = Instant::now() + REPLACED_MARK_TTL;
        self.remove_expired();
        self.expiries.insert(id.clone(), expiry);
        self.queue.push_back((expiry, id.clone()));
    }

    pub(super) fn contains(&mut self, id: &SessionId) -> bool {
        self.remove_expired();
        self.expiries.contains_key(id)
    }

    fn remove_expired(&mut self) {
        let now = Instant::now();
        while let Some((expiry, _)) = self.queue.front()
            && *expiry <= now
        {
            let Some((expiry, id)) = self.queue.pop_front() else {
                return;
            };
            // A later mark of the same id stays.
            if self.expiries.get(&id) == Some(&expiry) {
                self.expiries.remove(&id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn marks_expire_and_leave_nothing() {
        let mut marks = ReplacedMarks::default();
        let [one, other]: [SessionId; 2] = ["one", "other"].map(|id| id.parse().unwrap());
        assert!(!marks.contains(&one));
        marks.add(&one);
        tokio::time::advance(REPLACED_MARK_TTL / 2).await;
        assert!(marks.contains(&one));
        // Marked again, it lives longer.
        marks.add(&one);
        tokio::time::advance(REPLACED_MARK_TTL * 3 / 4).await;
        assert!(marks.contains(&one) && !marks.contains(&other));
        tokio::time::advance(REPLACED_MARK_TTL / 4).await;
        assert!(!marks.contains(&one));
        assert!(marks.expiries.is_empty() && marks.queue.is_empty());
    }
}
