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
    disconnect::Disconnect,
    end,
    entry::Entry,
    load,
    load_error::LoadError,
    retire::Why,
    rotate,
    snapshot::{Snapshot, deadline_after},
    socket::Seat,
    update,
    update_error::{TryUpdateError, UpdateError},
    view::View,
    worker,
};
use crate::{
    id::SessionId,
    observe::target,
    store::{Created, GuardedStore, StoreError, StoreErrorKind},
};

/// Interval at which a shutdown looks whether the touches are written.
const SHUTDOWN_INTERVAL: Duration = Duration::from_millis(5);

/// The live sessions of a bridge. Cheap to clone.
pub(crate) struct LiveSessions<T>(pub(super) Arc<Core<T>>);

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

    /// A socket is about to take this seat. Sockets of ended sessions that had it no longer act on it.
    /// `false` when one of them did not stop within the time of a call of the store.
    pub(crate) async fn succeed(&self, seat: impl FnOnce() -> Seat) -> bool {
        self.0.retiring.succeed(seat, self.0.store.timeout()).await
    }

    /// Creates a session; `None` when the id is taken. Without a lifetime, none is created: its client would
    /// get a credential that is worthless.
    pub(crate) async fn create(
        &self,
        id: &SessionId,
        data: T,
        ttl: Duration,
    ) -> Result<Option<View<T>>, StoreError> {
        if ttl.is_zero() {
            return Err(StoreErrorKind::NoLifetime.into());
        }
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

    /// Whether a deletion of this id is owed here, or a caller here has ended its session within the last minute.
    pub(crate) fn was_ended(&self, id: &SessionId) -> bool {
        self.0.owed.contains(id) || self.0.ended.lock().get(id).is_some()
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
        let rotating = self
            .0
            .find(id)
            .filter(|entry| entry.state().life.is_rotating());
        let entry = rotating.unwrap_or_else(|| self.0.entry(id));
        end::end(&self.0, &entry).await
    }

    /// Ends a session that `new` replaces: its sockets are inert at once, here and on nodes that find the
    /// mark. Those here are disconnected at the given time, or with the end of the new session.
    pub(crate) async fn replace(
        &self,
        id: &SessionId,
        new: &Arc<Entry<T>>,
        when: Disconnect,
    ) -> Result<(), StoreError> {
        self.ensure_worker();
        self.can_delete()?;
        end::replace(&self.0, id, new, when).await
    }

    /// Disconnects the sockets of a session, which goes on.
    pub(crate) fn disconnect(&self, entry: &Arc<Entry<T>>) {
        let sockets = entry.state().sockets.list.clone();
        let sockets = sockets.into_iter().map(|(_, socket)| socket).collect();
        let why = Why::socket_closed();
        self.0
            .retiring
            .retire(sockets, entry.room(), why, Disconnect::Now);
    }

    /// A session in a store that only reads is ended where it is written.
    fn can_delete(&self) -> Result<(), StoreError> {
        if self.0.store.capabilities().delete {
            return Ok(());
        }
        tracing::error!(
            target: target::STORE,
            "a session can't be ended: its store does not delete"
        );
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
            self.0.store.flush().await;
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

impl<T> Clone for LiveSessions<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}
