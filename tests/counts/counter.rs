//! Counts allocations.

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio::sync::{Mutex, MutexGuard};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Calls counted for each result.
pub(crate) const TRIES: usize = 20;

/// Held by a test from its begin to its end, because all threads of the process are counted.
pub(crate) struct Alone {
    _guard: MutexGuard<'static, ()>,
    counted: Region<'static, System>,
}

static ONE_TEST_AT_A_TIME: Mutex<()> = Mutex::const_new(());

impl Alone {
    pub(crate) fn begin() -> Self {
        Self::with(ONE_TEST_AT_A_TIME.blocking_lock())
    }

    #[cfg(feature = "redis")]
    pub(crate) async fn begin_async() -> Self {
        Self::with(ONE_TEST_AT_A_TIME.lock().await)
    }

    fn with(guard: MutexGuard<'static, ()>) -> Self {
        Self {
            _guard: guard,
            counted: Region::new(ALLOCATOR),
        }
    }

    /// The number of allocations of one call of `call`: the fewest of several, because whatever else the
    /// process does meanwhile only adds to it.
    pub(crate) fn allocations<R>(&mut self, mut call: impl FnMut() -> R) -> usize {
        let count = || {
            self.counted.reset();
            let result = call();
            let stats = self.counted.change();
            drop(result);
            stats.allocations + stats.reallocations
        };
        std::iter::repeat_with(count).take(TRIES).min().unwrap()
    }
}

#[test]
fn the_counter_counts() {
    let mut alone = Alone::begin();
    assert_eq!(alone.allocations(|| 1), 0);
    assert_eq!(alone.allocations(|| Box::new(1)), 1);
    assert_eq!(alone.allocations(|| [vec![1_u8; 8], vec![2; 16]]), 2);
}
