//! The sessions that this node has seen in the index, so that a load rarely writes to it.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    time::Duration,
};

use tokio::time::Instant;

use super::super::commands::MAX_TTL;
use crate::{id::SessionId, lock::Mutex};

/// Interval at which the entry of a session in use is written again, in case it was lost.
const RECHECK: Duration = Duration::from_mins(5);
/// Delay before a write to the index that failed is tried again.
const RETRY: Duration = Duration::from_secs(5);
/// Minimum interval between two prunings of the index of a user.
const PRUNE: Duration = Duration::from_mins(1);
/// Minimum number of entries that this node adds to the index of a user before it prunes it unasked.
const CROWD: usize = 256;
/// Maximum number of entries of each map. Beyond it some are forgotten, which costs writes.
const MAX_KNOWN: usize = 256 * 1024;

/// Sessions that are known to be in the index.
///
/// The keys are hashes with a random seed. Two sessions with the same one would delay a recheck.
#[derive(Default)]
pub(super) struct Coverage {
    seed: RandomState,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// By session and user: the entry exists, and is to be written again then.
    entries: HashMap<u64, Instant>,
    /// By user: the hash lives until then at least.
    hashes: HashMap<u64, Instant>,
    /// By user: the hash is not to be pruned before.
    prunings: HashMap<u64, Instant>,
    /// By user: what this node has added since it last saw the whole index.
    added: HashMap<u64, Added>,
}

/// New entries of a user.
struct Added {
    count: usize,
    /// The index is pruned when there are this many. It grows with the index, so that pruning costs each new
    /// entry the same.
    limit: usize,
}

impl Coverage {
    /// Whether the entry of a session, which lives for `left` from now, must be written. Says so once:
    /// the caller writes it, and then calls [`written`](Self::written) or [`failed`](Self::failed).
    pub(super) fn is_due(&self, user: &str, id: &SessionId, left: Option<Duration>) -> bool {
        let now = Instant::now();
        let (entry, hash) = (self.seed.hash_one((user, id)), self.seed.hash_one(user));
        let needed = later(now, left.unwrap_or(MAX_TTL));
        let mut known = self.known.lock();
        let exists = known.entries.get(&entry).is_some_and(|until| *until > now);
        let lives = known
            .hashes
            .get(&hash)
            .is_some_and(|until| *until >= needed);
        if exists && lives {
            return false;
        }
        insert(&mut known.entries, entry, later(now, RECHECK), now);
        if !lives {
            insert(&mut known.hashes, hash, needed, now);
        }
        true
    }

    /// The entry of a session exists, and the hash lives for `hash_ttl` from now.
    pub(super) fn written(&self, user: &str, id: &SessionId, hash_ttl: Duration) {
        let now = Instant::now();
        let (entry, hash) = (self.seed.hash_one((user, id)), self.seed.hash_one(user));
        let mut known = self.known.lock();
        insert(&mut known.entries, entry, later(now, RECHECK), now);
        insert(&mut known.hashes, hash, later(now, hash_ttl), now);
    }

    /// This node added an entry. `true` when the index may hold many of sessions that have expired, which only
    /// a pruning removes: an application may never list the sessions of its users.
    pub(super) fn is_crowded(&self, user: &str) -> bool {
        let hash = self.seed.hash_one(user);
        let mut known = self.known.lock();
        if known.added.len() >= MAX_KNOWN && !known.added.contains_key(&hash) {
            known.added.clear();
        }
        let added = known.added.entry(hash).or_insert(Added {
            count: 0,
            limit: CROWD,
        });
        added.count += 1;
        let crowded = added.count >= added.limit;
        if crowded {
            added.count = 0;
        }
        crowded
    }

    /// The whole index of a user was seen, with this number of entries.
    pub(super) fn counted(&self, user: &str, entries: usize) {
        let hash = self.seed.hash_one(user);
        if let Some(added) = self.known.lock().added.get_mut(&hash) {
            added.limit = CROWD.max(entries / 2);
        }
    }

    /// The entry of a session could not be written.
    pub(super) fn failed(&self, user: &str, id: &SessionId) {
        let now = Instant::now();
        let entry = self.seed.hash_one((user, id));
        insert(
            &mut self.known.lock().entries,
            entry,
            later(now, RETRY),
            now,
        );
    }

    /// Whether the index of a user may be pruned now. Says so once a minute.
    pub(super) fn is_pruning_due(&self, user: &str) -> bool {
        let now = Instant::now();
        let hash = self.seed.hash_one(user);
        let mut known = self.known.lock();
        let due = known.prunings.get(&hash).is_none_or(|until| *until <= now);
        if due {
            insert(&mut known.prunings, hash, later(now, PRUNE), now);
        }
        due
    }
}

fn later(now: Instant, by: Duration) -> Instant {
    now.checked_add(by).unwrap_or(now)
}

fn insert(map: &mut HashMap<u64, Instant>, key: u64, until: Instant, now: Instant) {
    if map.len() >= MAX_KNOWN && !map.contains_key(&key) {
        map.retain(|_, until| *until > now);
        if map.len() >= MAX_KNOWN {
            map.clear();
        }
    }
    map.insert(key, until);
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    #[tokio::test(start_paused = true)]
    async fn an_entry_is_written_once_and_again_when_it_may_be_lost() {
        let coverage = Coverage::default();
        let [one, two] = [(); 2].map(|()| SessionId::generate().unwrap());
        let due = |id, left| coverage.is_due("ann", id, Some(left));
        assert!(due(&one, HOUR));
        assert!(!due(&one, HOUR));
        // Another session, another user, a longer life.
        assert!(due(&two, HOUR));
        assert!(coverage.is_due("eve", &one, Some(HOUR)));
        assert!(due(&one, 2 * HOUR));
        assert!(!due(&two, 2 * HOUR));
        coverage.written("ann", &one, 3 * HOUR);
        assert!(!due(&one, 3 * HOUR));
        assert!(due(&one, 4 * HOUR));
        tokio::time::advance(RECHECK).await;
        assert!(due(&one, HOUR));
        // A failure is tried again soon, and not at once.
        coverage.failed("ann", &one);
        assert!(!due(&one, HOUR));
        tokio::time::advance(RETRY).await;
        assert!(due(&one, HOUR));
    }

    #[test]
    fn an_index_is_pruned_unasked_after_it_has_grown_by_half() {
        let coverage = Coverage::default();
        let crowded_after = || (1..10_000).find(|_| coverage.is_crowded("ann"));
        assert_eq!(crowded_after(), Some(CROWD));
        coverage.counted("ann", 1);
        assert_eq!(crowded_after(), Some(CROWD));
        coverage.counted("ann", 10_000);
        coverage.counted("eve", 1);
        assert!(!coverage.is_crowded("eve"));
        assert_eq!(crowded_after(), Some(5_000));
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_bounded_and_prunes_once_a_minute() {
        let coverage = Coverage::default();
        for _ in 0..2 * MAX_KNOWN {
            let id = SessionId::generate().unwrap();
            let user = id.expose().to_owned();
            assert!(coverage.is_due(&user, &id, None));
            assert!(coverage.is_pruning_due(&user));
            assert!(!coverage.is_crowded(&user));
        }
        {
            let known = coverage.known.lock();
            for map in [&known.entries, &known.hashes, &known.prunings] {
                assert!(map.len() <= MAX_KNOWN);
            }
            assert!(known.added.len() <= MAX_KNOWN);
        }
        assert!(coverage.is_pruning_due("ann"));
        assert!(!coverage.is_pruning_due("ann"));
        tokio::time::advance(PRUNE).await;
        assert!(coverage.is_pruning_due("ann"));
    }
}
