//! Counts allocations.

use std::{
    alloc::System,
    sync::{Mutex, PoisonError},
};

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Calls counted for each result.
pub(crate) const TRIES: usize = 20;

/// The number of allocations of one call of `call`: the fewest of several, because whatever else the
/// process does meanwhile only adds to it.
pub(crate) fn allocations<R>(mut call: impl FnMut() -> R) -> usize {
    static ONE_TEST_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_TEST_AT_A_TIME
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let count = || {
        let region = Region::new(ALLOCATOR);
        let result = call();
        let stats = region.change();
        drop(result);
        stats.allocations + stats.reallocations
    };
    std::iter::repeat_with(count).take(TRIES).min().unwrap()
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| 1), 0);
    assert_eq!(allocations(|| Box::new(1)), 1);
    assert_eq!(allocations(|| [vec![1_u8; 8], vec![2; 16]]), 2);
}
