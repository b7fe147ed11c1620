//! One lock for each id that is in use.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::Mutex as AsyncMutex;

use crate::lock::Mutex;

/// Lets the writing calls of one session run one after the other, in the order in which they came.
///
/// An id takes memory only while a call holds its lock or waits for it.
#[derive(Default)]
pub(super) struct IdLocks {
    by_id: Mutex<HashMap<i128, Arc<AsyncMutex<()>>>>,
}

impl IdLocks {
    /// Runs `call` while no other call of this id runs. Dropping the future releases the lock.
    pub(super) async fn exclusively<R>(&self, id: i128, call: impl Future<Output = R>) -> R {
        let slot = self.slot(id);
        let _guard = slot.lock.lock().await;
        call.await
    }

    fn slot(&self, id: i128) -> Slot<'_> {
        let lock = self.by_id.lock().entry(id).or_default().clone();
        Slot {
            locks: self,
            id,
            lock,
        }
    }
}

/// The use of one lock; the last one removes it.
struct Slot<'a> {
    locks: &'a IdLocks,
    id: i128,
    lock: Arc<AsyncMutex<()>>,
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let mut by_id = self.locks.by_id.lock();
        // Clones are made under this lock only: the map's and this one are the last.
        if Arc::strong_count(&self.lock) == 2 {
            by_id.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, time::Duration};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn calls_of_one_id_do_not_overlap_and_leave_nothing() {
        let locks = IdLocks::default();
        let log = RefCell::new(Vec::new());
        let call = async |id: i128, name: &'static str| {
            let call = async {
                log.borrow_mut().push((name, "begins"));
                tokio::time::sleep(Duration::from_secs(1)).await;
                log.borrow_mut().push((name, "ends"));
            };
            locks.exclusively(id, call).await;
        };
        tokio::join!(call(1, "a"), call(1, "b"), call(2, "other"));
        let of_one = log.take();
        let of_one: Vec<_> = of_one.iter().filter(|(name, _)| *name != "other").collect();
        let expected = [
            ("a", "begins"),
            ("a", "ends"),
            ("b", "begins"),
            ("b", "ends"),
        ];
        assert_eq!(of_one, expected.iter().collect::<Vec<_>>());
        assert!(locks.by_id.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_call_releases_the_lock() {
        let locks = IdLocks::default();
        let hangs = locks.exclusively(1, std::future::pending::<()>());
        let both = async { tokio::join!(hangs, locks.exclusively(1, async {})) };
        let stuck = tokio::time::timeout(Duration::from_secs(1), both).await;
        assert!(stuck.is_err());
        assert!(locks.by_id.lock().is_empty());
        locks.exclusively(1, async {}).await;
    }
}
