//! The interval at which activity touches a session.

use std::time::Duration;

/// Maximum interval between two touches because of activity, if none is set.
const MAX_INTERVAL: Duration = Duration::from_mins(5);

/// Interval at which activity touches a session, and the kinds of activity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TouchEvery {
    /// The interval that was set.
    pub(crate) set: Option<Duration>,
    /// Being connected counts as activity.
    pub(crate) while_connected: bool,
}

impl TouchEvery {
    /// Minimum interval between two touches of a session with this lifetime: a tenth of it but at most
    /// five minutes, if none is set. An interval that was set is halved where a lifetime of `ttl_of`
    /// is shorter than it, because the session would never be touched.
    pub(crate) fn interval(self, ttl: Duration) -> Duration {
        match self.set {
            None => (ttl / 10).min(MAX_INTERVAL),
            Some(interval) if interval < ttl => interval,
            Some(_) => ttl / 2,
        }
    }
}
