//! The rate of reconnections after a server became a replica.

use std::time::Duration;

use tokio::time::Instant;

use crate::lock::Mutex;

/// Delay between the first two reconnections. Each further one doubles it.
const FIRST_DELAY: Duration = Duration::from_secs(1);
/// Maximum delay between two reconnections.
const MAX_DELAY: Duration = Duration::from_secs(30);

/// Limits reconnections, so that an endpoint which stays a replica is not reconnected to in a loop.
#[derive(Debug, Default)]
pub(super) struct Reconnects(Mutex<Option<Last>>);

#[derive(Debug, Clone, Copy)]
struct Last {
    at: Instant,
    /// Delay before the next one.
    delay: Duration,
}

impl Reconnects {
    /// Whether to reconnect now. `true` starts the delay before the next reconnection.
    pub(super) fn is_due(&self) -> bool {
        let now = Instant::now();
        let mut last = self.0.lock();
        let delay = match *last {
            Some(last) if now < last.at + last.delay => return false,
            // Another failover, long after the last one.
            Some(last) if now > last.at + 2 * MAX_DELAY => FIRST_DELAY,
            Some(last) => (last.delay * 2).min(MAX_DELAY),
            None => FIRST_DELAY,
        };
        *last = Some(Last { at: now, delay });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_delay_grows_up_to_a_maximum_and_starts_over_after_a_while() {
        let reconnects = Reconnects::default();
        assert!(reconnects.is_due());
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            tokio::time::advance(Duration::from_millis(seconds * 1_000 - 1)).await;
            assert!(!reconnects.is_due(), "{seconds}");
            tokio::time::advance(Duration::from_millis(1)).await;
            assert!(reconnects.is_due(), "{seconds}");
        }
        tokio::time::advance(Duration::from_secs(61)).await;
        assert!(reconnects.is_due());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(reconnects.is_due());
    }
}
