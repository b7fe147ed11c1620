//! A mutex that makes deferred calls after it is released.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    fmt,
    marker::PhantomData,
    ops::{Deref, DerefMut},
    panic::{AssertUnwindSafe, catch_unwind},
};

enum Deferred {
    Call(Box<dyn FnOnce()>),
    /// A change of a gauge, the most frequent one: it needs no allocation.
    Change(fn(f64), f64),
}

thread_local! {
    /// Number of mutexes that this thread holds.
    static HELD: Cell<usize> = const { Cell::new(0) };
    static DEFERRED: RefCell<VecDeque<Deferred>> = const { RefCell::new(VecDeque::new()) };
}

/// Makes a call now, or as soon as this thread holds no mutex. A panic of the call ends there.
pub(crate) fn unlocked(call: impl FnOnce() + 'static) {
    if HELD.get() == 0 {
        return caught(call);
    }
    defer(Deferred::Call(Box::new(call)));
}

/// As [`unlocked`], with an argument.
pub(crate) fn change_unlocked(call: fn(f64), by: f64) {
    if HELD.get() == 0 {
        return caught(|| call(by));
    }
    defer(Deferred::Change(call, by));
}

fn defer(call: Deferred) {
    // On a thread that is ending, the call is dropped.
    let _ = DEFERRED.try_with(|deferred| deferred.borrow_mut().push_back(call));
}

/// A guard may be dropped by a panic, so a call must not panic again.
fn caught(call: impl FnOnce()) {
    drop(catch_unwind(AssertUnwindSafe(call)));
}

/// A mutex that makes deferred calls after it is released.
#[derive(Default)]
pub(crate) struct Mutex<S>(parking_lot::Mutex<S>);

impl<S> Mutex<S> {
    pub(crate) const fn new(state: S) -> Self {
        Self(parking_lot::Mutex::new(state))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, S> {
        MutexGuard {
            guard: self.0.lock(),
            _held: Held::new(),
        }
    }

    pub(crate) fn get_mut(&mut self) -> &mut S {
        self.0.get_mut()
    }
}

impl<S> fmt::Debug for Mutex<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex").finish_non_exhaustive()
    }
}

/// Releases its mutex, then makes the deferred calls if it was the last one of its thread.
pub(crate) struct MutexGuard<'a, S> {
    // Declared first, so that it is dropped first.
    guard: parking_lot::MutexGuard<'a, S>,
    _held: Held,
}

impl<S> Deref for MutexGuard<'_, S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.guard
    }
}

impl<S> DerefMut for MutexGuard<'_, S> {
    fn deref_mut(&mut self) -> &mut S {
        &mut self.guard
    }
}

/// A mutex that this thread holds. It can't move to another thread.
struct Held(PhantomData<*const ()>);

impl Held {
    fn new() -> Self {
        HELD.set(HELD.get() + 1);
        Self(PhantomData)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let held = HELD.get() - 1;
        HELD.set(held);
        if held == 0 {
            call_deferred();
        }
    }
}

fn call_deferred() {
    let next = || DEFERRED.try_with(|deferred| deferred.borrow_mut().pop_front());
    while let Ok(Some(call)) = next() {
        match call {
            Deferred::Call(call) => caught(call),
            Deferred::Change(call, by) => caught(|| call(by)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    #[test]
    fn a_call_waits_until_the_last_mutex_is_released() {
        let calls = Arc::new(AtomicUsize::new(0));
        let count = || {
            let calls = calls.clone();
            unlocked(move || {
                calls.fetch_add(1, Ordering::Relaxed);
            });
        };
        let made = || calls.load(Ordering::Relaxed);
        count();
        assert_eq!(made(), 1);
        let (outer, inner) = (Mutex::new(()), Mutex::new(()));
        let held = outer.lock();
        let also_held = inner.lock();
        count();
        drop(held);
        count();
        assert_eq!(made(), 1);
        drop(also_held);
        assert_eq!(made(), 3);
    }

    #[test]
    fn deferred_calls_keep_their_order_and_arguments() {
        thread_local! {
            static SUM: Cell<f64> = const { Cell::new(0.0) };
        }
        let add = |by| SUM.set(SUM.get() + by);
        let double = |by| SUM.set(SUM.get() * by);
        change_unlocked(add, 1.0);
        let mutex = Mutex::new(());
        let held = mutex.lock();
        change_unlocked(add, 4.0);
        change_unlocked(double, 2.0);
        unlocked(move || SUM.set(SUM.get() + 0.5));
        assert_eq!(SUM.get().to_bits(), 1.0_f64.to_bits());
        drop(held);
        assert_eq!(SUM.get().to_bits(), 10.5_f64.to_bits());
    }

    #[test]
    fn a_deferred_call_may_lock_the_same_mutex_and_defer_calls() {
        let state = Arc::new(Mutex::new(0));
        let mut held = state.lock();
        let again = state.clone();
        unlocked(move || {
            let mut held = again.lock();
            *held += 1;
            let again = again.clone();
            unlocked(move || *again.lock() += 10);
        });
        *held = 100;
        drop(held);
        assert_eq!(*state.lock(), 111);
    }

    #[test]
    fn a_call_that_panics_harms_no_other() {
        let state = Arc::new(Mutex::new(0));
        let held = state.lock();
        unlocked(|| panic!("in a test"));
        let again = state.clone();
        unlocked(move || *again.lock() += 1);
        drop(held);
        unlocked(|| panic!("in a test"));
        assert_eq!(*state.lock(), 1);
    }
}
