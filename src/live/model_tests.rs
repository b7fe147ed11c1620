//! Every interleaving of an admission with an end, driven through the shipped code.
//!
//! A call of the store yields before and after it takes effect, so each call of an actor is three
//! steps. All orders of the steps of all actors, and of the keeper, are run one after the other.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{
    collections::HashMap,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::{sync::mpsc, task::yield_now};

use super::{Attachment, Config, EndReason, Live, LiveSocket, LoadError, Presence};
use crate::{
    hook::{HookThread, Job},
    id::SessionId,
    store::{
        Change, Changes, Created, GuardedStore, Record, Revision, Saved, SessionStore, StoreError,
    },
};

/// A store in which each call takes effect between two yields.
#[derive(Default)]
struct SteppedStore {
    sessions: Mutex<HashMap<SessionId, (u32, u64)>>,
    feed: Option<Mutex<Vec<mpsc::UnboundedSender<Change>>>>,
    loads: AtomicUsize,
}

impl SteppedStore {
    fn with(id: &SessionId, reports: bool) -> Arc<Self> {
        let store = Self {
            feed: reports.then(Mutex::default),
            ..Self::default()
        };
        store.sessions.lock().insert(id.clone(), (0, 1));
        Arc::new(store)
    }

    fn tell(&self, change: &Change) {
        if let Some(feed) = &self.feed {
            for reader in feed.lock().iter() {
                let _ = reader.send(change.clone());
            }
        }
    }

    async fn step<R>(&self, effect: impl FnOnce(&mut HashMap<SessionId, (u32, u64)>) -> R) -> R {
        step().await;
        let result = effect(&mut self.sessions.lock());
        step().await;
        result
    }
}

/// One step of an actor: lets the explorer choose who goes on.
async fn step() {
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
                    self.tell(&Change::Session(id.clone()));
                    Saved::Saved(found.1.into())
                }
            })
            .await;
        Ok(saved)
    }

    async fn touch(&self, _: &SessionId, _: Duration) -> Result<bool, StoreError> {
        unreachable!("no actor touches")
    }

    async fn rename(&self, old: &SessionId, new: &SessionId) -> Result<bool, StoreError> {
        let renamed = self
            .step(|sessions| {
                let found = sessions.remove(old);
                let existed = found.is_some();
                sessions.extend(found.map(|found| (new.clone(), found)));
                self.tell(&Change::Session(old.clone()));
                existed
            })
            .await;
        Ok(renamed)
    }

    async fn delete(&self, id: &SessionId) -> Result<bool, StoreError> {
        let existed = self
            .step(|sessions| {
                let existed = sessions.remove(id).is_some();
                self.tell(&Change::Session(id.clone()));
                existed
            })
            .await;
        Ok(existed)
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

/// A socket that can be closed at once.
#[derive(Default)]
pub(super) struct PlainSocket {
    gone: AtomicBool,
    in_room: AtomicBool,
}

impl LiveSocket for PlainSocket {
    fn presence(&self) -> Presence {
        if self.gone.load(Ordering::SeqCst) {
            Presence::Gone
        } else {
            Presence::Connected
        }
    }

    fn seen(&self) {}

    fn leave_rooms(&self) {
        self.in_room.store(false, Ordering::SeqCst);
    }

    fn disconnect(&self) {
        self.gone.store(true, Ordering::SeqCst);
    }

    fn release(&self) {}

    fn last_word(&self, _: EndReason) -> Option<Job> {
        None
    }
}

/// Tries the choices of a run in every combination, one run after the other.
#[derive(Default)]
struct Explorer {
    path: Vec<(usize, usize)>,
    at: usize,
}

impl Explorer {
    fn choose(&mut self, options: usize) -> usize {
        if self.at == self.path.len() {
            self.path.push((0, options));
        }
        let (choice, of) = self.path[self.at];
        assert_eq!(of, options, "a run must depend on the choices alone");
        self.at += 1;
        choice
    }

    fn next_run(&mut self) -> bool {
        self.at = 0;
        while let Some((choice, options)) = self.path.pop() {
            if choice + 1 < options {
                self.path.push((choice + 1, options));
                return true;
            }
        }
        false
    }
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

struct Actor<'a> {
    future: Option<Pin<Box<dyn Future<Output = ()> + 'a>>>,
    woken: Arc<Woken>,
}

impl<'a> Actor<'a> {
    fn new(future: impl Future<Output = ()> + 'a) -> Self {
        Self {
            future: Some(Box::pin(future)),
            woken: Arc::new(Woken(AtomicBool::new(true))),
        }
    }

    fn is_ready(&self) -> bool {
        self.future.is_some() && self.woken.0.load(Ordering::SeqCst)
    }

    fn poll(&mut self) {
        let Some(future) = &mut self.future else {
            return;
        };
        self.woken.0.store(false, Ordering::SeqCst);
        let waker = Waker::from(self.woken.clone());
        if future
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_ready()
        {
            self.future = None;
        }
    }
}

/// So many turns of the keeper are interleaved with the actors; it has as many as it needs after.
const KEEPER_TURNS: usize = 3;

async fn interleave(explorer: &mut Explorer, mut actors: Vec<Actor<'_>>) {
    let mut keeper_turns = KEEPER_TURNS;
    loop {
        let ready: Vec<usize> = (0..actors.len())
            .filter(|n| actors[*n].is_ready())
            .collect();
        if ready.is_empty() {
            if actors.iter().all(|actor| actor.future.is_none()) {
                break;
            }
            // They wait for the keeper, or for time.
            tokio::time::advance(Duration::from_millis(1)).await;
            continue;
        }
        let options = ready.len() + usize::from(keeper_turns > 0);
        if let Some(nth) = ready.get(explorer.choose(options)) {
            actors[*nth].poll();
        } else {
            keeper_turns -= 1;
            yield_now().await;
        }
    }
    for _ in 0..64 {
        yield_now().await;
    }
}

fn live(store: Arc<SteppedStore>) -> Live<u32> {
    let config = Config {
        ttl: Duration::from_hours(1),
        revalidate_every: Duration::from_mins(1),
        max_stale: Duration::from_mins(5),
        touch_every: None,
    };
    let store = GuardedStore::new(store, Duration::from_secs(2));
    Live::new(store, config, Arc::new(HookThread::default()))
}

struct Run {
    id: SessionId,
    store: Arc<SteppedStore>,
    live: Live<u32>,
    socket: Arc<PlainSocket>,
    admitted: Mutex<Option<Result<Attachment<u32>, LoadError>>>,
    /// This node was told of the end.
    known: AtomicBool,
}

impl Run {
    fn new(reports: bool) -> Self {
        let id: SessionId = "the-session".parse().unwrap();
        let store = SteppedStore::with(&id, reports);
        Self {
            live: live(store.clone()),
            id,
            store,
            socket: Arc::default(),
            admitted: Mutex::new(None),
            known: AtomicBool::new(false),
        }
    }

    /// What the middleware does: admit, join the room, look again.
    async fn admit(&self) {
        let admitted = self.live.admit(&self.id, self.socket.clone()).await;
        if let Ok(attachment) = &admitted {
            self.socket.in_room.store(true, Ordering::SeqCst);
            if attachment.end_reason().is_some() {
                self.socket.leave_rooms();
            }
            assert!(
                !self.known.load(Ordering::SeqCst) || attachment.end_reason().is_some(),
                "let in after the end was known"
            );
        }
        *self.admitted.lock() = Some(admitted);
    }

    /// Whatever happened in between: at the end nobody is in who should not be, nothing is left.
    fn assert_closed(self, runs: usize) {
        match self.admitted.lock().take().expect("the admission is over") {
            Ok(attachment) => {
                assert!(attachment.end_reason().is_some(), "alive, run {runs}");
                assert!(!self.socket.in_room.load(Ordering::SeqCst), "in a room");
            }
            Err(LoadError::Gone) => {}
            Err(LoadError::Store(error)) => panic!("{error}, run {runs}"),
        }
        assert_eq!(self.live.session_count(), 0, "an entry is left, run {runs}");
    }
}

/// Runs `scenario` once for each interleaving, and says how many there were.
fn explore(scenario: impl AsyncFn(&mut Explorer, usize)) -> usize {
    let mut explorer = Explorer::default();
    let mut runs = 0;
    loop {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        // The pauses of the code under test are random, and must be the same in each run.
        fastrand::seed(7);
        runtime.block_on(scenario(&mut explorer, runs));
        runs += 1;
        assert!(runs < 1_000_000, "too many interleavings");
        if !explorer.next_run() {
            return runs;
        }
    }
}

#[test]
fn an_admission_against_an_end_on_this_node() {
    for reports in [true, false] {
        let runs = explore(async |explorer, runs| {
            let run = Run::new(reports);
            let end = async {
                let ending = run.live.end(&run.id);
                let mut ending = std::pin::pin!(ending);
                let begun = std::future::poll_fn(|cx| Poll::Ready(ending.as_mut().poll(cx))).await;
                assert!(begun.is_pending());
                run.known.store(true, Ordering::SeqCst);
                ending.await.unwrap();
            };
            let actors = vec![Actor::new(run.admit()), Actor::new(end)];
            interleave(explorer, actors).await;
            run.assert_closed(runs);
        });
        assert!(runs > 50, "{runs} runs");
    }
}

#[test]
fn an_admission_against_a_deletion_elsewhere_that_is_reported() {
    let runs = explore(async |explorer, runs| {
        let run = Run::new(true);
        let delete = async {
            run.store.delete(&run.id).await.unwrap();
        };
        let actors = vec![Actor::new(run.admit()), Actor::new(delete)];
        interleave(explorer, actors).await;
        run.assert_closed(runs);
    });
    assert!(runs > 50, "{runs} runs");
}

#[test]
fn an_admission_against_a_deletion_while_the_feed_is_broken() {
    let runs = explore(async |explorer, runs| {
        let run = Run::new(true);
        let delete = async {
            run.store.tell(&Change::Lost);
            step().await;
            run.store.sessions.lock().remove(&run.id);
            step().await;
            run.store.tell(&Change::Lagged);
        };
        let actors = vec![Actor::new(run.admit()), Actor::new(delete)];
        interleave(explorer, actors).await;
        // Every session is looked at again, spread over half a second.
        for _ in 0..60 {
            tokio::time::advance(Duration::from_millis(10)).await;
            yield_now().await;
        }
        run.assert_closed(runs);
    });
    assert!(runs > 50, "{runs} runs");
}

#[test]
fn an_admission_against_a_rotation() {
    let new: SessionId = "the-new-id".parse().unwrap();
    for reports in [true, false] {
        let runs = explore(async |explorer, runs| {
            let run = Run::new(reports);
            let rotate = async {
                let view = run.live.resolve(&run.id).await.unwrap();
                let rotated = run.live.rotate(&run.id, &new, &view).await.unwrap();
                assert_eq!(*rotated.snapshot.data, 0);
            };
            let actors = vec![Actor::new(run.admit()), Actor::new(rotate)];
            interleave(explorer, actors).await;
            let reason = match &*run.admitted.lock() {
                Some(Ok(attachment)) => attachment.end_reason(),
                _ => None,
            };
            assert!(matches!(reason, None | Some(EndReason::Rotated)));
            assert!(run.store.sessions.lock().contains_key(&new));
            run.assert_closed(runs);
        });
        assert!(runs > 50, "{runs} runs");
    }
}

#[test]
fn an_update_against_an_end_brings_nothing_back() {
    for reports in [true, false] {
        let runs = explore(async |explorer, _| {
            let run = Run::new(reports);
            let view = run.live.resolve(&run.id).await.unwrap();
            let update = async {
                let _ = run.live.update(&run.id, &view, |data| *data += 1).await;
            };
            let end = async { run.live.end(&run.id).await.unwrap() };
            interleave(explorer, vec![Actor::new(update), Actor::new(end)]).await;
            assert!(run.store.sessions.lock().is_empty(), "brought back");
            assert_eq!(run.live.session_count(), 0);
        });
        assert!(runs > 5, "{runs} runs");
    }
}

#[test]
fn an_update_here_and_one_elsewhere_are_both_kept() {
    let runs = explore(async |explorer, _| {
        let run = Run::new(true);
        run.admit().await;
        let view = run.live.resolve(&run.id).await.unwrap();
        let update = async {
            let updated = run.live.update(&run.id, &view, |data| *data += 1).await;
            updated.map(|_| ()).unwrap();
        };
        let elsewhere = async {
            let other = live(run.store.clone());
            let view = other.resolve(&run.id).await.unwrap();
            let updated = other.update(&run.id, &view, |data| *data += 1).await;
            updated.map(|_| ()).unwrap();
        };
        let actors = vec![Actor::new(update), Actor::new(elsewhere)];
        interleave(explorer, actors).await;
        tokio::time::advance(Duration::from_millis(10)).await;
        for _ in 0..16 {
            yield_now().await;
        }
        assert_eq!(run.store.sessions.lock()[&run.id].0, 2);
        let Some(Ok(attachment)) = run.admitted.lock().take() else {
            panic!("refused");
        };
        assert_eq!(*attachment.view().snapshot.data, 2, "stale");
    });
    assert!(runs > 500, "{runs} runs");
}
