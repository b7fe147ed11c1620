//! A store that fails on demand.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::stream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{call::Call, fault::Fault};
use crate::{
    id::SessionId,
    lock::Mutex,
    store::{
        Capabilities, Change, Changes, Created, IndexedSession, Record, Revision, Saved,
        SessionStore, StoreError,
    },
};

/// A store that wraps another one and injects [`Faults`].
///
/// ```
/// # use socketioxide_session::{MemoryStore, SessionStore, store::StoreErrorKind};
/// use socketioxide_session::testing::{Call, Fault, FaultyStore};
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let (store, faults) = FaultyStore::new(MemoryStore::<u32>::new());
/// faults.on(Call::Load, Fault::Error(StoreErrorKind::Unavailable));
/// assert!(store.load(&"some-id".parse()?).await.is_err());
/// assert_eq!(faults.calls(Call::Load), 1);
/// faults.clear();
/// assert!(store.load(&"some-id".parse()?).await?.is_none());
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct FaultyStore<S> {
    store: S,
    faults: Faults,
}

/// Tells a [`FaultyStore`] what goes wrong, and counts its calls. Clones are the same.
///
/// ```
/// use socketioxide_session::{MemoryStore, store::Change, testing::FaultyStore};
///
/// let (store, faults) = FaultyStore::new(MemoryStore::<u32>::new());
/// // As when the connection to the store broke and is there again:
/// faults.report(&Change::Disconnected);
/// faults.report(&Change::Resync);
/// # drop(store);
/// ```
#[derive(Clone, Default)]
pub struct Faults(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    faults: HashMap<Call, Fault>,
    calls: HashMap<Call, usize>,
    reports_nothing: bool,
    loses_changes: bool,
    feeds: Vec<UnboundedSender<Injected>>,
}

enum Injected {
    Change(Change),
    End,
}

impl Faults {
    /// From now on this goes wrong with each such call.
    pub fn on(&self, call: Call, fault: Fault) {
        self.0.lock().faults.insert(call, fault);
    }

    /// From now on this goes wrong with every call.
    pub fn on_all(&self, fault: Fault) {
        for call in Call::ALL {
            self.on(call, fault);
        }
    }

    /// From now on no call goes wrong, and no change is lost.
    pub fn clear(&self) {
        let mut state = self.0.lock();
        state.faults.clear();
        state.loses_changes = false;
    }

    /// Number of such calls that have begun.
    #[must_use]
    pub fn calls(&self, call: Call) -> usize {
        self.0.lock().calls.get(&call).copied().unwrap_or_default()
    }

    /// From now on the store is one that reports no changes: [`SessionStore::changes`] gives `None`.
    pub fn report_nothing(&self) {
        self.0.lock().reports_nothing = true;
    }

    /// From now on changes are not reported, though the feed seems to work.
    pub fn lose_changes(&self) {
        self.0.lock().loses_changes = true;
    }

    /// Adds a report to every feed: [`Change::Disconnected`], or [`Change::Resync`], or a false alarm.
    pub fn report(&self, change: &Change) {
        self.inject(|| Injected::Change(change.clone()));
    }

    /// Ends every feed that is open.
    pub fn end_feeds(&self) {
        self.inject(|| Injected::End);
    }

    fn inject(&self, injected: impl Fn() -> Injected) {
        let mut state = self.0.lock();
        state.feeds.retain(|feed| feed.send(injected()).is_ok());
    }

    async fn apply<R>(
        &self,
        call: Call,
        happens: impl Future<Output = Result<R, StoreError>>,
    ) -> Result<R, StoreError> {
        let fault = {
            let mut state = self.0.lock();
            *state.calls.entry(call).or_default() += 1;
            state.faults.get(&call).copied()
        };
        match fault {
            None => happens.await,
            Some(Fault::Delay(delay)) => {
                tokio::time::sleep(delay).await;
                happens.await
            }
            Some(Fault::Error(kind)) => Err(kind.into()),
            Some(Fault::ErrorAfter(kind)) => {
                happens.await?;
                Err(kind.into())
            }
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::Panic) => panic!("{call:?} panics by injection"),
        }
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.lock();
        f.debug_struct("Faults")
            .field("faults", &state.faults)
            .field("calls", &state.calls)
            .finish_non_exhaustive()
    }
}

impl<S: SessionStore> FaultyStore<S> {
    /// Wraps a store, without any fault yet.
    pub fn new(store: S) -> (Self, Faults) {
        let faults = Faults::default();
        let store = Self {
            store,
            faults: faults.clone(),
        };
        (store, faults)
    }
}

#[async_trait]
impl<S: SessionStore> SessionStore for FaultyStore<S> {
    type Data = S::Data;

    async fn create(
        &self,
        id: &SessionId,
        data: &S::Data,
        ttl: Duration,
    ) -> Result<Created, StoreError> {
        let happens = self.store.create(id, data, ttl);
        self.faults.apply(Call::Create, happens).await
    }

    async fn load(&self, id: &SessionId) -> Result<Option<Record<S::Data>>, StoreError> {
        self.faults.apply(Call::Load, self.store.load(id)).await
    }

    async fn look_up(&self, id: &SessionId) -> Result<Option<Record<S::Data>>, StoreError> {
        self.faults.apply(Call::Load, self.store.look_up(id)).await
    }

    async fn save(
        &self,
        id: &SessionId,
        data: &S::Data,
        expected: &Revision,
    ) -> Result<Saved, StoreError> {
        let happens = self.store.save(id, data, expected);
        self.faults.apply(Call::Save, happens).await
    }

    async fn touch(
        &self,
        id: &SessionId,
        data: &S::Data,
        ttl: Duration,
    ) -> Result<bool, StoreError> {
        let happens = self.store.touch(id, data, ttl);
        self.faults.apply(Call::Touch, happens).await
    }

    async fn keep_alive(
        &self,
        id: &SessionId,
        data: &S::Data,
        ttl: Duration,
        interval: Duration,
    ) -> Result<Option<Duration>, StoreError> {
        let happens = self.store.keep_alive(id, data, ttl, interval);
        self.faults.apply(Call::Touch, happens).await
    }

    async fn rename(&self, old: &SessionId, new: &SessionId) -> Result<bool, StoreError> {
        let happens = self.store.rename(old, new);
        self.faults.apply(Call::Rename, happens).await
    }

    async fn delete(&self, id: &SessionId) -> Result<bool, StoreError> {
        self.faults.apply(Call::Delete, self.store.delete(id)).await
    }

    async fn mark_replaced(&self, id: &SessionId) -> Result<(), StoreError> {
        self.store.mark_replaced(id).await
    }

    async fn was_replaced(&self, id: &SessionId) -> Result<bool, StoreError> {
        self.store.was_replaced(id).await
    }

    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }

    fn user_id(&self, data: &S::Data) -> Option<String> {
        self.store.user_id(data)
    }

    async fn sessions_of_user(&self, user: &str) -> Result<Vec<IndexedSession>, StoreError> {
        self.store.sessions_of_user(user).await
    }

    async fn flush(&self) {
        self.store.flush().await;
    }

    fn changes(&self) -> Option<Changes> {
        let mut state = self.faults.0.lock();
        if state.reports_nothing {
            return None;
        }
        let (sender, injected) = unbounded_channel();
        state.feeds.push(sender);
        let feed = Feed {
            changes: self.store.changes()?,
            injected,
            faults: self.faults.clone(),
        };
        Some(Changes::new(stream::unfold(feed, Feed::next)))
    }
}

struct Feed {
    changes: Changes,
    injected: UnboundedReceiver<Injected>,
    faults: Faults,
}

impl Feed {
    async fn next(mut self) -> Option<(Change, Self)> {
        loop {
            let change = tokio::select! {
                change = self.changes.next() => change?,
                Some(injected) = self.injected.recv() => match injected {
                    Injected::Change(change) => return Some((change, self)),
                    Injected::End => return None,
                },
            };
            if !self.faults.0.lock().loses_changes {
                return Some((change, self));
            }
        }
    }
}
