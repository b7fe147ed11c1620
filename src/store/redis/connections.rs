//! The connections of a store, and the limit of commands that wait on them.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use tokio::sync::{Semaphore, SemaphorePermit, watch};

use super::{driver::Driver, error::too_many};
use crate::{observe::target, store::StoreError};

/// Maximum number of commands that wait for their answers. Further ones fail at once.
const MAX_WAITING: usize = 10_000;

/// The connections of a store and its clones.
pub(super) struct Connections {
    drivers: Vec<Arc<dyn Driver>>,
    next: AtomicUsize,
    permits: Semaphore,
    /// Whether the log says already that there are no reports.
    warned: AtomicBool,
    /// Dropped with the last store. That closes the connections, unless they are the user's own.
    in_use: Option<watch::Sender<()>>,
}

impl Connections {
    pub(super) fn new(drivers: Vec<Arc<dyn Driver>>, in_use: Option<watch::Sender<()>>) -> Self {
        Self {
            drivers,
            next: AtomicUsize::new(0),
            permits: Semaphore::new(MAX_WAITING),
            warned: AtomicBool::new(false),
            in_use,
        }
    }

    pub(super) fn all(&self) -> &[Arc<dyn Driver>] {
        &self.drivers
    }

    /// The next connection, and the permit for one command.
    pub(super) fn next(&self) -> Result<(&Arc<dyn Driver>, SemaphorePermit<'_>), StoreError> {
        let permit = self.permits.try_acquire().map_err(too_many)?;
        let next = self.next.fetch_add(1, Ordering::Relaxed) % self.drivers.len();
        Ok((&self.drivers[next], permit))
    }

    /// Whether all connections can receive reports. The log says it once when they can't; connections
    /// that this crate made have said it when they were made.
    pub(super) fn can_report(&self) -> bool {
        let can = self.drivers.iter().all(|driver| driver.has_push());
        if !can && self.in_use.is_none() && !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                target: target::FEED,
                "without RESP3, Redis reports no changes of sessions"
            );
        }
        can
    }
}
