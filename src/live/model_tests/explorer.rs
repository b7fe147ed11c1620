//! Runs of actors in every order.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use tokio::task::yield_now;

/// Maximum number of runs of one scenario.
const MAX_RUNS: usize = 1_000_000;

/// Maximum number of milliseconds that the actors of a run wait.
const MAX_WAITS: usize = 100_000;

/// Tries the choices of a run in every combination, one run after the other.
#[derive(Default)]
pub(super) struct Explorer {
    path: Vec<(usize, usize)>,
    at: usize,
}

impl Explorer {
    pub(super) fn choose(&mut self, options: usize) -> usize {
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

/// Runs `scenario` once for each interleaving, and returns their number. The scenario gets the number
/// of the run for its messages.
pub(super) fn explore(scenario: impl AsyncFn(&mut Explorer, usize)) -> usize {
    let mut explorer = Explorer::default();
    let mut runs = 0;
    crate::blocking::joined(|| {
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
            assert!(runs < MAX_RUNS, "too many interleavings");
            if !explorer.next_run() {
                return runs;
            }
        }
    })
}

/// Polls the actors, and tasks of the runtime in between, in the order that the explorer chooses.
/// `turns` of the runtime are interleaved with the actors; it has as many as it needs afterwards.
pub(super) async fn interleave(explorer: &mut Explorer, mut actors: Vec<Actor<'_>>, turns: usize) {
    let mut turns = turns;
    let mut waited = 0;
    loop {
        let ready: Vec<usize> = (0..actors.len())
            .filter(|n| actors[*n].is_ready())
            .collect();
        if ready.is_empty() {
            if actors.iter().all(|actor| actor.future.is_none()) {
                break;
            }
            // They wait for the runtime's tasks, or for time.
            waited += 1;
            assert!(waited < MAX_WAITS, "an actor does not end");
            tokio::time::advance(Duration::from_millis(1)).await;
            continue;
        }
        let options = ready.len() + usize::from(turns > 0);
        if let Some(nth) = ready.get(explorer.choose(options)) {
            actors[*nth].poll();
        } else {
            turns -= 1;
            yield_now().await;
        }
    }
    for _ in 0..64 {
        yield_now().await;
    }
}

/// Drops `future` after `polls` polls, unless it is ready by then: returns `None`.
pub(super) async fn dropped_midway<R>(polls: usize, future: impl Future<Output = R>) -> Option<R> {
    let mut future = Box::pin(future);
    let mut polled = 0;
    std::future::poll_fn(move |cx| {
        if polled == polls {
            return Poll::Ready(None);
        }
        polled += 1;
        let poll = future.as_mut().poll(cx).map(Some);
        if poll.is_pending() && polled == polls {
            return Poll::Ready(None);
        }
        poll
    })
    .await
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

pub(super) struct Actor<'a> {
    future: Option<Pin<Box<dyn Future<Output = ()> + 'a>>>,
    woken: Arc<Woken>,
}

impl<'a> Actor<'a> {
    pub(super) fn new(future: impl Future<Output = ()> + 'a) -> Self {
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
        let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
        if polled.is_ready() {
            self.future = None;
        }
    }
}
