//! Log lines about a session, once a minute.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use crate::{id::SessionId, lock::Mutex};

const INTERVAL: Duration = Duration::from_mins(1);
/// Maximum number of remembered sessions. While it is reached, no further session is logged.
const CAPACITY: usize = 1_000;

/// The sessions that were logged within the last minute.
#[derive(Default)]
pub(super) struct Throttle(Mutex<HashMap<SessionId, Instant>>);

impl Throttle {
    /// Whether a line about this session may be logged now.
    pub(super) fn allows(&self, id: &SessionId) -> bool {
        let now = Instant::now();
        let recent = |at: &Instant| now.saturating_duration_since(*at) < INTERVAL;
        let mut logged = self.0.lock();
        if logged.get(id).is_some_and(recent) {
            return false;
        }
        if logged.len() >= CAPACITY {
            logged.retain(|_, at| recent(at));
        }
        if logged.len() >= CAPACITY {
            return false;
        }
        logged.insert(id.clone(), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_session_is_logged_once_a_minute_and_the_number_is_bounded() {
        let throttle = Throttle::default();
        let id = |n: usize| -> SessionId { format!("id-{n}").parse().unwrap() };
        assert!(throttle.allows(&id(0)) && !throttle.allows(&id(0)));
        for n in 1..2 * CAPACITY {
            throttle.allows(&id(n));
        }
        assert_eq!(throttle.0.lock().len(), CAPACITY);
        tokio::time::advance(INTERVAL).await;
        assert!(throttle.allows(&id(0)));
        assert!(throttle.allows(&id(2 * CAPACITY)));
    }
}
