//! A store whose calls take effect one step at a time.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::{
    id::SessionId,
    store::{
        Change, Changes, Created, Record, Revision, Saved, SessionStore, StoreError, StoreErrorKind,
    },
};

/// A store in which each call takes effect between two yields.
#[derive(Default)]
pub(super) struct SteppedStore {
    pub(super) sessions: Mutex<HashMap<SessionId, (u32, u64)>>,
    replaced: Mutex<HashSet<SessionId>>,
    feed: Option<Mutex<Vec<mpsc::UnboundedSender<Change>>>>,
    /// Number of deletions that fail before one succeeds.
    failing_deletes: AtomicUsize,
    pub(super) loads: AtomicUsize,
    pub(super) deletes: AtomicUsize,
}

impl SteppedStore {
    pub(super) fn with(id: &SessionId, reports: bool) -> Arc<Self> {
        let store = Self {
            feed: reports.then(Mutex::default),
            ..Self::default()
        };
        store.sessions.lock().insert(id.clone(), (0, 1));
        Arc::new(store)
    }

    pub(super) fn fail_deletes(&self, number: usize) {
        self.failing_deletes.store(number, Ordering::SeqCst);
    }

    pub(super) fn report(&self, change: &Change) {
        if let Some(feed) = &self.feed {
            for reader in feed.lock().iter() {
                let _ = reader.send(change.clone());
            }
        }
    }

    pub(super) async fn step<R>(
        &self,
        effect: impl FnOnce(&mut HashMap<SessionId, (u32, u64)>) -> R,
    ) -> R {
        step().await;
        let result = effect(&mut self.sessions.lock());
        step().await;
        result
    }
}

/// One step of an actor: lets the explorer choose which one goes on.
pub(super) async fn step() {
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[async_trait]
impl SessionStore for SteppedStore {
    type Data = u32;

    async fn create(&self, _: &SessionId, _: &u32, _: Duration) -> Result<Created, StoreError> {
        unreachable!("no actor creates")
    }

    async fn load(&self, id: &SessionId) -> Result<Option<Record<u32>>, StoreError> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        let found = self.step(|sessions| sessions.get(id).copied()).await;
        Ok(found.map(|(data, revision)| Record::new(data, None, revision.into())))
    }

    async fn save(&self, id: &SessionId, data: &u32, old: &Revision) -> Result<Saved, StoreError> {
        let saved = self
            .step(|sessions| match sessions.get_mut(id) {
                None => Saved::Gone,
                Some(found) if old.as_u64() != Some(found.1) => Saved::Conflict,
                Some(found) => {
                    *found = (*data, found.1 + 1);
                    self.report(&Change::Session(id.clone()));
                    Saved::Saved(found.1.into())
                }
            })
            .await;
        Ok(saved)
    }

    async fn touch(&self, _: &SessionId, _: &Self::Data, _: Duration) -> Result<bool, StoreError> {
        unreachable!("no actor touches")
    }

    async fn rename(&self, old: &SessionId, new: &SessionId) -> Result<bool, StoreError> {
        let renamed = self
            .step(|sessions| {
                let found = sessions.remove(old);
                let existed = found.is_some();
                if existed {
                    self.replaced.lock().insert(old.clone());
                }
                sessions.extend(found.map(|found| (new.clone(), found)));
                self.report(&Change::Session(old.clone()));
                existed
            })
            .await;
        Ok(renamed)
    }

    async fn delete(&self, id: &SessionId) -> Result<bool, StoreError> {
        self.deletes.fetch_add(1, Ordering::SeqCst);
        let fails = self
            .failing_deletes
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            });
        if fails.is_ok() {
            step().await;
            return Err(StoreErrorKind::Unavailable.into());
        }
        let existed = self
            .step(|sessions| {
                let existed = sessions.remove(id).is_some();
                self.report(&Change::Session(id.clone()));
                existed
            })
            .await;
        Ok(existed)
    }

    async fn mark_replaced(&self, id: &SessionId) -> Result<(), StoreError> {
        self.replaced.lock().insert(id.clone());
        Ok(())
    }

    async fn was_replaced(&self, id: &SessionId) -> Result<bool, StoreError> {
        Ok(self.replaced.lock().contains(id))
    }

    /// Each hundred is a user.
    fn user_id(&self, data: &u32) -> Option<String> {
        Some((data / 100).to_string())
    }

    fn changes(&self) -> Option<Changes> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.feed.as_ref()?.lock().push(sender);
        Some(Changes::new(futures_util::stream::unfold(
            receiver,
            async |mut receiver| Some((receiver.recv().await?, receiver)),
        )))
    }
}
