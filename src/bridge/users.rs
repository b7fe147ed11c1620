//! All sessions of a user.

use std::{cmp::Reverse, collections::HashSet, time::SystemTime};

use futures_util::{Stream, StreamExt as _, stream};

use super::session_bridge::SessionBridge;
use crate::{
    id::SessionId,
    live::user_room,
    session::Session,
    store::{StoreError, StoreErrorKind},
};

/// Maximum number of sessions of a user that are loaded or ended at the same time.
const CONCURRENCY: usize = 100;
/// Maximum number of listings, after which sessions that go on being renamed are left.
const MAX_LISTINGS: usize = 10;

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

impl<T: Send + Sync + 'static> SessionBridge<T> {
    /// The sessions of a user, the newest first: "these are my devices".
    ///
    /// Only sessions whose data still belongs to the user are returned. A record that can't be decoded
    /// is left out.
    ///
    /// ```
    /// use futures_util::TryStreamExt;
    /// use socketioxide_session::{Session, SessionBridge, StoreError};
    ///
    /// # struct User { device: String }
    /// async fn devices(sessions: &SessionBridge<User>, user: &str) -> Result<Vec<String>, StoreError> {
    ///     let sessions = sessions.sessions_of_user(user);
    ///     sessions.map_ok(|session| session.data().device.clone()).try_collect().await
    /// }
    /// # let _ = devices;
    /// ```
    ///
    /// # Errors
    ///
    /// [`Unsupported`](StoreErrorKind::Unsupported) when the store has no index of users; else when
    /// it fails.
    pub fn sessions_of_user(
        &self,
        user: &str,
    ) -> impl Stream<Item = Result<Session<T>, StoreError>> + Send + Unpin + use<T> {
        let (bridge, user) = (self.clone(), user.to_owned());
        let listed = async move {
            match bridge.list(&user, None).await {
                Ok(ids) => bridge.load_all(user, ids).left_stream(),
                Err(error) => stream::iter([Err(error)]).right_stream(),
            }
        };
        stream::once(listed).flatten().boxed()
    }

    /// Ends all sessions of a user: "log out everywhere". Returns the number of sessions that ended.
    ///
    /// Sessions that are created meanwhile go on; those that are renamed meanwhile end.
    ///
    /// # Errors
    ///
    /// When the store fails. The call can be repeated.
    pub async fn end_sessions_of_user(&self, user: &str) -> Result<usize, EndSessionsError> {
        self.end_all(user, None).await
    }

    /// Ends all sessions of the user of this session but this one: a new password, or "sign out
    /// everywhere else". Returns the number of sessions that ended.
    ///
    /// # Errors
    ///
    /// [`NoUser`](EndSessionsError::NoUser) when the session belongs to no user; else as
    /// [`end_sessions_of_user`](Self::end_sessions_of_user).
    pub async fn end_other_sessions(
        &self,
        session: &Session<T>,
    ) -> Result<usize, EndSessionsError> {
        let user = self.inner.live.store().user_id(session.data());
        let user = user.ok_or(EndSessionsError::NoUser)?;
        self.end_all(&user, Some(session.id())).await
    }

    /// The room of all sockets of a user, in each namespace: `io.to(sessions.user_room("42"))`. A
    /// socket joins it at its admission, or when its session gains the user.
    #[must_use]
    pub fn user_room(&self, user: &str) -> String {
        user_room(user)
    }

    async fn end_all(
        &self,
        user: &str,
        but: Option<&SessionId>,
    ) -> Result<usize, EndSessionsError> {
        // The clocks of two nodes differ, so all of the first listing end, whenever they were created.
        let mut before = None;
        let began = SystemTime::now();
        let mut done = HashSet::new();
        let mut failed = None;
        for _ in 0..MAX_LISTINGS {
            let ids = self.list(user, before).await?;
            before = Some(began);
            let left = |id: &SessionId| Some(id) != but && !done.contains(id);
            let ids: Vec<_> = ids.into_iter().filter(left).collect();
            let found: Vec<_> = self.of_user(user, ids).collect().await;
            if found.is_empty() {
                break;
            }
            for (id, is_of_user) in found {
                let ended = match is_of_user {
                    Ok(()) => self.inner.live.end_by_id(&id).await,
                    Err(error) => Err(error),
                };
                done.insert(id);
                if let Err(error) = ended {
                    failed = Some((failed.map_or(0, |(failed, _)| failed) + 1, error));
                }
            }
        }
        match failed {
            None => Ok(done.len()),
            Some((remaining, error)) => Err(EndSessionsError::Remaining { remaining, error }),
        }
    }

    /// The ids in the index of a user, the newest first.
    async fn list(
        &self,
        user: &str,
        before: Option<SystemTime>,
    ) -> Result<Vec<SessionId>, StoreError> {
        let mut sessions = self.inner.live.store().sessions_of_user(user).await?;
        sessions.retain(|session| before.is_none_or(|before| session.created <= before));
        sessions.sort_by_key(|session| Reverse(session.created));
        Ok(sessions.into_iter().map(|session| session.id).collect())
    }

    /// Those of these ids whose sessions belong to the user, also when they are not admitted any more,
    /// and those for which that could not be found out.
    fn of_user<'a>(
        &'a self,
        user: &'a str,
        ids: Vec<SessionId>,
    ) -> impl Stream<Item = (SessionId, Result<(), StoreError>)> + Send + 'a {
        let store = self.inner.live.store();
        let loads = stream::iter(ids)
            .map(move |id| async move {
                let loaded = store.load(&id).await;
                (id, loaded)
            })
            .buffered(CONCURRENCY);
        loads.filter_map(move |(id, loaded)| {
            let found = match loaded {
                Ok(Some(record)) if store.user_id(&record.data).as_deref() == Some(user) => {
                    Some((id, Ok(())))
                }
                Ok(_) => None,
                Err(error) => Some((id, Err(error))),
            };
            std::future::ready(found)
        })
    }

    /// Those of these sessions that belong to the user, in their order.
    fn load_all(
        &self,
        user: String,
        ids: Vec<SessionId>,
    ) -> impl Stream<Item = Result<Session<T>, StoreError>> + Send + use<T> {
        let (loader, bridge) = (self.clone(), self.clone());
        let loads = stream::iter(ids)
            .map(move |id| {
                let bridge = loader.clone();
                async move { bridge.get(&id).await }
            })
            .buffered(CONCURRENCY);
        loads.filter_map(move |found| {
            let of_user = match found {
                Ok(Some(session)) => {
                    let own = bridge.inner.live.store().user_id(session.data());
                    (own.as_deref() == Some(&*user)).then_some(Ok(session))
                }
                Ok(None) => None,
                Err(error) if error.kind() == StoreErrorKind::Decode => None,
                Err(error) => Some(Err(error)),
            };
            std::future::ready(of_user)
        })
    }
}
