//! Runs of actors in every order.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Wake, Waker},
};

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

    pub(super) fn next_run(&mut self) -> bool {
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

pub(super) struct Actor<'a> {
    pub(super) future: Option<Pin<Box<dyn Future<Output = ()> + 'a>>>,
    woken: Arc<Woken>,
}

impl<'a> Actor<'a> {
    pub(super) fn new(future: impl Future<Output = ()> + 'a) -> Self {
        Self {
            future: Some(Box::pin(future)),
            woken: Arc::new(Woken(AtomicBool::new(true))),
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        self.future.is_some() && self.woken.0.load(Ordering::SeqCst)
    }

    pub(super) fn poll(&mut self) {
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
