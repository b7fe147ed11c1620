//! A bounded set of ids that forgets each after a while.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    time::Duration,
};

use tokio::time::Instant;

/// Ids that were inserted within `ttl`, at most `limit` of them: the oldest make room.
///
/// Invariant: every id of `by_id` has an element in `order` with the same time. An element without
/// an id in `by_id` is left over from an id that was removed or inserted again, and counts towards
/// the limit too.
pub(crate) struct RecentIds<Id> {
    ttl: Duration,
    limit: usize,
    by_id: HashMap<Id, Instant>,
    order: VecDeque<(Instant, Id)>,
}

impl<Id: Clone + Eq + Hash> RecentIds<Id> {
    pub(crate) fn new(ttl: Duration, limit: usize) -> Self {
        Self {
            ttl,
            limit,
            by_id: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    pub(crate) fn insert(&mut self, id: Id) {
        let now = Instant::now();
        self.by_id.insert(id.clone(), now);
        self.order.push_back((now, id));
        while self.order.len() > self.limit || self.oldest_is_over(now) {
            self.forget_oldest();
        }
    }

    #[cfg(any(test, feature = "tower-sessions-0-14", feature = "tower-sessions-0-15"))]
    pub(crate) fn remove(&mut self, id: &Id) {
        self.by_id.remove(id);
    }

    pub(crate) fn contains(&self, id: &Id) -> bool {
        let inserted = self.by_id.get(id);
        inserted.is_some_and(|inserted| inserted.elapsed() < self.ttl)
    }

    fn oldest_is_over(&self, now: Instant) -> bool {
        let oldest = self.order.front();
        oldest.is_some_and(|(inserted, _)| now.duration_since(*inserted) >= self.ttl)
    }

    fn forget_oldest(&mut self) {
        if let Some((inserted, id)) = self.order.pop_front()
            && self.by_id.get(&id) == Some(&inserted)
        {
            self.by_id.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_mins(5);

    #[tokio::test(start_paused = true)]
    async fn an_id_is_forgotten_after_the_ttl() {
        let mut recent = RecentIds::new(TTL, 10);
        recent.insert(1);
        tokio::time::advance(TTL / 2).await;
        recent.insert(2);
        tokio::time::advance(TTL / 2).await;
        assert!(!recent.contains(&1));
        assert!(recent.contains(&2));
        recent.insert(3);
        assert_eq!(recent.by_id.len(), 2);
        assert_eq!(recent.order.len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_make_room() {
        let mut recent = RecentIds::new(TTL, 3);
        for id in 0..1000 {
            recent.insert(id % 5);
            tokio::time::advance(Duration::from_nanos(1)).await;
            assert!(recent.by_id.len() <= 3 && recent.order.len() <= 3);
        }
        assert!(!recent.contains(&1));
        assert!(recent.contains(&2) && recent.contains(&3) && recent.contains(&4));
        recent.remove(&3);
        assert!(!recent.contains(&3));
    }

    #[tokio::test(start_paused = true)]
    async fn an_id_that_is_inserted_again_lives_on() {
        let mut recent = RecentIds::new(TTL, 10);
        recent.insert(1);
        tokio::time::advance(TTL / 2).await;
        recent.insert(1);
        tokio::time::advance(TTL / 2).await;
        recent.insert(2);
        assert!(recent.contains(&1));
    }
}
