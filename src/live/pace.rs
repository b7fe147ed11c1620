//! The pace of checks after reports.
//!
//! A server that tracks fewer keys than sessions are live reports each session that it drops from its
//! table. The load after the report puts that session into the table again, and another one out of it: so
//! node and server would keep each other busy without end. Reports after which nothing has changed are
//! therefore followed more and more slowly.

use std::time::Duration;

use tokio::time::Instant;

use super::snapshot::Snapshot;

/// Maximum interval between two checks of a session while the reports of it find nothing.
const MAX_INTERVAL: Duration = Duration::from_secs(5);
/// Time without such a report after which the next one is the first again.
const QUIET: Duration = Duration::from_secs(10);
/// Difference between the deadlines that two loads compute of one lifetime: the way from the store takes
/// its time.
const TOLERANCE: Duration = Duration::from_millis(100);

/// Since when each report of a session was followed by a load that found nothing new; `None`: the last one
/// found a change, or there was none.
///
/// Invariant: the interval between two checks is at most half of that time. So the first report is followed
/// at once, and also the next one that comes a moment after a burst.
#[derive(Debug, Default)]
pub(super) struct Pace {
    idle_since: Option<Instant>,
}

impl Pace {
    /// A load found `new` where `old` was known. `reported`: it followed a report.
    pub(super) fn found<T>(&mut self, old: &Snapshot<T>, new: &Snapshot<T>, reported: bool) {
        if has_changed(old, new) {
            self.idle_since = None;
        } else if reported {
            let goes_on = new.checked <= old.checked + QUIET;
            let since = self.idle_since.filter(|_| goes_on);
            self.idle_since = Some(since.unwrap_or(new.checked));
        }
    }

    /// The session was changed on this node, so a report of it is expected.
    pub(super) fn reset(&mut self) {
        self.idle_since = None;
    }

    /// The earliest time of a check after a report, when this is the last that is known.
    pub(super) fn next_check<T>(&self, known: &Snapshot<T>) -> Instant {
        let idle = self
            .idle_since
            .map(|since| known.checked.saturating_duration_since(since));
        known.checked + (idle.unwrap_or_default() / 2).min(MAX_INTERVAL)
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
