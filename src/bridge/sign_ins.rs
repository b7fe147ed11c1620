//! The sign-ins of the last seconds, to find the first of a double click.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use crate::{id::SessionId, lock::Mutex};

/// Time within which a second sign-in of the same user from the same session replaces the first.
const WINDOW: Duration = Duration::from_secs(5);
/// Maximum number of remembered sign-ins.
const CAPACITY: usize = 1_000;

/// The sign-ins of the last seconds that presented a session.
#[derive(Default)]
pub(crate) struct SignIns(Mutex<VecDeque<SignIn>>);

struct SignIn {
    at: Instant,
    presented: SessionId,
    user: String,
    created: SessionId,
}

impl SignIns {
    /// Remembers a sign-in, and returns the session that an earlier one of the same user created from
    /// the same presented id.
    pub(crate) fn record(
        &self,
        presented: &SessionId,
        user: &str,
        created: &SessionId,
    ) -> Option<SessionId> {
        let now = Instant::now();
        let mut sign_ins = self.0.lock();
        let too_old = |sign_in: &SignIn| now.saturating_duration_since(sign_in.at) >= WINDOW;
        while sign_ins.len() >= CAPACITY || sign_ins.front().is_some_and(too_old) {
            sign_ins.pop_front();
        }
        let same = |sign_in: &SignIn| sign_in.presented == *presented && sign_in.user == user;
        let earlier = sign_ins.iter().position(same);
        let earlier = earlier.and_then(|at| sign_ins.remove(at));
        sign_ins.push_back(SignIn {
            at: now,
            presented: presented.clone(),
            user: user.to_owned(),
            created: created.clone(),
        });
        earlier.map(|sign_in| sign_in.created)
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
        let sign_ins = SignIns::default();
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
        for n in 0..2 * CAPACITY {
            record(&format!("id-{n}"), "ann", "new");
        }
        assert!(sign_ins.0.lock().len() <= CAPACITY);
    }
}
