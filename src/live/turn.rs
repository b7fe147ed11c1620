//! A write of a session at the store, which holds the session's turn.

use std::sync::Arc;

use tokio::{sync::MutexGuard, time::Instant};

use super::{
    core::Core,
    end::missing,
    entry::{Entry, EntryState},
};
use crate::{
    deadline::within,
    store::{StoreError, StoreErrorKind},
};

/// A write under way.
///
/// Invariants:
/// 1. Its answer is taken in while it holds the turn, so no other answer comes in between:
///    [`learn`](Self::learn) and [`missing`](Self::missing) are the only ways to end it.
/// 2. A write that is dropped makes the session stale: after an error, a timeout, or when the caller is
///    gone, it may have taken effect or may do so yet.
/// 3. The wait for the turn and the call of the store together end at one deadline, so that writes
///    that hang keep other callers waiting no longer than one call may take.
pub(super) struct Write<'a, T> {
    core: &'a Arc<Core<T>>,
    entry: &'a Arc<Entry<T>>,
    deadline: Instant,
    learned: bool,
    _turn: MutexGuard<'a, ()>,
}

impl<'a, T> Write<'a, T> {
    pub(super) async fn begin(
        core: &'a Arc<Core<T>>,
        entry: &'a Arc<Entry<T>>,
    ) -> Result<Self, StoreError> {
        let deadline = core.call_deadline();
        match entry.take_turn(deadline).await {
            Some(turn) if Instant::now() < deadline => Ok(Self {
                core,
                entry,
                deadline,
                learned: false,
                _turn: turn,
            }),
            _ => Err(StoreErrorKind::Timeout.into()),
        }
    }

    /// Waits for the answer of the store to this write.
    pub(super) async fn call<R>(
        &self,
        call: impl Future<Output = Result<R, StoreError>>,
    ) -> Result<R, StoreError> {
        let answer = within(self.deadline, call).await;
        answer.unwrap_or_else(|| Err(StoreErrorKind::Timeout.into()))
    }

    /// Takes in the answer. What `learn` returns is dropped by the caller, without the lock.
    pub(super) fn learn<R>(mut self, learn: impl FnOnce(&mut EntryState<T>) -> R) -> R {
        let learned = learn(&mut self.entry.state());
        self.learned = true;
        learned
    }

    /// The answer is that there is no such session: it ends here.
    pub(super) async fn missing(self)
    where
        T: Send + Sync + 'static,
    {
        missing(self.core, self.entry).await;
        self.learn(|_| ());
    }
}

impl<T> Drop for Write<'_, T> {
    fn drop(&mut self) {
        if !self.learned {
            self.core.invalidate(self.entry);
        }
    }
}
