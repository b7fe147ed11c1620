//! Changes of a session that are made here.

use std::{sync::Arc, time::Duration};

use backon::{BackoffBuilder as _, ExponentialBuilder};
use tokio::time::Instant;

use super::{
    EndReason, Live, LoadError, Snapshot, View,
    agenda::{Deletion, Task},
    entry::Entry,
    state::deadline,
};
use crate::{
    id::SessionId,
    store::{Saved, StoreError},
};

/// The first pause between two attempts of an update that somebody else's got ahead of.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);
/// So long an update may go on pausing.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long touches are collected before they are written together.
const TOUCHES_TOGETHER: Duration = Duration::from_secs(1);
const FIRST_DELETE_DELAY: Duration = Duration::from_millis(200);

/// A change of a session did not happen.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum UpdateError {
    /// The session does not exist any more.
    #[error("the session has ended")]
    Gone,
    /// Others kept changing the session for five seconds.
    #[error("the session is changed by others all the time")]
    Contended,
    /// The store failed. The change may have happened all the same.
    #[error("the session could not be changed")]
    Store(#[source] StoreError),
}

impl From<StoreError> for UpdateError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<LoadError> for UpdateError {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Gone => Self::Gone,
            LoadError::Store(error) => Self::Store(error),
        }
    }
}

impl<T: Send + Sync + 'static> Live<T> {
    /// Asks the store, whatever is known here.
    pub(crate) async fn reload(
        &self,
        id: &SessionId,
        view: &View<T>,
    ) -> Result<View<T>, UpdateError> {
        let entry = self.entry_of(id, view)?;
        let loaded = self.load(&entry).await?;
        Ok(View::of(&entry, loaded.snapshot))
    }

    /// Replaces the data by what `f` makes of it, as often as it takes until nobody else was faster.
    pub(crate) async fn update(
        &self,
        id: &SessionId,
        view: &View<T>,
        mut f: impl FnMut(&mut T),
    ) -> Result<View<T>, UpdateError>
    where
        T: Clone,
    {
        let entry = self.entry_of(id, view)?;
        let _turn = entry.updates.lock().await;
        let mut base = match entry.known() {
            Some(known) => known,
            None => view.snapshot.clone(),
        };
        let mut pauses = pauses();
        let mut first = true;
        loop {
            if let Some(view) = self.try_update(&entry, &base, &mut f).await? {
                return Ok(view);
            }
            if !std::mem::take(&mut first) {
                let pause = pauses.next().ok_or(UpdateError::Contended)?;
                tokio::time::sleep(pause).await;
            }
            base = self.load(&entry).await?.snapshot;
        }
    }

    /// One attempt; `None` when somebody else was faster.
    async fn try_update(
        &self,
        entry: &Arc<Entry<T>>,
        base: &Snapshot<T>,
        f: &mut impl FnMut(&mut T),
    ) -> Result<Option<View<T>>, UpdateError>
    where
        T: Clone,
    {
        let Some(expected) = &base.revision else {
            return Ok(None);
        };
        let before = entry.mark(self.0.feed.epoch());
        let mut data = T::clone(&base.data);
        f(&mut data);
        let data = Arc::new(data);
        match self.0.store.save(&entry.id, &data, expected).await {
            Ok(Saved::Saved(revision)) => {
                let overtaken = entry
                    .install_saved(data, revision, base, before)
                    .ok_or(UpdateError::Gone)?;
                if overtaken {
                    self.check_soon(entry);
                }
                let snapshot = entry.known().ok_or(UpdateError::Gone)?;
                Ok(Some(View::of(entry, snapshot)))
            }
            Ok(Saved::Conflict) => Ok(None),
            Ok(Saved::Gone) => {
                self.missing(entry);
                Err(UpdateError::Gone)
            }
            Err(error) => {
                // It may have happened; the store knows.
                self.check_soon(entry);
                Err(UpdateError::Store(error))
            }
        }
    }

    pub(crate) async fn touch(&self, id: &SessionId, view: &View<T>) -> Result<(), UpdateError> {
        let entry = self.entry_of(id, view)?;
        let known = entry.known().unwrap_or_else(|| view.snapshot.clone());
        self.touch_entry(&entry, &known.data).await
    }

    async fn touch_entry(&self, entry: &Arc<Entry<T>>, data: &T) -> Result<(), UpdateError> {
        let ttl = self.0.config.ttl;
        let began = Instant::now();
        match self.0.store.touch(&entry.id, data, ttl).await {
            Ok(true) => {
                entry.extend(deadline(began, ttl));
                Ok(())
            }
            Ok(false) => {
                self.missing(entry);
                Err(UpdateError::Gone)
            }
            Err(error) => Err(UpdateError::Store(error)),
        }
    }

    /// Somebody used the session: keeps it alive, if the bridge does that and it is time.
    pub(crate) fn used(&self, id: &SessionId, snapshot: &Snapshot<T>) {
        let Some(every) = self.0.config.touch_every else {
            return;
        };
        let Some(expires) = snapshot.deadline else {
            return;
        };
        let now = Instant::now();
        let lived = self
            .0
            .config
            .ttl
            .saturating_sub(expires.saturating_duration_since(now));
        if lived >= every {
            self.ensure_keeper();
            let together = TOUCHES_TOGETHER.min(every / 2);
            self.0.agenda.lock().touch(id.clone(), now + together);
            self.0.bell.notify_one();
        }
    }

    pub(super) async fn write_touch(&self, id: &SessionId) {
        let entry = self.0.registry.entry(id);
        let touched = async {
            let known = self.current(&entry).await?;
            self.touch_entry(&entry, &known.data).await
        };
        if let Err(UpdateError::Store(error)) = touched.await {
            tracing::warn!(
                session = id.fingerprint(),
                error = &error as &dyn std::error::Error,
                "a used session could not be kept alive; the next use tries again"
            );
        }
    }

    /// Gives the session the id `new`; its sockets end.
    pub(crate) async fn rotate(
        &self,
        old: &SessionId,
        new: &SessionId,
        view: &View<T>,
    ) -> Result<View<T>, UpdateError> {
        let entry = self.entry_of(old, view)?;
        let _turn = entry.updates.lock().await;
        let _rotating = entry.rotating();
        // Before: whoever reports that the old id is gone may be faster than the store's answer.
        entry.end.set_successor(new);
        match self.0.store.rename(old, new).await {
            Ok(true) => {
                self.finish(&entry, EndReason::Rotated);
                let known = entry.known();
                // It is rotated, whether or not the store can be asked now.
                Ok(match self.resolve(new).await {
                    Ok(view) => view,
                    Err(LoadError::Gone) => return Err(UpdateError::Gone),
                    Err(LoadError::Store(_)) => {
                        let known = known.unwrap_or_else(|| view.snapshot.clone());
                        self.unverified(new, &known)
                    }
                })
            }
            Ok(false) => {
                self.missing(&entry);
                Err(UpdateError::Gone)
            }
            Err(error) => {
                self.check_soon(&entry);
                Err(UpdateError::Store(error))
            }
        }
    }

    /// Ends the session here at once, and in the store. Should that fail, or nobody wait for it, it
    /// is tried again until the session has expired anyway; meanwhile its id is refused here.
    pub(crate) async fn end(&self, id: &SessionId) -> Result<(), StoreError> {
        let entry = self.0.registry.entry(id);
        self.finish(&entry, EndReason::Deleted);
        let mut undone = Undone {
            live: self,
            entry: Some(entry),
        };
        self.0.store.delete(id).await?;
        undone.entry = None;
        Ok(())
    }

    /// The entry of a handle, unless the session has ended.
    fn entry_of(&self, id: &SessionId, view: &View<T>) -> Result<Arc<Entry<T>>, UpdateError> {
        if view.end.reason().is_some() {
            return Err(UpdateError::Gone);
        }
        let entry = self.0.registry.entry(id);
        match entry.end.reason() {
            Some(_) => Err(UpdateError::Gone),
            None => Ok(entry),
        }
    }

    /// The store says that the session does not exist.
    fn missing(&self, entry: &Entry<T>) {
        self.finish(entry, entry.end_of_missing());
    }
}

/// A deletion that was not seen to succeed; dropped by an error, or with the call.
struct Undone<'a, T: Send + Sync + 'static> {
    live: &'a Live<T>,
    entry: Option<Arc<Entry<T>>>,
}

impl<T: Send + Sync + 'static> Drop for Undone<'_, T> {
    fn drop(&mut self) {
        let Some(entry) = self.entry.take() else {
            return;
        };
        let now = Instant::now();
        let known = entry.known().and_then(|known| known.deadline);
        let latest = deadline(now, self.live.0.config.ttl);
        // A session that lives for ever is deleted for ever.
        let until = known.max(latest).unwrap_or(now + LONG);
        let deletion = Deletion {
            entry,
            until,
            delay: FIRST_DELETE_DELAY,
        };
        self.live
            .at(now + FIRST_DELETE_DELAY, Task::Delete(deletion));
        self.live.ensure_keeper();
    }
}

/// Longer than any process lives.
const LONG: Duration = Duration::from_hours(10 * 365 * 24);

fn pauses() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_jitter()
        .with_min_delay(FIRST_PAUSE)
        .with_max_delay(LONGEST_PAUSE)
        .without_max_times()
        .with_total_delay(Some(PATIENCE))
        .build()
}
