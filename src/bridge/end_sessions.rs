//! Ends of all sessions of a user.

use std::{collections::HashSet, time::SystemTime};

use crate::{
    id::SessionId,
    store::{IndexedSession, StoreError},
};

/// Why not all sessions of a user ended. The call can be repeated.
///
/// ```
/// use socketioxide_session::{Session, SessionBridge, bridge::EndSessionsError};
///
/// async fn password_changed(sessions: &SessionBridge<String>, session: &Session<String>) -> String {
///     match sessions.end_other_sessions(session).await {
///         Ok(number) => format!("{number} other devices are signed out"),
///         Err(EndSessionsError::Remaining { remaining, .. }) => format!("{remaining} will follow"),
///         Err(error) => error.to_string(),
///     }
/// }
/// # let _ = password_changed;
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum EndSessionsError {
    /// The session belongs to no user, so there are no others.
    #[error("the session belongs to no user")]
    NoUser,
    /// The sessions could not be listed or loaded.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Some sessions were not ended, because their records could not be read, or could not be deleted:
    /// then their sockets on this node are disconnected, and the deletions are retried. The call can be
    /// repeated.
    #[error("{remaining} of the user's sessions are not deleted yet")]
    Remaining {
        /// Number of sessions that are not deleted yet, or whose records could not be read.
        remaining: usize,
        /// The last failure.
        #[source]
        error: StoreError,
    },
}

/// An end of all sessions of a user that is under way: rounds of a listing and the lookups of its ids.
///
/// Invariant: every listing names each session of the user, under the id of that moment. It may also name
/// ids that have no session any more, and the next id of a session that is being renamed. So a session can
/// escape the lookups of a round, under two ids: the next one is looked up before the rename, the former one
/// after it. All have ended when a listing names only ids that are done, or when two listings in a row name
/// no new id. Proof of the second: a session that is left did not keep its id since the first of the two, or
/// the lookup of that would have ended it. So it was renamed since then, to an id that was named before the
/// first of them, while the session had its former id already. Then the lookup of that earlier round has
/// ended it under the former one.
#[cfg_attr(test, derive(Clone))]
pub(super) struct Ending {
    began: SystemTime,
    /// A later listing ends only what was created up to then.
    created_before: Option<SystemTime>,
    /// The ids that a listing has named.
    named: HashSet<SessionId>,
    /// The ids whose session ended, or could not be ended.
    done: HashSet<SessionId>,
    /// The last listing named no new id.
    is_quiet: bool,
    failures: usize,
    last_failure: Option<StoreError>,
}

impl Ending {
    pub(super) fn new() -> Self {
        Self {
            began: SystemTime::now(),
            created_before: None,
            named: HashSet::new(),
            done: HashSet::new(),
            is_quiet: false,
            failures: 0,
            last_failure: None,
        }
    }

    /// Starts a round with a listing, the newest first. Returns the ids that are to be looked up; none when
    /// all sessions have ended.
    pub(super) fn start_round(
        &mut self,
        mut listed: Vec<IndexedSession>,
        but: &[SessionId],
    ) -> Vec<SessionId> {
        // All of the first listing end, whenever they were created: the clocks of two nodes differ. So the
        // newest of them counts, too.
        let newest = listed.first().map(|session| session.created);
        let latest = newest.map_or(self.began, |newest| newest.max(self.began));
        let before = *self.created_before.get_or_insert(latest);
        listed.retain(|session| session.created <= before && !but.contains(&session.id));
        let mut names_new = false;
        for session in &listed {
            names_new |= self.named.insert(session.id.clone());
        }
        let was_quiet = std::mem::replace(&mut self.is_quiet, !names_new);
        if was_quiet && self.is_quiet {
            return Vec::new();
        }
        let ids = listed.into_iter().map(|session| session.id);
        ids.filter(|id| !self.done.contains(id)).collect()
    }

    /// A lookup found a session, which ended or could not be ended.
    pub(super) fn note(&mut self, id: SessionId, ended: Result<(), StoreError>) {
        self.done.insert(id);
        if let Err(error) = ended {
            self.failed(error);
        }
    }

    pub(super) fn failed(&mut self, error: StoreError) {
        self.failures += 1;
        self.last_failure = Some(error);
    }

    pub(super) fn outcome(self) -> Result<usize, EndSessionsError> {
        match self.last_failure {
            None => Ok(self.done.len()),
            Some(error) => Err(EndSessionsError::Remaining {
                remaining: self.failures,
                error,
            }),
        }
    }
}

#[cfg(test)]
#[path = "end_sessions_tests.rs"]
mod tests;
