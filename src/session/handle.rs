//! The session handle itself.

use std::{
    convert::Infallible,
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

use crate::{
    id::SessionId,
    live::{Attachment, EndReason, LiveSessions, LiveSocket, TryUpdateError, UpdateError, View},
    store::StoreError,
};

/// A session: its data, and what can be done with it.
///
/// It is an extractor in axum handlers and in all handlers of socketioxide, and cheap to clone.
/// [`data`](Self::data) is what was known when the handle was made; in a long task, use
/// [`latest`](Self::latest).
///
/// A handle does not keep the session alive: it ends when it is [ended](Self::end) or expires.
///
/// ```
/// use socketioxide::extract::AckSender;
/// use socketioxide_session::Session;
///
/// # #[derive(Clone)] struct User { visits: u32 }
/// async fn visit(session: Session<User>, ack: AckSender) {
///     let updated = session.update(|user| user.visits += 1).await;
///     ack.send(&updated.map(|session| session.data().visits).ok()).ok();
/// }
/// # let _ = visit;
/// ```
#[must_use = "an update or a rotation returns the handle that is current; the old one stays as it was"]
pub struct Session<T: Send + Sync + 'static> {
    sessions: LiveSessions<T>,
    view: View<T>,
    /// The socket whose handler got this handle.
    socket: Option<Arc<dyn LiveSocket>>,
}

impl<T: Send + Sync + 'static> Session<T> {
    pub(crate) fn new(sessions: LiveSessions<T>, view: View<T>) -> Self {
        Self {
            sessions,
            view,
            socket: None,
        }
    }

    /// The handle of a socket on its session.
    pub(crate) fn of(attachment: &Attachment<T>) -> Self {
        Self {
            sessions: attachment.sessions().clone(),
            view: attachment.view(),
            socket: Some(attachment.socket().clone()),
        }
    }

    /// The id. It is a secret.
    #[must_use]
    pub fn id(&self) -> &SessionId {
        self.view.entry.id()
    }

    /// The data of the session, as of when this handle was made.
    #[must_use]
    pub fn data(&self) -> &T {
        &self.view.snapshot.data
    }

    /// A handle on what this node knows now. Makes no call to the store.
    ///
    /// ```
    /// use socketioxide_session::Session;
    ///
    /// /// A long task reads the data again.
    /// async fn poll(session: Session<u32>) {
    ///     while !session.has_ended() {
    ///         println!("{}", session.latest().data());
    ///         tokio::time::sleep(std::time::Duration::from_secs(10)).await;
    ///     }
    /// }
    /// # let _ = poll;
    /// ```
    pub fn latest(&self) -> Self {
        self.with(self.view.latest())
    }

    /// Loads the session from the store, bypassing what this node knows.
    ///
    /// ```
    /// use socketioxide_session::{Session, UpdateError};
    ///
    /// /// The roles as they are in the store now, for an action that can't be undone.
    /// async fn is_admin(session: &Session<Vec<String>>) -> Result<bool, UpdateError> {
    ///     let session = session.reload().await?;
    ///     Ok(session.data().iter().any(|role| role == "admin"))
    /// }
    /// # let _ = is_admin;
    /// ```
    ///
    /// # Errors
    ///
    /// When the session has ended, its record can't be decoded, or the store fails.
    pub async fn reload(&self) -> Result<Self, UpdateError> {
        Ok(self.with(self.sessions.reload(&self.view).await?))
    }

    /// When the session expires, as of when this handle was made; `None`: never.
    #[must_use]
    pub fn expires_at(&self) -> Option<SystemTime> {
        SystemTime::now().checked_add(self.expires_in()?)
    }

    /// The room that every socket of this session joins, in each of its namespaces.
    ///
    /// `io.to(session.room()).emit(…)` reaches all tabs, on all nodes when an adapter is used. It is
    /// the same on all nodes, and does not reveal the id.
    #[must_use]
    pub fn room(&self) -> String {
        self.view.entry.room().to_owned()
    }

    /// Changes the data, and returns a handle on the session with it.
    ///
    /// This is a compare-and-swap: `f` gets what the store holds, is called again when another writer
    /// was faster, and overwrites no other change. Updates of one session queue on one node, for up
    /// to five seconds. The next handler on this node sees the change at once; those on other nodes
    /// see it after the store's report.
    ///
    /// ```
    /// use socketioxide_session::{Session, UpdateError};
    ///
    /// # #[derive(Clone)] struct User { visits: u32 }
    /// async fn visit(session: Session<User>) -> Result<u32, UpdateError> {
    ///     let session = session.update(|user| user.visits += 1).await?;
    ///     Ok(session.data().visits)
    /// }
    /// # let _ = visit;
    /// ```
    ///
    /// # Errors
    ///
    /// - [`Gone`](UpdateError::Gone): the session has ended. It is not brought back.
    /// - [`Contended`](UpdateError::Contended): other writers kept being faster, for five seconds.
    /// - [`Unreadable`](UpdateError::Unreadable): the stored record can't be decoded. Nothing is saved.
    /// - [`Store`](UpdateError::Store): the store failed. The change may have taken effect.
    pub async fn update(&self, mut f: impl FnMut(&mut T)) -> Result<Self, UpdateError>
    where
        T: Clone,
    {
        let change = |data: &mut T| {
            f(data);
            Ok::<_, Infallible>(())
        };
        match self.try_update(change).await {
            Ok((session, ())) => Ok(session),
            Err(TryUpdateError::Update(error)) => Err(error),
            Err(TryUpdateError::Refused(never)) => match never {},
        }
    }

    /// As [`update`](Self::update), with a closure that may refuse the change, and that returns a
    /// value beside it.
    ///
    /// An error of the closure saves nothing, and is returned. Before that, the closure is called with
    /// what the store holds, if its first call got what this node knew.
    ///
    /// ```
    /// use socketioxide_session::{Session, UpdateError};
    ///
    /// # #[derive(Clone)] struct User { credits: u32 }
    /// # #[derive(Debug)] struct TooFew;
    /// async fn buy(session: Session<User>, price: u32) -> Option<u32> {
    ///     let bought = session.try_update(|user| {
    ///         user.credits = user.credits.checked_sub(price).ok_or(TooFew)?;
    ///         Ok::<_, TooFew>(user.credits)
    ///     });
    ///     bought.await.ok().map(|(_session, left)| left)
    /// }
    /// # let _ = buy;
    /// ```
    ///
    /// # Errors
    ///
    /// [`Refused`](TryUpdateError::Refused) with the error of the closure, and as `update`.
    pub async fn try_update<R, E>(
        &self,
        f: impl FnMut(&mut T) -> Result<R, E>,
    ) -> Result<(Self, R), TryUpdateError<E>>
    where
        T: Clone,
    {
        let (view, value) = self.sessions.update(&self.view, f).await?;
        Ok((self.with(view), value))
    }

    /// Extends the lifetime to another whole [`ttl`](crate::bridge::SessionBridgeBuilder::ttl) from
    /// now. A longer lifetime is not shortened.
    ///
    /// ```
    /// use std::time::SystemTime;
    /// use socketioxide_session::{Session, UpdateError};
    ///
    /// /// The button "I am still here".
    /// async fn stay(session: Session<String>) -> Result<Option<SystemTime>, UpdateError> {
    ///     Ok(session.touch().await?.expires_at())
    /// }
    /// # let _ = stay;
    /// ```
    ///
    /// # Errors
    ///
    /// When the session has ended, or the store fails.
    pub async fn touch(&self) -> Result<Self, UpdateError> {
        Ok(self.with(self.sessions.touch(&self.view, None).await?))
    }

    /// Extends the lifetime to `ttl` from now, if that is longer than what is left.
    ///
    /// ```
    /// use std::time::Duration;
    /// use socketioxide_session::{Session, UpdateError};
    ///
    /// async fn remember_me(session: Session<String>) -> Result<(), UpdateError> {
    ///     session.touch_for(Duration::from_hours(30 * 24)).await?;
    ///     Ok(())
    /// }
    /// # let _ = remember_me;
    /// ```
    ///
    /// # Errors
    ///
    /// When the session has ended, or the store fails.
    pub async fn touch_for(&self, ttl: Duration) -> Result<Self, UpdateError> {
        Ok(self.with(self.sessions.touch(&self.view, Some(ttl)).await?))
    }

    /// Ends the session: a logout. Its sockets are disconnected, on every node.
    ///
    /// On the handle of a session that was rotated on this node, it ends the session under its new
    /// id. On another node, the end of the old id after a rotation ends nothing.
    ///
    /// ```
    /// use socketioxide::extract::SocketRef;
    /// use socketioxide_session::{Session, StoreError};
    ///
    /// async fn on_connect(socket: SocketRef) {
    ///     socket.on("sign out", async |session: Session<String>| {
    ///         if let Err(error) = session.end().await {
    ///             eprintln!("the deletion will be retried: {error}");
    ///         }
    ///     });
    /// }
    /// # let _ = on_connect;
    /// ```
    ///
    /// # Errors
    ///
    /// When the store fails. The session has ended on this node all the same: its sockets here are
    /// disconnected and its id is refused, and the deletion is retried until the store confirms it.
    pub async fn end(&self) -> Result<(), StoreError> {
        self.sessions.end(&self.view.entry).await
    }

    /// Disconnects the sockets of this session on this node. The session itself goes on, and its
    /// clients may connect again.
    ///
    /// The JavaScript client gets `io server disconnect`, after which it stays away until the page calls
    /// `connect()`. The hook [`on_end`](crate::socketio::SessionMiddleware::on_end) is not called.
    ///
    /// ```
    /// use socketioxide_session::{Session, UpdateError};
    ///
    /// # #[derive(Clone)] struct User { admin: bool }
    /// /// A middleware has admitted its sockets as those of an administrator.
    /// async fn demote(session: &Session<User>) -> Result<(), UpdateError> {
    ///     session.update(|user| user.admin = false).await?.disconnect();
    ///     Ok(())
    /// }
    /// # let _ = demote;
    /// ```
    pub fn disconnect(&self) {
        self.sessions.disconnect(&self.view.entry);
    }

    /// Whether the session has ended, as far as this node knows.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.view.end_reason().is_some()
    }

    /// Waits until the session has ended, and returns why. Meanwhile the session is live on this node.
    ///
    /// The handle of a socket waits for at most two seconds longer than its socket lives, and returns
    /// [`SocketClosed`](EndReason::SocketClosed) then.
    pub async fn ended(&self) -> EndReason {
        self.sessions.ended(&self.view, self.socket.as_ref()).await
    }

    /// Waits until the data differs from that of this handle, and updates the handle. Meanwhile the
    /// session is live on this node.
    ///
    /// To push changes to a client, wait in a task. It ends with the session, and at most two seconds
    /// after the socket of the handle.
    ///
    /// ```
    /// # use socketioxide::extract::SocketRef;
    /// # use socketioxide_session::Session;
    /// async fn on_connect(socket: SocketRef, mut session: Session<String>) {
    ///     tokio::spawn(async move {
    ///         while session.changed().await.is_ok() {
    ///             socket.emit("session", session.data()).ok();
    ///         }
    ///     });
    /// }
    /// # socketioxide::SocketIo::new_layer().1.ns("/", on_connect);
    /// ```
    ///
    /// # Errors
    ///
    /// When the session has ended, or the socket of this handle has disconnected.
    pub async fn changed(&mut self) -> Result<(), EndReason> {
        self.view = self
            .sessions
            .changed(&self.view, self.socket.as_ref())
            .await?;
        Ok(())
    }

    /// The session is used.
    pub(crate) fn used(&self) {
        self.sessions.used(&self.view);
    }

    /// Minimum interval between two touches because of activity; `None`: no such touches.
    pub(crate) fn touch_interval(&self) -> Option<Duration> {
        self.sessions.touch_interval(&self.view)
    }

    pub(crate) fn view(&self) -> &View<T> {
        &self.view
    }

    fn with(&self, view: View<T>) -> Self {
        Self {
            sessions: self.sessions.clone(),
            view,
            socket: self.socket.clone(),
        }
    }

    fn expires_in(&self) -> Option<Duration> {
        let deadline = self.view.snapshot.deadline?;
        Some(deadline.saturating_duration_since(Instant::now()))
    }
}

impl<T: Send + Sync + 'static> Clone for Session<T> {
    fn clone(&self) -> Self {
        self.with(self.view.clone())
    }
}

// Without the data, which may be secret.
impl<T: Send + Sync + 'static> fmt::Debug for Session<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", self.id())
            .field("expires_in", &self.expires_in())
            .field("ended", &self.view.entry.end_reason())
            .finish_non_exhaustive()
    }
}
