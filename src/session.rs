//! The handle on a session that handlers get.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

use crate::{
    id::SessionId,
    live::{Attachment, EndReason, Live, UpdateError, View},
    store::StoreError,
};

/// A session: what it holds, and what can be done with it.
///
/// It is an extractor in axum handlers and in all handlers of socketioxide, and cheap to clone.
/// [`data`](Self::data) is what was known when the handle was made; in a long task, ask for the
/// [`latest`](Self::latest).
///
/// A handle keeps nothing alive: the session ends when it is [ended](Self::end) or expires.
pub struct Session<T: Send + Sync + 'static> {
    live: Live<T>,
    id: SessionId,
    view: View<T>,
}

impl<T: Send + Sync + 'static> Session<T> {
    pub(crate) fn new(live: Live<T>, id: SessionId, view: View<T>) -> Self {
        Self { live, id, view }
    }

    /// The handle of a socket on its session.
    pub(crate) fn of(attachment: &Attachment<T>) -> Self {
        let id = attachment.id().clone();
        Self::new(attachment.live().clone(), id, attachment.view())
    }

    /// The id. It is a secret.
    #[must_use]
    pub fn id(&self) -> &SessionId {
        &self.id
    }

    /// What the session holds, as of when this handle was made.
    #[must_use]
    pub fn data(&self) -> &T {
        &self.view.snapshot.data
    }

    /// A handle on what this node knows now. Asks nobody.
    #[must_use]
    pub fn latest(&self) -> Self {
        self.with(self.live.latest(&self.id, &self.view))
    }

    /// A handle on what the store holds now.
    ///
    /// # Errors
    ///
    /// When the session has ended, or the store fails.
    pub async fn reload(&self) -> Result<Self, UpdateError> {
        let view = self.live.reload(&self.id, &self.view).await?;
        Ok(self.with(view))
    }

    /// When the session expires, as this handle knows; `None`: never.
    #[must_use]
    pub fn expires_at(&self) -> Option<SystemTime> {
        let left = self
            .view
            .snapshot
            .deadline?
            .saturating_duration_since(Instant::now());
        SystemTime::now().checked_add(left)
    }

    /// The room that every socket of this session joins, in each of its namespaces:
    /// `io.to(session.room()).emit(…)` reaches all tabs, on all nodes when an adapter is used. It is
    /// the same on all nodes, and does not reveal the id.
    #[must_use]
    pub fn room(&self) -> String {
        self.id.room()
    }

    /// Changes what the session holds, and gives a handle on it.
    ///
    /// This is a compare-and-swap: `f` gets what the store holds, is called again when somebody else
    /// was faster, and nobody's change is overwritten. Updates of one session on one node queue. The
    /// next handler on this node sees the change at once, those on other nodes when they are told.
    ///
    /// # Errors
    ///
    /// - [`Gone`](UpdateError::Gone): the session has ended. It is not brought back.
    /// - [`Contended`](UpdateError::Contended): others kept being faster, for five seconds.
    /// - [`Store`](UpdateError::Store): the store failed. The change may have happened.
    pub async fn update(&self, f: impl FnMut(&mut T)) -> Result<Self, UpdateError>
    where
        T: Clone,
    {
        let view = self.live.update(&self.id, &self.view, f).await?;
        Ok(self.with(view))
    }

    /// Lets the session live for another whole
    /// [`ttl`](crate::bridge::SessionBridgeBuilder::ttl) from now. A longer life is not shortened.
    ///
    /// # Errors
    ///
    /// When the session has ended, or the store fails.
    pub async fn touch(&self) -> Result<(), UpdateError> {
        self.live.touch(&self.id, &self.view).await
    }

    /// Ends the session: a logout. Its sockets are closed, on every node that is told.
    ///
    /// # Errors
    ///
    /// When the store fails. The session has ended on this node all the same: its sockets here are
    /// closed and its id is refused, and the deletion is tried again until it succeeds or the session
    /// has expired.
    pub async fn end(&self) -> Result<(), StoreError> {
        self.live.end(&self.id).await
    }

    /// Whether the session has ended, as far as this node knows.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.live.end_reason(&self.id, &self.view).is_some()
    }

    /// Waits until the session has ended, and says why. While somebody waits, this node keeps an eye
    /// on the session.
    pub async fn ended(&self) -> EndReason {
        match self.live.end_reason(&self.id, &self.view) {
            Some(reason) => reason,
            None => self.live.ended(&self.id, &self.view).await,
        }
    }

    /// Waits until the session holds something else than this handle knows, and lets the handle know
    /// it. While somebody waits, this node keeps an eye on the session.
    ///
    /// To push changes to a client, wait in a task, and abort it when the socket disconnects: else it
    /// waits for as long as the session lives.
    ///
    /// ```
    /// # use socketioxide::extract::SocketRef;
    /// # use socketioxide_session::Session;
    /// async fn on_connect(socket: SocketRef, mut session: Session<String>) {
    ///     let client = socket.clone();
    ///     let pushes = tokio::spawn(async move {
    ///         while session.changed().await.is_ok() {
    ///             client.emit("session", session.data()).ok();
    ///         }
    ///     })
    ///     .abort_handle();
    ///     socket.on_disconnect(async move || pushes.abort());
    /// }
    /// # socketioxide::SocketIo::new_layer().1.ns("/", on_connect);
    /// ```
    ///
    /// # Errors
    ///
    /// When the session has ended.
    pub async fn changed(&mut self) -> Result<(), EndReason> {
        self.view = match self.live.end_reason(&self.id, &self.view) {
            Some(reason) => return Err(reason),
            None => self.live.changed(&self.id, &self.view).await?,
        };
        Ok(())
    }

    /// Somebody uses the session.
    pub(crate) fn used(&self) {
        self.live.used(&self.id, &self.view.snapshot);
    }

    pub(crate) fn view(&self) -> &View<T> {
        &self.view
    }

    fn with(&self, view: View<T>) -> Self {
        Self::new(self.live.clone(), self.id.clone(), view)
    }
}

impl<T: Send + Sync + 'static> Clone for Session<T> {
    fn clone(&self) -> Self {
        self.with(self.view.clone())
    }
}

// Without the data, which may be anybody's secret.
impl<T: Send + Sync + 'static> fmt::Debug for Session<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.id)
            .field("expires_in", &self.expires_in())
            .field("ended", &self.view.end.reason())
            .finish_non_exhaustive()
    }
}

impl<T: Send + Sync + 'static> Session<T> {
    fn expires_in(&self) -> Option<Duration> {
        let deadline = self.view.snapshot.deadline?;
        Some(deadline.saturating_duration_since(Instant::now()))
    }
}

/// The session of a client that may have none: the extractor beside
/// [`optional`](crate::SessionBridge::optional), and in axum handlers.
///
/// `None` is a client without a session from the beginning. When the session of a socket has ended,
/// this extractor fails as [`Session`] does; it never turns into `None`.
#[derive(Debug)]
pub struct MaybeSession<T: Send + Sync + 'static>(pub Option<Session<T>>);

impl<T: Send + Sync + 'static> Clone for MaybeSession<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}
