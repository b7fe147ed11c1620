//! The face of this module: what the rest of the crate does with live sessions.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use tokio::time::Instant;

use super::{
    activity,
    config::Config,
    core::Core,
    end,
    entry::Entry,
    load,
    load_error::LoadError,
    reason::EndReason,
    retire::Disconnect,
    rotate,
    snapshot::{Snapshot, deadline_after},
    socket::{LiveSocket, Presence, Seat},
    update,
    update_error::{TryUpdateError, UpdateError},
    users, worker,
};
use crate::{
    id::SessionId,
    store::{Created, GuardedStore, StoreError, StoreErrorKind},
};

/// Interval at which a waiter of a socket's handle looks at the socket.
const SOCKET_INTERVAL: Duration = Duration::from_secs(2);
/// Interval at which a shutdown looks whether the touches are written.
const SHUTDOWN_INTERVAL: Duration = Duration::from_millis(5);
/// Time after a deadline from which on a session counts as over even though the worker has not ended it.
const OVERDUE: Duration = Duration::from_secs(1);

/// The live sessions of a bridge. Cheap to clone.
pub(crate) struct LiveSessions<T>(Arc<Core<T>>);

/// What a handle holds: its entry, and what was known when the handle was made.
pub(crate) struct View<T> {
    pub(crate) entry: Arc<Entry<T>>,
    pub(crate) snapshot: Arc<Snapshot<T>>,
}

impl<T> View<T> {
    /// Why the session has ended, as far as this node knows.
    pub(crate) fn end_reason(&self) -> Option<EndReason> {
        let state = self.entry.state();
        if let Some(reason) = state.end_reason() {
            return Some(reason);
        }
        // The worker ends it at its deadline; this is for a worker that is late.
        let deadline = state.snapshot().unwrap_or(&self.snapshot).deadline?;
        let overdue = Instant::now().saturating_duration_since(deadline) > OVERDUE;
        overdue.then_some(EndReason::Expired)
    }

    /// What this node knows of the session now; never older than the view itself.
    pub(crate) fn latest(&self) -> Self {
        Self {
            entry: self.entry.clone(),
            snapshot: self
                .entry
                .snapshot()
                .unwrap_or_else(|| self.snapshot.clone()),
        }
    }
}

/// Holds a socket attached to its session; dropped with the socket.
pub(crate) struct Attachment<T: Send + Sync + 'static> {
    sessions: LiveSessions<T>,
    entry: Arc<Entry<T>>,
    key: u64,
    socket: Arc<dyn LiveSocket>,
}

impl<T: Send + Sync + 'static> LiveSessions<T> {
    pub(crate) fn new(store: GuardedStore<T>, config: Config<T>) -> Self {
        Self(Arc::new(Core::new(store, config)))
    }

    #[cfg(test)]
    pub(super) fn core(&self) -> &Arc<Core<T>> {
        &self.0
    }

    pub(crate) fn config(&self) -> &Config<T> {
        &self.0.config
    }

    pub(crate) fn store(&self) -> &GuardedStore<T> {
        &self.0.store
    }

    /// Number of sessions with sockets here, or with callers that wait for their end or a change.
    pub(crate) fn session_count(&self) -> usize {
        self.0.live_sessions()
    }

    pub(crate) fn socket_count(&self) -> usize {
        self.0.live_sockets()
    }

    /// Number of deletions that the store has not confirmed.
    pub(crate) fn owed_count(&self) -> usize {
        self.0.owed.len()
    }

    /// Starts the worker if it does not run.
    pub(crate) fn ensure_worker(&self) {
        worker::ensure(&self.0);
    }

    /// The session of an HTTP request.
    pub(crate) async fn resolve(&self, id: &SessionId) -> Result<View<T>, LoadError> {
        self.ensure_worker();
        let entry = self.0.entry(id);
        let snapshot = load::current(&self.0, &entry).await?;
        Ok(View { entry, snapshot })
    }

    /// Admits a socket to a session. It is attached first, then the session is loaded, then it joins
    /// its room: whatever ends the session in between finds the socket.
    pub(crate) async fn admit(
        &self,
        id: &SessionId,
        socket: Arc<dyn LiveSocket>,
    ) -> Result<Attachment<T>, LoadError> {
        self.ensure_worker();
        self.check_not_shut_down()?;
        let entry = self.0.entry(id);
        let key = self.0.attach(&entry, &socket).ok_or(LoadError::NotFound)?;
        let attachment = Attachment {
            sessions: self.clone(),
            entry,
            key,
            socket,
        };
        load::current(&self.0, &attachment.entry).await?;
        // A shutdown that began meanwhile did not find the socket.
        self.check_not_shut_down()?;
        attachment.socket.join(attachment.entry.room().to_owned());
        users::join(&self.0, &attachment.entry, &attachment.socket);
        if attachment.entry.end_reason().is_some() {
            // Whatever ended the session before the room was joined could not take the socket out.
            attachment.socket.leave_rooms();
            return Err(LoadError::NotFound);
        }
        self.used(&attachment.view());
        Ok(attachment)
    }

    fn check_not_shut_down(&self) -> Result<(), LoadError> {
        if self.0.shut_down.load(Ordering::SeqCst) {
            return Err(LoadError::Store(StoreError::shut_down()));
        }
        Ok(())
    }

    /// A socket is about to take this seat. Sockets of ended sessions that had it no longer act on it.
    /// `false` when one of them did not stop within the time of a call of the store.
    pub(crate) async fn succeed(&self, seat: impl FnOnce() -> Seat) -> bool {
        let deadline = self.0.call_deadline();
        self.0.retiring.succeed(seat, deadline).await
    }

    /// Creates a session; `None` when the id is taken.
    pub(crate) async fn create(
        &self,
        id: &SessionId,
        data: T,
        ttl: Duration,
    ) -> Result<Option<View<T>>, StoreError> {
        let began = Instant::now();
        let Created::Created(revision) = self.0.store.create(id, &data, ttl).await? else {
            return Ok(None);
        };
        let snapshot = Arc::new(Snapshot {
            data: Arc::new(data),
            revision,
            deadline: deadline_after(began, ttl),
            checked: began,
        });
        let entry = rotate::created(&self.0, id, &snapshot);
        Ok(Some(View { entry, snapshot }))
    }

    /// Whether a deletion of this id is owed here.
    pub(crate) fn is_owed(&self, id: &SessionId) -> bool {
        self.0.owed.contains(id)
    }

    /// Waits until the session has ended, or `socket` is gone.
    pub(crate) async fn ended(
        &self,
        view: &View<T>,
        socket: Option<&Arc<dyn LiveSocket>>,
    ) -> EndReason {
        let watching = self.watch(&view.entry);
        loop {
            let changed = watching.entry.changed.notified();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            if let Some(reason) = watching.entry.end_reason() {
                return reason;
            }
            if wait(changed, socket).await {
                return EndReason::SocketClosed;
            }
        }
    }

    /// Waits until the data is another than in `view`.
    pub(crate) async fn changed(
        &self,
        view: &View<T>,
        socket: Option<&Arc<dyn LiveSocket>>,
    ) -> Result<View<T>, EndReason> {
        let watching = self.watch(&view.entry);
        loop {
            let changed = watching.entry.changed.notified();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            {
                let state = watching.entry.state();
                if let Some(reason) = state.end_reason() {
                    return Err(reason);
                }
                if let Some(known) = state.snapshot()
                    && known.revision != view.snapshot.revision
                {
                    return Ok(View {
                        entry: view.entry.clone(),
                        snapshot: known.clone(),
                    });
                }
            }
            if wait(changed, socket).await {
                return Err(EndReason::SocketClosed);
            }
        }
    }

    /// Keeps the entry watched, and has it loaded if it is stale.
    fn watch(&self, entry: &Arc<Entry<T>>) -> Watching<T> {
        self.ensure_worker();
        self.0.watch(entry);
        Watching {
            core: self.0.clone(),
            entry: entry.clone(),
        }
    }

    pub(crate) async fn reload(&self, view: &View<T>) -> Result<View<T>, UpdateError> {
        self.ensure_worker();
        let snapshot = load::reload(&self.0, &view.entry).await?;
        Ok(View {
            entry: view.entry.clone(),
            snapshot,
        })
    }

    pub(crate) async fn update<R, E>(
        &self,
        view: &View<T>,
        f: impl FnMut(&mut T) -> Result<R, E>,
    ) -> Result<(View<T>, R), TryUpdateError<E>>
    where
        T: Clone,
    {
        self.ensure_worker();
        let updated = update::update(&self.0, &view.entry, &view.snapshot, f).await?;
        let (old, new) = (&updated.old.data, updated.new);
        let snapshot = activity::data_changed(&self.0, &view.entry, old, new).await;
        let entry = view.entry.clone();
        Ok((View { entry, snapshot }, updated.value))
    }

    pub(crate) async fn touch(
        &self,
        view: &View<T>,
        ttl: Option<Duration>,
    ) -> Result<View<T>, UpdateError> {
        self.ensure_worker();
        let snapshot = update::touch(&self.0, &view.entry, &view.snapshot, ttl).await?;
        let entry = view.entry.clone();
        Ok(View { entry, snapshot })
    }

    /// The session is used: keeps it alive, if the bridge does that and it is time.
    pub(crate) fn used(&self, view: &View<T>) {
        self.ensure_worker();
        activity::used(&self.0, &view.entry, &view.snapshot);
    }

    /// Minimum interval between two touches of this session because of activity; `None`: no such
    /// touches.
    pub(crate) fn touch_interval(&self, view: &View<T>) -> Option<Duration> {
        let (config, known) = (&self.0.config, view.latest());
        let touch = config.touch_every?;
        Some(touch.interval(config.uncapped_ttl_of(&known.snapshot.data)))
    }

    pub(crate) async fn rotate(
        &self,
        view: &View<T>,
        new: &SessionId,
        when: Disconnect,
    ) -> Result<View<T>, UpdateError> {
        self.ensure_worker();
        let rotated = rotate::rotate(&self.0, &view.entry, &view.snapshot, new, when).await?;
        let (entry, mut snapshot) = rotated;
        if self.0.config.ttl_of.is_some() {
            snapshot = activity::renew(&self.0, &entry, snapshot).await;
        }
        Ok(View { entry, snapshot })
    }

    /// Ends the session of a handle.
    pub(crate) async fn end(&self, entry: &Arc<Entry<T>>) -> Result<(), StoreError> {
        self.ensure_worker();
        self.can_delete()?;
        end::end(&self.0, entry).await
    }

    /// Ends a session by its id, without loading it.
    pub(crate) async fn end_by_id(&self, id: &SessionId) -> Result<(), StoreError> {
        self.ensure_worker();
        self.can_delete()?;
        // It ends the new id, too, while no client knows that.
        let rotating = self.0.find(id).filter(|entry| entry.state().is_rotating());
        let entry = rotating.unwrap_or_else(|| self.0.entry(id));
        end::end(&self.0, &entry).await
    }

    /// Ends a session that another one replaces: its sockets are inert at once, here and on nodes that
    /// find the mark.
    pub(crate) async fn replace(&self, id: &SessionId, when: Disconnect) -> Result<(), StoreError> {
        self.ensure_worker();
        self.can_delete()?;
        end::replace(&self.0, id, when).await
    }

    /// Disconnects the sockets of a session, which goes on.
    pub(crate) fn disconnect(&self, entry: &Arc<Entry<T>>) {
        let sockets = entry.state().sockets.list.clone();
        let sockets = sockets.into_iter().map(|(_, socket)| socket).collect();
        let reason = EndReason::SocketClosed;
        self.0.retiring.retire(sockets, reason, Disconnect::Now);
    }

    /// A session in a store that only reads is ended where it is written.
    fn can_delete(&self) -> Result<(), StoreError> {
        if self.0.store.capabilities().delete {
            return Ok(());
        }
        tracing::error!("a session can't be ended: its store does not delete");
        Err(StoreErrorKind::Unsupported.into())
    }

    /// Admits no more sockets, makes the owed deletions and touches, and returns the number of
    /// deletions that are left after `within`.
    pub(crate) async fn shut_down(&self, within: Duration) -> usize {
        self.0.shut_down.store(true, Ordering::SeqCst);
        self.ensure_worker();
        let finish = async {
            let deletions = self.0.owed.ids();
            let deletions = deletions.iter().map(|id| end::delete(&self.0, id));
            futures_util::future::join_all(deletions).await;
            while self.0.queue.has_writes() || self.0.writes.load(Ordering::Relaxed) > 0 {
                tokio::time::sleep(SHUTDOWN_INTERVAL).await;
            }
        };
        let _ = tokio::time::timeout(within, finish).await;
        self.0.owed.len()
    }

    /// Loads and verifies all live sessions again, and waits for it.
    pub(crate) async fn revalidate(&self) {
        self.ensure_worker();
        let checks = self.0.watched().into_iter().map(|entry| {
            let core = self.0.clone();
            async move { drop(load::reload(&core, &entry).await) }
        });
        stream::iter(checks)
            .buffer_unordered(32)
            .collect::<()>()
            .await;
    }
}

/// Waits for a notification, or until the socket is gone: then returns `true`.
async fn wait(
    mut changed: std::pin::Pin<&mut tokio::sync::futures::Notified<'_>>,
    socket: Option<&Arc<dyn LiveSocket>>,
) -> bool {
    let Some(socket) = socket else {
        changed.await;
        return false;
    };
    loop {
        let gone = matches!(socket.presence(), Presence::Gone | Presence::Leaving);
        if gone {
            return true;
        }
        if tokio::time::timeout(SOCKET_INTERVAL, changed.as_mut())
            .await
            .is_ok()
        {
            return false;
        }
    }
}

/// A caller that waits for the end or a change of a session.
struct Watching<T> {
    core: Arc<Core<T>>,
    entry: Arc<Entry<T>>,
}

impl<T> Drop for Watching<T> {
    fn drop(&mut self) {
        self.core.unwatch(&self.entry);
    }
}

impl<T: Send + Sync + 'static> Attachment<T> {
    pub(crate) fn view(&self) -> View<T> {
        View {
            entry: self.entry.clone(),
            snapshot: self.entry.snapshot().expect("it was loaded at admission"),
        }
    }

    #[cfg(test)]
    pub(super) fn entry(&self) -> &Arc<Entry<T>> {
        &self.entry
    }

    pub(crate) fn end_reason(&self) -> Option<EndReason> {
        self.entry.end_reason()
    }

    pub(crate) fn id(&self) -> &SessionId {
        self.entry.id()
    }

    pub(crate) fn sessions(&self) -> &LiveSessions<T> {
        &self.sessions
    }

    pub(crate) fn socket(&self) -> &Arc<dyn LiveSocket> {
        &self.socket
    }
}

impl<T: Send + Sync + 'static> Drop for Attachment<T> {
    fn drop(&mut self) {
        self.sessions.0.detach(&self.entry, self.key);
    }
}

impl<T> Clone for View<T> {
    fn clone(&self) -> Self {
        Self {
            entry: self.entry.clone(),
            snapshot: self.snapshot.clone(),
        }
    }
}

impl<T> Clone for LiveSessions<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}
