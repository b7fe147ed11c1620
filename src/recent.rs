//! A bounded map that forgets.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    time::Duration,
};

use tokio::time::Instant;

/// What was inserted a moment ago, each value for a time of its own. When it is full, the oldest is dropped
/// for a new one. It has no task: what has expired is dropped by later insertions.
///
/// Invariants:
/// 1. Each key has one element in `order` with the same insertion, and `order` has at most `capacity` elements.
///    Those of keys that were removed or inserted again count, too, until they are dropped.
/// 2. A value that has not expired is dropped only while more than half of the elements are those of keys: one
///    key that is inserted again and again displaces no other.
pub(crate) struct Recent<K, V> {
    capacity: usize,
    by_key: HashMap<K, (Insertion, V)>,
    /// In the order of the insertions.
    order: VecDeque<(Insertion, K)>,
    last: u64,
}

/// An insertion; the number tells those with the same expiry apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Insertion {
    expires: Instant,
    nth: u64,
}

impl<K: Clone + Eq + Hash, V> Recent<K, V> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            by_key: HashMap::new(),
            order: VecDeque::new(),
            last: 0,
        }
    }

    /// Returns what the key had before, if that has not expired.
    pub(crate) fn insert(&mut self, key: &K, value: V, ttl: Duration) -> Option<V> {
        let now = Instant::now();
        if self.order.len() >= self.capacity && self.by_key.len() <= self.capacity / 2 {
            self.drop_outdated();
        }
        while let Some((oldest, _)) = self.order.front()
            && (oldest.expires <= now || self.order.len() >= self.capacity)
        {
            self.drop_oldest();
        }
        self.last += 1;
        let (expires, nth) = (now + ttl, self.last);
        let insertion = Insertion { expires, nth };
        self.order.push_back((insertion, key.clone()));
        let (earlier, before) = self.by_key.insert(key.clone(), (insertion, value))?;
        (earlier.expires > now).then_some(before)
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        let (insertion, value) = self.by_key.get(key)?;
        (insertion.expires > Instant::now()).then_some(value)
    }

    pub(crate) fn remove(&mut self, key: &K) {
        // Almost always empty, so the key need not be hashed.
        if !self.by_key.is_empty() {
            self.by_key.remove(key);
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.capacity);
    }

    fn drop_oldest(&mut self) {
        if let Some((oldest, key)) = self.order.pop_front()
            && is_current(&self.by_key, oldest, &key)
        {
            self.by_key.remove(&key);
        }
    }

    /// Drops the elements of keys that were removed or inserted again.
    fn drop_outdated(&mut self) {
        let by_key = &self.by_key;
        self.order
            .retain(|(insertion, key)| is_current(by_key, *insertion, key));
    }

    /// The number of values, and of what is kept for them.
    #[cfg(test)]
    pub(crate) fn sizes(&self) -> (usize, usize) {
        (self.by_key.len(), self.order.len())
    }
}

/// Whether this was the last insertion of the key.
fn is_current<K: Eq + Hash, V>(
    by_key: &HashMap<K, (Insertion, V)>,
    insertion: Insertion,
    key: &K,
) -> bool {
    let last = by_key.get(key).map(|(last, _)| *last);
    last == Some(insertion)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPACITY: usize = 20;

    #[tokio::test(start_paused = true)]
    async fn a_value_is_kept_for_its_time_and_what_has_expired_is_dropped() {
        let mut recent = Recent::new(CAPACITY);
        let second = Duration::from_secs(1);
        assert_eq!(recent.insert(&"one", 1, second), None);
        assert_eq!(recent.get(&"one"), Some(&1));
        tokio::time::advance(second / 2).await;
        assert_eq!(recent.insert(&"one", 2, second), Some(1));
        tokio::time::advance(second / 2).await;
        assert_eq!(recent.get(&"one"), Some(&2), "it lives on");
        tokio::time::advance(second / 2).await;
        assert_eq!(recent.get(&"one"), None);
        assert_eq!(recent.insert(&"other", 3, second), None);
        assert_eq!(recent.sizes(), (1, 1));
        recent.remove(&"other");
        assert_eq!(recent.get(&"other"), None);
        recent.clear();
        assert_eq!(recent.sizes(), (0, 0));
    }

    /// As by a client that signs out again and again.
    #[tokio::test(start_paused = true)]
    async fn one_key_displaces_no_other() {
        let mut recent = Recent::new(CAPACITY);
        let minute = Duration::from_mins(1);
        for key in 0..CAPACITY / 2 {
            recent.insert(&key, (), minute);
        }
        for _ in 0..1_000 {
            recent.insert(&0, (), minute);
            recent.remove(&1);
            recent.insert(&1, (), minute);
        }
        assert!((0..CAPACITY / 2).all(|key| recent.get(&key).is_some()));
        assert!(recent.sizes().1 <= CAPACITY);
    }

    /// Random calls, compared with a list of all that was inserted.
    #[tokio::test(start_paused = true)]
    async fn it_returns_what_was_inserted_last_or_nothing_and_is_bounded() {
        for seed in 0..50 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut recent = Recent::new(CAPACITY);
            let mut model: Vec<(u8, u32, Instant)> = Vec::new();
            for value in 0..1_000 {
                let key = random.u8(..30);
                let now = Instant::now();
                if random.u8(..10) == 0 {
                    recent.remove(&key);
                    model.retain(|(other, ..)| *other != key);
                } else {
                    let ttl = Duration::from_millis(random.u64(1..20));
                    recent.insert(&key, value, ttl);
                    model.retain(|(other, ..)| *other != key);
                    model.push((key, value, now + ttl));
                }
                let (values, order) = recent.sizes();
                assert!(values <= order && order <= CAPACITY, "seed {seed}");
                tokio::time::advance(Duration::from_millis(random.u64(..3))).await;
                for key in 0..30 {
                    let is_key = |(other, ..): &&(u8, u32, Instant)| *other == key;
                    let inserted = model.iter().find(is_key);
                    let lives = inserted.filter(|(.., expires)| *expires > Instant::now());
                    match (recent.get(&key), lives) {
                        (Some(value), lives) => assert_eq!(Some(value), lives.map(|(_, v, _)| v)),
                        // So many were inserted since that it was dropped for another.
                        (None, Some((_, dropped, _))) => {
                            assert!(value - dropped >= 20, "seed {seed}");
                        }
                        (None, None) => {}
                    }
                }
            }
        }
    }
}
