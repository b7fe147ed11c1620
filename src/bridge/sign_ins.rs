//! The sign-ins of the last seconds, to find the first of a double click.

use std::time::Duration;

use crate::{id::SessionId, lock::Mutex, recent::Recent};

/// Time within which a second sign-in of the same user from the same session replaces the first.
const WINDOW: Duration = Duration::from_secs(5);
/// Maximum number of remembered sign-ins.
const CAPACITY: usize = 1_000;

/// The sign-ins of the last seconds that presented a session: what was created, by the presented id and the
/// user.
pub(crate) struct SignIns(Mutex<Recent<(SessionId, String), SessionId>>);

impl SignIns {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Recent::new(CAPACITY)))
    }

    /// Remembers a sign-in, and returns the session that an earlier one of the same user created from
    /// the same presented id.
    pub(crate) fn record(
        &self,
        presented: &SessionId,
        user: &str,
        created: &SessionId,
    ) -> Option<SessionId> {
        let key = (presented.clone(), user.to_owned());
        self.0.lock().insert(&key, created.clone(), WINDOW)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> SessionId {
        text.parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_double_click_finds_the_first_click() {
        let sign_ins = SignIns::new();
        let record = |presented: &str, user: &str, created: &str| {
            sign_ins.record(&id(presented), user, &id(created))
        };
        assert_eq!(record("old", "ann", "first"), None);
        assert_eq!(record("old", "bob", "bobs"), None);
        assert_eq!(record("other", "ann", "others"), None);
        assert_eq!(record("old", "ann", "second"), Some(id("first")));
        assert_eq!(record("old", "ann", "third"), Some(id("second")));
        tokio::time::advance(WINDOW).await;
        assert_eq!(record("old", "ann", "later"), None);
    }
}
