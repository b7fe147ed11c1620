//! Short-lived marks of ids that are being replaced, in memory.

use std::time::Duration;

use crate::{id::SessionId, recent::Recent};

/// Lifetime of a [mark](super::SessionStore::mark_replaced).
pub const REPLACED_MARK_TTL: Duration = Duration::from_secs(10);
/// Maximum number of marks. A session whose mark is dropped for another looks deleted instead of replaced.
const CAPACITY: usize = 100_000;

/// The ids that are being replaced by others.
pub(super) struct ReplacedMarks(Recent<SessionId, ()>);

impl ReplacedMarks {
    pub(super) fn new() -> Self {
        Self(Recent::new(CAPACITY))
    }

    pub(super) fn add(&mut self, id: &SessionId) {
        self.0.insert(id, (), REPLACED_MARK_TTL);
    }

    pub(super) fn contains(&self, id: &SessionId) -> bool {
        self.0.get(id).is_some()
    }
}
