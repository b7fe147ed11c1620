//! The mutex of this crate, under which no code of a metrics recorder runs.
//!
//! A recorder is code of the application: it may block, and it may ask a bridge for its numbers.
//! Invariant: what is passed to `unlocked` runs while its thread holds no [`Mutex`]. If the thread
//! holds one, the call is deferred until the last of them is released.
//!
//! Without the feature `metrics`, nothing is emitted, and this is the mutex of `parking_lot`.

#[cfg(feature = "metrics")]
mod deferring;

#[cfg(feature = "metrics")]
pub(crate) use deferring::{Mutex, MutexGuard, change_unlocked, unlocked};
#[cfg(not(feature = "metrics"))]
pub(crate) use parking_lot::{Mutex, MutexGuard};
