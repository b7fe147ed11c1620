//! Advice that is logged once.

use std::collections::HashSet;

use crate::lock::Mutex;

/// Maximum number of remembered texts, because clients choose the origins in them. Further ones are
/// not logged.
const CAPACITY: usize = 100;

/// The texts that were logged.
#[derive(Default)]
pub(super) struct Advised(Mutex<HashSet<String>>);

impl Advised {
    /// Whether the text is to be logged now.
    pub(super) fn is_new(&self, advice: &str) -> bool {
        let mut advised = self.0.lock();
        advised.len() < CAPACITY && advised.insert(advice.to_owned())
    }
}
