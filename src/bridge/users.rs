//! All sessions of a user.

use std::cmp::Reverse;

use futures_util::{Stream, StreamExt as _, stream};

use super::{
    end_sessions::{EndSessionsError, Ending},
    session_bridge::SessionBridge,
};
use crate::{
    id::SessionId,
    live::user_room,
    session::Session,
    store::{IndexedSession, StoreError, StoreErrorKind},
};

/// Maximum number of sessions of a user that are loaded or ended at the same time.
const CONCURRENCY: usize = 100;
/// Maximum number of listings, after which it is an error that a session goes on being renamed.
const MAX_LISTINGS: usize = 10;

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
            match bridge.list(&user).await {
                Ok(listed) => bridge.load_all(user, listed).left_stream(),
                Err(error) => stream::iter([Err(error)]).right_stream(),
            }
        };
        stream::once(listed).flatten().boxed()
    }

    /// Ends all sessions of a user: "log out everywhere". Returns the number of sessions that ended. Their
    /// sockets are disconnected, on every node.
    ///
    /// Sessions that are created meanwhile go on; those that are renamed meanwhile end.
    ///
    /// ```
    /// use socketioxide_session::{SessionBridge, bridge::EndSessionsError};
    ///
    /// async fn account_was_stolen(sessions: &SessionBridge<String>, user: &str) -> Result<(), EndSessionsError> {
    ///     let ended = sessions.end_sessions_of_user(user).await?;
    ///     println!("{ended} sessions of {user} have ended");
    ///     Ok(())
    /// }
    /// # let _ = account_was_stolen;
    /// ```
    ///
    /// # Errors
    ///
    /// When the store fails. [`Remaining`](EndSessionsError::Remaining) when some sessions ended and others
    /// did not. The call can be repeated.
    pub async fn end_sessions_of_user(&self, user: &str) -> Result<usize, EndSessionsError> {
        self.end_all(user, Vec::new).await
    }

    /// Ends all sessions of the user of this session but this one: a new password, or "sign out
    /// everywhere else". Returns the number of sessions that ended.
    ///
    /// A session that was rotated on this node stays under its new id, also when the handle is an older one.
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
        self.end_all(&user, || session.view().ids()).await
    }

    /// The room of all sockets of a user, in each namespace: `io.to(sessions.user_room("42"))`. A
    /// socket joins it at its admission, or when its session gains the user.
    #[must_use]
    pub fn user_room(&self, user: &str) -> String {
        user_room(user)
    }

    /// Ends the sessions of a user, round by round: see [`Ending`]. Those of the ids that `but` returns go on.
    async fn end_all(
        &self,
        user: &str,
        but: impl Fn() -> Vec<SessionId>,
    ) -> Result<usize, EndSessionsError> {
        let mut ending = Ending::new();
        for _ in 0..MAX_LISTINGS {
            let listed = self.list(user).await?;
            // After the listing, which may name an id that a rotation is giving a session.
            let ids = ending.start_round(listed, &but());
            if ids.is_empty() {
                return ending.outcome();
            }
            let ended: Vec<_> = self.end_each(user, ids).collect().await;
            for (id, ended) in ended {
                ending.note(id, ended);
            }
        }
        let why = "a session of the user is renamed all the time";
        ending.failed(StoreError::new(StoreErrorKind::Unavailable, why));
        ending.outcome()
    }

    /// The sessions in the index of a user, the newest first.
    async fn list(&self, user: &str) -> Result<Vec<IndexedSession>, StoreError> {
        let mut sessions = self.inner.live.store().sessions_of_user(user).await?;
        sessions.sort_by_key(|session| Reverse(session.created));
        Ok(sessions)
    }

    /// Ends those of these sessions that belong to the user. Returns their ids, and those for which that
    /// could not be found out.
    fn end_each<'a>(
        &'a self,
        user: &'a str,
        ids: Vec<SessionId>,
    ) -> impl Stream<Item = (SessionId, Result<(), StoreError>)> + Send + 'a {
        let ends = stream::iter(ids)
            .map(move |id| async move { Some((id.clone(), self.end_one(user, &id).await?)) })
            .buffer_unordered(CONCURRENCY);
        ends.filter_map(std::future::ready)
    }

    /// Ends a session that belongs to the user, also when it is not admitted any more; `None` when it does
    /// not, or does not exist.
    async fn end_one(&self, user: &str, id: &SessionId) -> Option<Result<(), StoreError>> {
        let store = self.inner.live.store();
        match store.load(id).await {
            Ok(Some(record)) if store.user_id(&record.data).as_deref() == Some(user) => {
                Some(self.inner.live.end_by_id(id).await)
            }
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        }
    }

    /// Those of these sessions that belong to the user, in their order.
    fn load_all(
        &self,
        user: String,
        listed: Vec<IndexedSession>,
    ) -> impl Stream<Item = Result<Session<T>, StoreError>> + Send + use<T> {
        let (loader, bridge) = (self.clone(), self.clone());
        let loads = stream::iter(listed)
            .map(move |listed| {
                let bridge = loader.clone();
                async move { bridge.get(&listed.id).await }
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
