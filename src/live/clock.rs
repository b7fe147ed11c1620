//! Notices that the machine was suspended.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// A wall clock that is ahead by more than this has jumped: the machine was suspended.
const CLOCK_JUMP: Duration = Duration::from_secs(2);

/// Compares the wall clock with tokio's: on a suspended machine only the wall clock goes on.
pub(super) struct Clock {
    wall: SystemTime,
    monotonic: Instant,
}

impl Clock {
    pub(super) fn now() -> Self {
        Self {
            wall: SystemTime::now(),
            monotonic: Instant::now(),
        }
    }

    pub(super) fn has_jumped(&mut self) -> bool {
        let last = std::mem::replace(self, Self::now());
        let wall = self.wall.duration_since(last.wall).unwrap_or_default();
        let monotonic = self.monotonic.saturating_duration_since(last.monotonic);
        wall.saturating_sub(monotonic) > CLOCK_JUMP
    }
}
