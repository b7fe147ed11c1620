//! The pace of checks after reports.
//!
//! A server that tracks fewer keys than sessions are live reports each session that it drops from its
//! table. The load after the report puts that session into the table again, and another one out of it: so
//! node and server would keep each other busy without end. Reports that come soon after a check, and after
//! which nothing has changed, are therefore followed more and more slowly.

use std::time::Duration;

use tokio::time::Instant;

use super::snapshot::Snapshot;

/// Maximum interval between two checks of a session while the reports of it find nothing.
const MAX_INTERVAL: Duration = Duration::from_secs(5);
/// A report that comes longer after the last check is followed at once: so seldom they may come.
const SELDOM: Duration = Duration::from_secs(1);
/// Time without such a check after which the next one is the first again.
const QUIET: Duration = Duration::from_secs(10);
/// Difference between the deadlines that two loads compute of one lifetime: the way from the store takes
/// its time.
const TOLERANCE: Duration = Duration::from_millis(100);

/// The checks since the last change that each followed a report and found nothing new; `None`: there was
/// none.
///
/// Invariants:
/// 1. The interval between two checks is at most half of the time from the first to the last of them. So
///    the first report is followed at once, and also the next one that comes a moment after a burst.
/// 2. A report that makes a certain knowledge uncertain is followed at once when it comes later than that
///    interval and [`SELDOM`]. Other loads in between do not count.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Boxed, because few sessions have it at a time.
    idle: Option<Box<Idle>>,
}

#[derive(Debug, Clone, Copy)]
struct Idle {
    since: Instant,
    last: Instant,
}

impl Idle {
    fn interval(self) -> Duration {
        ((self.last - self.since) / 2).min(MAX_INTERVAL)
    }
}

impl Pace {
    /// A load found `new` where `old` was known. `reported`: it followed a report.
    pub(super) fn found<T>(&mut self, old: &Snapshot<T>, new: &Snapshot<T>, reported: bool) {
        if has_changed(old, new) {
            self.idle = None;
        } else if reported {
            let last = Instant::now();
            let idle = self.idle.take();
            let mut idle = idle
                .filter(|idle| last <= idle.last + QUIET)
                .unwrap_or_else(|| Box::new(Idle { since: last, last }));
            idle.last = last;
            self.idle = Some(idle);
        }
    }

    /// A report came for what was certain until now.
    pub(super) fn reported(&mut self) {
        let is_seldom = |idle: &Idle| Instant::now() > idle.last + idle.interval().max(SELDOM);
        if self.idle.as_deref().is_some_and(is_seldom) {
            self.idle = None;
        }
    }

    /// The session was changed on this node, so a report of it is expected, or it is not watched any more.
    pub(super) fn reset(&mut self) {
        self.idle = None;
    }

    /// The earliest time of a check after a report; `None`: at once.
    pub(super) fn next_check(&self) -> Option<Instant> {
        self.idle.as_deref().map(|idle| idle.last + idle.interval())
    }
}

fn has_changed<T>(old: &Snapshot<T>, new: &Snapshot<T>) -> bool {
    let same_life = match (old.deadline, new.deadline) {
        (Some(old), Some(new)) => old.max(new).saturating_duration_since(old.min(new)) < TOLERANCE,
        (old, new) => old == new,
    };
    old.revision != new.revision || !same_life
}

#[cfg(test)]
#[path = "pace_tests.rs"]
mod tests;
