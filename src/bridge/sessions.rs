//! The operations of applications on sessions, and the admission of sockets.

use std::{sync::Arc, time::Duration};

use super::{error::CreateError, lookup::refused, session_bridge::SessionBridge};
use crate::{
    extractor::Handshake,
    id::SessionId,
    live::{Attachment, Disconnect, LiveSocket, LoadError, Seat, UpdateError},
    observe::{self, target},
    rejection::SessionRejection,
    session::Session,
    store::{StoreError, StoreErrorKind},
};

/// Maximum number of ids tried for a new session. A random id of 128 bits is never taken.
const CREATE_ATTEMPTS: usize = 3;

impl<T: Send + Sync + 'static> SessionBridge<T> {
    /// Finds the session of a handshake.
    ///
    /// # Errors
    ///
    /// When there is none, or the store fails. The rejection is logged, and passed to the
    /// [hook](super::SessionBridgeBuilder::on_rejection).
    pub async fn resolve(&self, handshake: &Handshake<'_>) -> Result<Session<T>, SessionRejection> {
        let session = self
            .find(handshake)
            .await
            .inspect_err(|rejection| self.report(rejection, handshake))?;
        Ok(session)
    }

    /// As [`resolve`](Self::resolve); the caller decides whether a rejection is one.
    pub(crate) async fn find(
        &self,
        handshake: &Handshake<'_>,
    ) -> Result<Session<T>, SessionRejection> {
        let view = self.look_up(handshake).await?;
        let session = Session::new(self.inner.live.clone(), view);
        session.used();
        Ok(session)
    }

    /// The session with this id; `None` when it does not exist.
    ///
    /// # Errors
    ///
    /// When its record can't be decoded, or the store fails.
    pub async fn get(&self, id: &SessionId) -> Result<Option<Session<T>>, StoreError> {
        match self.inner.live.resolve(id).await {
            Ok(view) => Ok(Some(Session::new(self.inner.live.clone(), view))),
            Err(LoadError::NotFound | LoadError::Revoked) => Ok(None),
            Err(LoadError::Unreadable(error) | LoadError::Store(error)) => Err(error),
        }
    }

    // --- Creating and ending ----------------------------------------------------------------------

    /// Creates a session that lives for the bridge's [`ttl`](super::SessionBridgeBuilder::ttl).
    ///
    /// At a login, use [`sign_in`](Self::sign_in), which ends the session that the client had.
    ///
    /// # Errors
    ///
    /// When the store fails, or the operating system returns no randomness.
    /// [`NoLifetime`](StoreErrorKind::NoLifetime) when [`ttl_of`](super::SessionBridgeBuilder::ttl_of) returns
    /// zero, or [`max_lifetime`](super::SessionBridgeBuilder::max_lifetime) a time that has passed.
    pub async fn create(&self, data: T) -> Result<Session<T>, StoreError>
    where
        T: Clone,
    {
        let ttl = self.inner.live.config().ttl_of(&data);
        self.create_new(data, ttl).await
    }

    /// Creates a session that lives for `ttl`. (Activity extends it to the bridge's `ttl`.)
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # use socketioxide_session::{Keyring, MemoryStore, SecretKey, SessionBridge, SignedCookie};
    /// # let cookie = SignedCookie::new("sid", &Keyring::new(SecretKey::generate()?))?;
    /// # let store = MemoryStore::<String>::new();
    /// use std::time::{Duration, SystemTime};
    ///
    /// let sessions = SessionBridge::builder(cookie, store).build()?;
    /// let guest = sessions.create_for("a guest".to_owned(), Duration::from_mins(5)).await?;
    /// assert!(guest.expires_at() < Some(SystemTime::now() + Duration::from_mins(6)));
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create). A `ttl` of zero is [`NoLifetime`](StoreErrorKind::NoLifetime).
    pub async fn create_for(&self, data: T, ttl: Duration) -> Result<Session<T>, StoreError>
    where
        T: Clone,
    {
        let ttl = self.inner.live.config().capped(ttl, &data);
        self.create_new(data, ttl).await
    }

    async fn create_new(&self, data: T, ttl: Duration) -> Result<Session<T>, StoreError>
    where
        T: Clone,
    {
        for _ in 0..CREATE_ATTEMPTS {
            let created = self
                .inner
                .live
                .create(&new_id()?, data.clone(), ttl)
                .await?;
            if let Some(view) = created {
                return Ok(Session::new(self.inner.live.clone(), view));
            }
        }
        let why = "every new session id was taken";
        Err(StoreError::new(StoreErrorKind::Other, why))
    }

    /// Creates a session with an id of the application's, such as the `sid` or `jti` of an identity
    /// provider, that lives for `ttl`.
    ///
    /// Such ids are no secrets, so they belong in signed or encrypted credentials only. An id is to
    /// be used once: a credential that was issued for an ended session would be good again. For a minute
    /// after this node has ended a session, its id is [`Taken`](CreateError::Taken), so that a login whose
    /// callback arrives after the logout does not undo it. The application must remember ids that ended
    /// earlier, or on other nodes.
    ///
    /// ```
    /// use std::time::Duration;
    /// use socketioxide_session::{Session, SessionBridge, SessionId, bridge::CreateError};
    ///
    /// /// After the login at an identity provider, with the `sid` of its token.
    /// async fn signed_in(
    ///     sessions: &SessionBridge<String>,
    ///     sid: &SessionId,
    ///     name: String,
    /// ) -> Result<Session<String>, CreateError> {
    ///     sessions.create_with_id(sid, name, Duration::from_hours(8)).await
    /// }
    /// # let _ = signed_in;
    /// ```
    ///
    /// # Errors
    ///
    /// [`Taken`](CreateError::Taken) when a session of this id exists, or was ended or rotated here within
    /// the last minute, or its deletion is owed here; else when the store fails. A `ttl` of zero is
    /// [`NoLifetime`](StoreErrorKind::NoLifetime).
    pub async fn create_with_id(
        &self,
        id: &SessionId,
        data: T,
        ttl: Duration,
    ) -> Result<Session<T>, CreateError> {
        if self.inner.live.was_ended(id) {
            return Err(CreateError::Taken);
        }
        let ttl = self.inner.live.config().capped(ttl, &data);
        let created = self.inner.live.create(id, data, ttl).await?;
        let view = created.ok_or(CreateError::Taken)?;
        if self.inner.live.was_ended(id) {
            // An end came meanwhile, perhaps before the session existed.
            self.end(id).await?;
            return Err(CreateError::Taken);
        }
        Ok(Session::new(self.inner.live.clone(), view))
    }

    /// Gives a session a new id, and returns a handle on it: after a change of rights, so that an id
    /// which another party learned before is worthless.
    ///
    /// The sockets of the old id end as [`Rotated`](crate::EndReason::Rotated): no handler with a session
    /// runs for them from now on, and they are disconnected after a second, or earlier when the session ends.
    /// In an HTTP handler, use [`rotate_for`](Self::rotate_for), which waits for the answer with the new
    /// credential instead.
    ///
    /// # Errors
    ///
    /// When the session has ended, or the store fails. After a failure of the store, the session may
    /// be gone.
    pub async fn rotate(&self, session: &Session<T>) -> Result<Session<T>, UpdateError> {
        self.rotate_at(session, Disconnect::later()).await
    }

    pub(crate) async fn rotate_at(
        &self,
        session: &Session<T>,
        when: Disconnect,
    ) -> Result<Session<T>, UpdateError> {
        let new = new_id()?;
        let view = self.inner.live.rotate(session.view(), &new, when).await?;
        self.inner.transports.replaced(session.id(), &new);
        Ok(Session::new(self.inner.live.clone(), view))
    }

    /// Ends a session by its id, without loading it, as [`Session::end`] does.
    ///
    /// # Errors
    ///
    /// When the store fails; see [`Session::end`].
    pub async fn end(&self, id: &SessionId) -> Result<(), StoreError> {
        self.inner.live.end_by_id(id).await
    }

    /// Ends a session that another one replaces. The deletion is owed if it fails.
    pub(crate) async fn replace(
        &self,
        old: &SessionId,
        new: &Session<T>,
        when: Disconnect,
    ) -> Result<(), StoreError> {
        self.inner.transports.replaced(old, new.id());
        self.inner.live.replace(old, &new.view().entry, when).await
    }

    /// The session that an earlier sign-in of the same user created from the same presented id.
    pub(crate) fn double_click(
        &self,
        presented: &SessionId,
        new: &Session<T>,
    ) -> Option<SessionId> {
        let user = self.inner.live.store().user_id(new.data())?;
        self.inner.sign_ins.record(presented, &user, new.id())
    }

    /// Loads and [verifies](super::SessionBridgeBuilder::verify) all live sessions of this node now, and
    /// returns when that is done. Sessions that are gone or refused end.
    pub async fn revalidate(&self) {
        self.inner.live.revalidate().await;
    }

    /// Prepares the end of the process: refuses new admissions as `STORE_ERROR`, makes the touches and
    /// deletions that are owed, waits for what the store [writes in the
    /// background](crate::SessionStore::flush), and returns the number of deletions that are left after
    /// `within`, which is logged, too.
    ///
    /// Then close the server with `io.close()`. JavaScript clients see `transport close` and connect again by
    /// themselves, to another node. The guide on [operation](crate::docs::operation#stopping) has the
    /// signals to wait for.
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use socketioxide::SocketIo;
    /// use socketioxide_session::SessionBridge;
    ///
    /// async fn stop(sessions: SessionBridge<String>, io: SocketIo) {
    ///     tokio::signal::ctrl_c().await.ok();
    ///     sessions.shutdown(Duration::from_secs(2)).await;
    ///     io.close().await;
    /// }
    /// # let _ = stop;
    /// ```
    pub async fn shutdown(&self, within: Duration) -> usize {
        let left = self.inner.live.shut_down(within).await;
        if left > 0 {
            tracing::error!(
                target: target::STORE,
                deletions = left,
                "ended sessions are not deleted at shutdown"
            );
        }
        left
    }

    // --- Sockets ----------------------------------------------------------------------------------

    /// Admits a socket: identified, attached, and its session known to exist.
    pub(crate) async fn admit(
        &self,
        handshake: &Handshake<'_>,
        socket: &Arc<dyn LiveSocket>,
    ) -> Result<Attachment<T>, SessionRejection> {
        let id = self.identify(handshake).await?;
        observe::identified(|| id.fingerprint());
        let admitted = self.inner.live.admit(&id, socket.clone()).await;
        admitted.map_err(|error| refused(&id, error))
    }

    /// A socket is about to take this seat.
    ///
    /// # Errors
    ///
    /// When an earlier one does not let go of it in time.
    pub(crate) async fn succeed(
        &self,
        seat: impl FnOnce() -> Seat,
    ) -> Result<(), SessionRejection> {
        if self.inner.live.succeed(seat).await {
            return Ok(());
        }
        Err(SessionRejection::StoreError(StoreErrorKind::Timeout.into()))
    }
}

fn new_id() -> Result<SessionId, StoreError> {
    SessionId::generate().map_err(|error| StoreError::new(StoreErrorKind::Other, error))
}
