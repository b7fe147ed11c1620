//! Keeps what a node knows of its live sessions true.
//!
//! 1. A session is *live* here while it has sockets, somebody waits for its end or a change, or a
//!    call on it is under way. It has one [`Entry`] then, which the [`Registry`] knows.
//! 2. Register first, then load, then look whether something was reported meanwhile: nothing is
//!    admitted in between.
//! 3. One [`keeper`] task follows the store's reports, the passing of time, and the sockets
//!    that are still to be closed.
//! 4. An end is marked first, under the entry's lock; from then on no handler sees the session.
//!    Then its sockets leave their rooms, and are closed one by one.

mod agenda;
mod closing;
mod end;
mod entry;
mod feed;
mod keeper;
mod load;
#[cfg(all(test, feature = "testing"))]
mod load_tests;
#[cfg(test)]
mod model_tests;
mod registry;
mod socket;
mod state;
mod write;

use std::{
    sync::{Arc, Weak, atomic::AtomicBool},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{sync::Notify, task::JoinHandle, time::Instant};

use agenda::{Agenda, Task};
use closing::Closing;
pub(crate) use end::EndFlag;
pub use end::EndReason;
use entry::Entry;
use feed::Feed;
use registry::Registry;
pub(crate) use socket::{LiveSocket, Presence};
pub(crate) use state::Snapshot;
pub use write::UpdateError;

use crate::{
    hook::HookThread,
    id::SessionId,
    store::{GuardedStore, StoreError},
};

/// What the builder of a bridge sets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Config {
    pub(crate) ttl: Duration,
    pub(crate) revalidate_every: Duration,
    pub(crate) max_stale: Duration,
    pub(crate) touch_every: Option<Duration>,
}

/// The live sessions of a bridge. Cheap to clone.
pub(crate) struct Live<T>(Arc<Inner<T>>);

struct Inner<T> {
    store: GuardedStore<T>,
    config: Config,
    hooks: Arc<HookThread>,
    registry: Arc<Registry<T>>,
    agenda: Mutex<Agenda<T>>,
    feed: Feed,
    keeper: Mutex<Option<JoinHandle<()>>>,
    /// Rings when the agenda has something earlier for the keeper.
    bell: Arc<Notify>,
    /// The last load was not answered.
    store_down: AtomicBool,
}

/// Why there is no snapshot of a session.
#[derive(Debug, Clone)]
pub(crate) enum LoadError {
    /// The session does not exist, or has ended.
    Gone,
    Store(StoreError),
}

/// What a handle holds on to: enough to know of the end, too little to keep an entry alive.
pub(crate) struct View<T> {
    pub(crate) end: Arc<EndFlag<T>>,
    entry: Weak<Entry<T>>,
    pub(crate) snapshot: Arc<Snapshot<T>>,
}

/// Holds a socket registered with its session; dropped with the socket.
pub(crate) struct Attachment<T: Send + Sync + 'static> {
    live: Live<T>,
    entry: Arc<Entry<T>>,
    key: u64,
    socket: Arc<dyn LiveSocket>,
}

/// Holds an entry for somebody who waits.
struct Watching<T>(Arc<Entry<T>>);

impl<T: Send + Sync + 'static> Live<T> {
    pub(crate) fn new(store: GuardedStore<T>, config: Config, hooks: Arc<HookThread>) -> Self {
        Self(Arc::new(Inner {
            store,
            config,
            hooks,
            registry: Registry::new(),
            agenda: Mutex::new(Agenda::new()),
            feed: Feed::default(),
            keeper: Mutex::new(None),
            bell: Arc::new(Notify::new()),
            store_down: AtomicBool::new(false),
        }))
    }

    pub(crate) fn config(&self) -> &Config {
        &self.0.config
    }

    pub(crate) fn store(&self) -> &GuardedStore<T> {
        &self.0.store
    }

    /// How many sessions are live here.
    pub(crate) fn session_count(&self) -> usize {
        self.0.registry.len()
    }

    /// How many sockets they have.
    pub(crate) fn socket_count(&self) -> usize {
        let entries = self.0.registry.all();
        let entries = entries.iter().filter_map(Weak::upgrade);
        entries.map(|entry| entry.socket_count()).sum()
    }

    /// What this node knows of a session now, for an HTTP request.
    pub(crate) async fn resolve(&self, id: &SessionId) -> Result<View<T>, LoadError> {
        let entry = self.0.registry.entry(id);
        let snapshot = self.current(&entry).await?;
        Ok(View::of(&entry, snapshot))
    }

    /// Admits a socket to a session: registers it first, and lets it in when the session exists.
    pub(crate) async fn admit(
        &self,
        id: &SessionId,
        socket: Arc<dyn LiveSocket>,
    ) -> Result<Attachment<T>, LoadError> {
        self.ensure_keeper();
        let entry = self.0.registry.entry(id);
        let Some(key) = entry.attach(socket.clone()) else {
            return Err(LoadError::Gone);
        };
        let attachment = Attachment {
            live: self.clone(),
            entry,
            key,
            socket,
        };
        self.current(&attachment.entry).await?;
        self.schedule(&attachment.entry);
        Ok(attachment)
    }

    /// The view of a handle that was made here, of a session nobody has asked for yet.
    pub(crate) fn view_of_created(&self, id: &SessionId, data: T, ttl: Duration) -> View<T> {
        let now = Instant::now();
        let snapshot = Snapshot {
            data: Arc::new(data),
            revision: None,
            deadline: state::deadline(now, ttl),
            checked: now,
        };
        self.unverified(id, &snapshot)
    }

    /// A view of a session of which this is known, under an id that was not asked for yet.
    fn unverified(&self, id: &SessionId, known: &Snapshot<T>) -> View<T> {
        View {
            end: self.0.registry.end_flag(id),
            entry: Weak::new(),
            snapshot: Arc::new(Snapshot {
                data: known.data.clone(),
                revision: None,
                deadline: known.deadline,
                checked: known.checked,
            }),
        }
    }

    /// Why the session has ended, as far as this node knows.
    pub(crate) fn end_reason(&self, id: &SessionId, view: &View<T>) -> Option<EndReason> {
        if let Some(reason) = view.end.reason() {
            return Some(reason);
        }
        // The keeper ends it at its deadline; this is for when the keeper can't.
        let deadline = self.latest(id, view).snapshot.deadline?;
        let overdue = Instant::now().saturating_duration_since(deadline) > Duration::from_secs(1);
        overdue.then_some(EndReason::Expired)
    }

    /// What this node knows of the session now; the view itself when it knows nothing newer.
    pub(crate) fn latest(&self, id: &SessionId, view: &View<T>) -> View<T> {
        let entry = view.entry.upgrade().or_else(|| self.0.registry.find(id));
        match entry.and_then(|entry| Some((entry.known()?, entry))) {
            Some((snapshot, entry)) => View::of(&entry, snapshot),
            None => view.clone(),
        }
    }

    /// Waits until the session has ended.
    pub(crate) async fn ended(&self, id: &SessionId, view: &View<T>) -> EndReason {
        let watching = self.watch(id, view);
        loop {
            if let Err(reason) = self.next_ring(&watching.0, |_| false).await {
                return reason;
            }
        }
    }

    /// Waits until the data is another than in `view`.
    pub(crate) async fn changed(
        &self,
        id: &SessionId,
        view: &View<T>,
    ) -> Result<View<T>, EndReason> {
        let watching = self.watch(id, view);
        let entry = &watching.0;
        // A handle of a session that was just created does not know its revision yet.
        let mut base = view.snapshot.revision.clone();
        loop {
            let differs = |known: &Snapshot<T>| match (&base, &known.revision) {
                (Some(base), Some(known)) => base != known,
                _ => false,
            };
            let known = self.next_ring(entry, differs).await?;
            if differs(&known) {
                return Ok(View::of(entry, known));
            }
            base = base.or_else(|| known.revision.clone());
        }
    }

    /// Waits until the entry's bell rings, unless it has ended, or `enough` says that what is known
    /// suffices.
    async fn next_ring(
        &self,
        entry: &Arc<Entry<T>>,
        enough: impl Fn(&Snapshot<T>) -> bool,
    ) -> Result<Arc<Snapshot<T>>, EndReason> {
        let ring = entry.bell.notified();
        let mut ring = std::pin::pin!(ring);
        ring.as_mut().enable();
        if let Some(reason) = entry.end.reason() {
            return Err(reason);
        }
        let known = entry.known().expect("a watched entry is seeded");
        if enough(&known) {
            return Ok(known);
        }
        ring.await;
        match entry.end.reason() {
            Some(reason) => Err(reason),
            None => Ok(entry.known().unwrap_or(known)),
        }
    }

    /// Keeps the entry, and has the store asked what became of the session.
    fn watch(&self, id: &SessionId, view: &View<T>) -> Watching<T> {
        self.ensure_keeper();
        let entry = view
            .entry
            .upgrade()
            .unwrap_or_else(|| self.0.registry.entry(id));
        let first = entry.watch();
        entry.seed(&view.snapshot);
        if first && entry.trusted(self.0.feed.trusted_epoch()).is_none() {
            self.check_soon(&entry);
        }
        self.schedule(&entry);
        Watching(entry)
    }

    /// Ends the session here: marks it, and begins to close its sockets.
    fn finish(&self, entry: &Entry<T>, reason: EndReason) {
        let Some(sockets) = entry.finish(reason) else {
            return;
        };
        tracing::debug!(
            session = entry.id.fingerprint(),
            %reason,
            sockets = sockets.len(),
            "session ended"
        );
        let mut open = Vec::new();
        for socket in sockets {
            let mut closing = Closing::new(socket, reason);
            if let Some(next) = closing.step(&self.0.hooks) {
                open.push((next, closing));
            }
        }
        if open.is_empty() {
            return;
        }
        let mut agenda = self.0.agenda.lock();
        for (next, closing) in open {
            agenda.at(next, Task::Close(closing));
        }
        drop(agenda);
        self.ensure_keeper();
        self.0.bell.notify_one();
    }

    /// Has the agenda look at the entry when it is time.
    fn schedule(&self, entry: &Arc<Entry<T>>) {
        if let Some(when) = entry.schedule(self.0.config.max_stale) {
            self.at(when, Task::Look(Arc::downgrade(entry)));
        }
    }

    fn at(&self, when: Instant, task: Task<T>) {
        let mut agenda = self.0.agenda.lock();
        let earlier = agenda.next().is_none_or(|next| when < next);
        agenda.at(when, task);
        drop(agenda);
        if earlier {
            self.0.bell.notify_one();
        }
    }

    /// Has the store asked about the entry as soon as possible.
    fn check_soon(&self, entry: &Arc<Entry<T>>) {
        if entry.queue_check() {
            self.0.agenda.lock().now(agenda::Job::Check(entry.clone()));
            self.0.bell.notify_one();
            // The job holds the entry; without a keeper it would do so for ever.
            self.ensure_keeper();
        }
    }
}

impl<T: Send + Sync + 'static> Attachment<T> {
    pub(crate) fn view(&self) -> View<T> {
        let known = self.entry.known();
        View::of(&self.entry, known.expect("it was loaded at admission"))
    }

    pub(crate) fn end_reason(&self) -> Option<EndReason> {
        self.entry.end.reason()
    }

    pub(crate) fn id(&self) -> &SessionId {
        &self.entry.id
    }

    pub(crate) fn live(&self) -> &Live<T> {
        &self.live
    }

    pub(crate) fn socket(&self) -> &dyn LiveSocket {
        &*self.socket
    }
}

impl<T: Send + Sync + 'static> Drop for Attachment<T> {
    fn drop(&mut self) {
        self.entry.detach(self.key);
    }
}

impl<T> Drop for Watching<T> {
    fn drop(&mut self) {
        self.0.unwatch();
    }
}

impl<T> View<T> {
    fn of(entry: &Arc<Entry<T>>, snapshot: Arc<Snapshot<T>>) -> Self {
        Self {
            end: entry.end.clone(),
            entry: Arc::downgrade(entry),
            snapshot,
        }
    }
}

impl<T> Clone for View<T> {
    fn clone(&self) -> Self {
        Self {
            end: self.end.clone(),
            entry: self.entry.clone(),
            snapshot: self.snapshot.clone(),
        }
    }
}

impl<T> Clone for Live<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}
