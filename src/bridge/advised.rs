//! Advice that is logged once an hour.

use std::{collections::HashSet, time::Duration};

use tokio::time::Instant;

use crate::lock::Mutex;

/// Delay before the same text may be logged again.
const INTERVAL: Duration = Duration::from_hours(1);
/// Maximum number of texts within an interval, because clients choose the origins in them.
const CAPACITY: usize = 100;

/// The texts that were logged in the interval that is under way.
#[derive(Default)]
pub(super) struct Advised(Mutex<Logged>);

#[derive(Default)]
struct Logged {
    texts: HashSet<String>,
    /// The end of the interval.
    until: Option<Instant>,
}

impl Advised {
    /// Whether the text is to be logged now.
    pub(super) fn is_new(&self, advice: &str) -> bool {
        let now = Instant::now();
        let mut logged = self.0.lock();
        if logged.until.is_none_or(|until| until <= now) {
            logged.texts.clear();
            logged.until = Some(now + INTERVAL);
        }
        logged.texts.len() < CAPACITY && logged.texts.insert(advice.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_text_is_logged_once_an_hour_and_the_number_is_bounded() {
        let advised = Advised::default();
        assert!(advised.is_new("a") && !advised.is_new("a"));
        let new = (0..2 * CAPACITY).filter(|n| advised.is_new(&n.to_string()));
        assert_eq!(new.count(), CAPACITY - 1);
        tokio::time::advance(INTERVAL).await;
        assert!(advised.is_new("a") && !advised.is_new("a"));
        assert!(advised.is_new("0"));
    }
}
