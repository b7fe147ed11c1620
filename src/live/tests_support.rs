//! Helpers of this module's tests: a store with delays and failures, and short ways to call it.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::time::{sleep, timeout};

use super::{
    Attachment, Config, LiveSessions,
    model_tests::{config, sockets::PlainSocket},
};
use crate::{
    id::SessionId,
    store::{
        Changes, Created, GuardedStore, MemoryStore, Record, Revision, Saved, SessionStore,
        StoreError, StoreErrorKind,
    },
    testing::{Faults, FaultyStore},
};

pub(super) const DAY: Duration = Duration::from_hours(24);

/// Timeout of the store calls of a [`node`].
const STORE_TIMEOUT: Duration = Duration::from_secs(2);

/// Calls in which a [`SlowStore`] takes its time.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum At {
    BeforeLoad,
    AfterLoad,
    WasReplaced,
    MarkReplaced,
    Delete,
    AfterRename,
    AfterSave,
}

/// A store in memory with delays. It can be down, and one record can be undecodable.
pub(super) struct SlowStore {
    /// The records, without delays and failures.
    pub(super) memory: MemoryStore<u32>,
    reports: bool,
    delays: Mutex<HashMap<At, Duration>>,
    undecodable: Mutex<Option<SessionId>>,
    is_down: AtomicBool,
    loads: AtomicUsize,
    touches: AtomicUsize,
    touch: Mutex<TouchAnswer>,
}

/// Effect of a touch by activity.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum TouchAnswer {
    /// Extends the lifetime to what is asked for.
    #[default]
    Extends,
    /// Extends it to this at most, as another program says.
    Caps(Duration),
    /// Nothing, and it returns what is left.
    Nothing,
    Fails(StoreErrorKind),
}

impl SlowStore {
    pub(super) fn new(reports: bool) -> Arc<Self> {
        Arc::new(Self {
            memory: MemoryStore::new(),
            reports,
            delays: Mutex::default(),
            undecodable: Mutex::default(),
            is_down: AtomicBool::new(false),
            loads: AtomicUsize::new(0),
            touches: AtomicUsize::new(0),
            touch: Mutex::default(),
        })
    }

    pub(super) fn delay(&self, at: At, delay: Duration) {
        self.delays.lock().insert(at, delay);
    }

    pub(super) fn set_down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::SeqCst);
    }

    pub(super) fn set_undecodable(&self, id: &SessionId) {
        *self.undecodable.lock() = Some(id.clone());
    }

    pub(super) fn loads(&self) -> usize {
        self.loads.load(Ordering::SeqCst)
    }

    pub(super) fn set_touch(&self, answer: TouchAnswer) {
        *self.touch.lock() = answer;
    }

    pub(super) fn touches(&self) -> usize {
        self.touches.load(Ordering::SeqCst)
    }

    /// Creates a session, as another node does it.
    pub(super) async fn insert(&self, id: &SessionId, data: u32) {
        let created = self.memory.create(id, &data, DAY).await.unwrap();
        assert!(matches!(created, Created::Created(_)));
    }

    /// Changes a session, as another node does it.
    pub(super) async fn change(&self, id: &SessionId, data: u32) {
        let record = self.memory.load(id).await.unwrap().unwrap();
        let saved = self.memory.save(id, &data, &record.revision).await.unwrap();
        assert!(matches!(saved, Saved::Saved(_)));
    }

    /// Deletes a session, as another node does it.
    pub(super) async fn remove(&self, id: &SessionId) {
        assert!(self.memory.delete(id).await.unwrap());
    }

    pub(super) async fn has(&self, id: &SessionId) -> bool {
        self.memory.load(id).await.unwrap().is_some()
    }

    async fn pass(&self, at: At) {
        let delay = self.delays.lock().get(&at).copied();
        if let Some(delay) = delay.filter(|delay| !delay.is_zero()) {
            sleep(delay).await;
        }
    }

    fn reached(&self) -> Result<(), StoreError> {
        if self.is_down.load(Ordering::SeqCst) {
            return Err(StoreErrorKind::Unavailable.into());
        }
        Ok(())
    }
}

#[async_trait]
impl SessionStore for SlowStore {
    type Data = u32;

    async fn create(
        &self,
        id: &SessionId,
        data: &u32,
        ttl: Duration,
    ) -> Result<Created, StoreError> {
        self.memory.create(id, data, ttl).await
    }

    async fn load(&self, id: &SessionId) -> Result<Option<Record<u32>>, StoreError> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        self.pass(At::BeforeLoad).await;
        self.reached()?;
        if self.undecodable.lock().as_ref() == Some(id) {
            return Err(StoreErrorKind::Decode.into());
        }
        let record = self.memory.load(id).await;
        self.pass(At::AfterLoad).await;
        record
    }

    async fn save(&self, id: &SessionId, data: &u32, old: &Revision) -> Result<Saved, StoreError> {
        let saved = self.memory.save(id, data, old).await;
        self.pass(At::AfterSave).await;
        saved
    }

    async fn touch(&self, id: &SessionId, data: &u32, ttl: Duration) -> Result<bool, StoreError> {
        self.touches.fetch_add(1, Ordering::SeqCst);
        self.memory.touch(id, data, ttl).await
    }

    async fn keep_alive(
        &self,
        id: &SessionId,
        data: &u32,
        ttl: Duration,
        interval: Duration,
    ) -> Result<Option<Duration>, StoreError> {
        self.touches.fetch_add(1, Ordering::SeqCst);
        let answer = *self.touch.lock();
        match answer {
            TouchAnswer::Extends => self.memory.keep_alive(id, data, ttl, interval).await,
            TouchAnswer::Caps(cap) => {
                let ttl = ttl.min(cap);
                self.memory.keep_alive(id, data, ttl, Duration::ZERO).await
            }
            TouchAnswer::Nothing => {
                let record = self.memory.load(id).await?;
                Ok(record.map(|record| record.ttl.unwrap_or(Duration::MAX)))
            }
            TouchAnswer::Fails(kind) => Err(kind.into()),
        }
    }

    async fn rename(&self, old: &SessionId, new: &SessionId) -> Result<bool, StoreError> {
        let renamed = self.memory.rename(old, new).await;
        self.pass(At::AfterRename).await;
        renamed
    }

    async fn delete(&self, id: &SessionId) -> Result<bool, StoreError> {
        self.pass(At::Delete).await;
        self.reached()?;
        self.memory.delete(id).await
    }

    async fn mark_replaced(&self, id: &SessionId) -> Result<(), StoreError> {
        self.pass(At::MarkReplaced).await;
        self.memory.mark_replaced(id).await
    }

    async fn was_replaced(&self, id: &SessionId) -> Result<bool, StoreError> {
        self.pass(At::WasReplaced).await;
        self.memory.was_replaced(id).await
    }

    fn changes(&self) -> Option<Changes> {
        self.reports.then(|| self.memory.changes()).flatten()
    }
}

/// The sessions of one node on this store, which are checked every minute.
pub(super) fn node(store: &Arc<SlowStore>) -> LiveSessions<u32> {
    node_with(store, |_| ())
}

pub(super) fn node_with(
    store: &Arc<SlowStore>,
    set: impl FnOnce(&mut Config<u32>),
) -> LiveSessions<u32> {
    let mut config = config(DAY, Duration::from_mins(1));
    set(&mut config);
    let store = GuardedStore::new(store.clone(), STORE_TIMEOUT);
    LiveSessions::new(store, config)
}

pub(super) fn id(text: &str) -> SessionId {
    text.parse().unwrap()
}

/// Admits a socket, as a browser tab opens one.
pub(super) async fn tab(live: &LiveSessions<u32>, id: &SessionId) -> Attachment<u32> {
    live.admit(id, Arc::<PlainSocket>::default()).await.unwrap()
}

/// Sessions on a store in memory that can be made to fail, and are checked at this interval.
pub(super) fn live(every: Duration) -> (LiveSessions<u32>, MemoryStore<u32>, Faults) {
    live_with(every, |_| ())
}

pub(super) fn live_with(
    every: Duration,
    set: impl FnOnce(&mut Config<u32>),
) -> (LiveSessions<u32>, MemoryStore<u32>, Faults) {
    live_with_timeout(every, Duration::from_secs(2), set)
}

/// With this timeout of the store.
pub(super) fn live_with_timeout(
    every: Duration,
    timeout: Duration,
    set: impl FnOnce(&mut Config<u32>),
) -> (LiveSessions<u32>, MemoryStore<u32>, Faults) {
    let memory = MemoryStore::new();
    let (store, faults) = FaultyStore::new(memory.clone());
    let store = GuardedStore::new(Arc::new(store), timeout);
    let mut config = config(Duration::from_hours(1), every);
    set(&mut config);
    let live = LiveSessions::new(store, config);
    (live, memory, faults)
}

pub(super) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

pub(super) async fn end(live: &LiveSessions<u32>, id: &SessionId) -> Result<(), StoreError> {
    live.end_by_id(id).await
}

pub(super) async fn sessions(store: &MemoryStore<u32>, count: usize) -> Vec<SessionId> {
    let ids: Vec<SessionId> = (0..count)
        .map(|n| format!("id-{n}").parse().unwrap())
        .collect();
    for id in &ids {
        let created = store.create(id, &0, Duration::from_hours(1)).await.unwrap();
        assert!(matches!(created, Created::Created(_)));
    }
    ids
}

/// Waits until it is so; fails after a minute.
pub(super) async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    let waited = timeout(Duration::from_mins(1), waiting).await;
    waited.expect(what);
}
