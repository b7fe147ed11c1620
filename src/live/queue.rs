//! The store calls that the worker has to make.

use std::{collections::VecDeque, sync::Arc};

use super::entry::Entry;
use crate::{id::SessionId, lock::Mutex};

/// A store call that the worker has to make.
pub(super) enum Job<T> {
    /// Load the session again.
    Check(Arc<Entry<T>>),
    /// Make an owed deletion.
    Delete(SessionId),
    /// Extend the lifetime of a session that was used.
    Touch(Arc<Entry<T>>),
}

/// Queue that a job waits in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    /// Checks after reports and at deadlines.
    Urgent,
    /// Owed deletions and touches.
    Write,
    /// Periodic checks, and those after the feed broke.
    Routine,
}

/// The jobs in three lanes. Of eight jobs taken, five prefer the urgent lane, two the write lane and
/// one the routine lane, and an empty lane's share goes to the next one: no lane starves.
pub(super) struct Queue<T>(Mutex<Lanes<T>>);

struct Lanes<T> {
    lanes: [VecDeque<Job<T>>; 3],
    taken: usize,
}

const SHARES: [Lane; 8] = [
    Lane::Urgent,
    Lane::Write,
    Lane::Urgent,
    Lane::Urgent,
    Lane::Routine,
    Lane::Urgent,
    Lane::Write,
    Lane::Urgent,
];

impl<T> Queue<T> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Lanes {
            lanes: [const { VecDeque::new() }; 3],
            taken: 0,
        }))
    }

    pub(super) fn push(&self, lane: Lane, job: Job<T>) {
        self.0.lock().lanes[lane as usize].push_back(job);
    }

    pub(super) fn has_writes(&self) -> bool {
        !self.0.lock().lanes[Lane::Write as usize].is_empty()
    }

    /// The next job; none of the write lane unless `writes`.
    pub(super) fn pop(&self, writes: bool) -> Option<(Lane, Job<T>)> {
        let mut queue = self.0.lock();
        let preferred = SHARES[queue.taken % SHARES.len()];
        let order = [preferred, Lane::Urgent, Lane::Write, Lane::Routine];
        let lane = order
            .into_iter()
            .filter(|lane| writes || *lane != Lane::Write)
            .find(|lane| !queue.lanes[*lane as usize].is_empty())?;
        queue.taken = queue.taken.wrapping_add(1);
        queue.lanes[lane as usize]
            .pop_front()
            .map(|job| (lane, job))
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.lock().lanes.iter().map(VecDeque::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_lane_starves() {
        let queue = Queue::<()>::new();
        let id: SessionId = "an-id".parse().unwrap();
        for _ in 0..100 {
            for lane in [Lane::Urgent, Lane::Write, Lane::Routine] {
                queue.push(lane, Job::Delete(id.clone()));
            }
        }
        let mut taken = [0; 3];
        for _ in 0..80 {
            let (lane, _) = queue.pop(true).unwrap();
            taken[lane as usize] += 1;
        }
        assert_eq!(taken, [50, 20, 10]);
        // The rest is taken without gaps.
        assert_eq!(std::iter::from_fn(|| queue.pop(false)).count(), 140);
        assert_eq!(std::iter::from_fn(|| queue.pop(true)).count(), 80);
    }
}
