//! What the store reports, and whether that can be relied on.

use std::{
    panic::AssertUnwindSafe,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    task::Poll,
};

use futures_util::FutureExt as _;

use crate::store::{Change, Changes};

/// Whether the store's reports can be relied on.
#[derive(Default)]
pub(super) struct Feed {
    /// Another one each time when reports may have been lost.
    epoch: AtomicU64,
    up: AtomicBool,
}

impl Feed {
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    pub(super) fn is_up(&self) -> bool {
        self.up.load(Ordering::SeqCst)
    }

    /// The epoch, if what was loaded in it can be trusted until a report comes.
    pub(super) fn trusted_epoch(&self) -> Option<u64> {
        let epoch = self.epoch();
        self.is_up().then_some(epoch)
    }

    /// Begins another epoch. Says whether the feed was up in the last one.
    pub(super) fn set(&self, up: bool) -> bool {
        let was_up = self.up.swap(up, Ordering::SeqCst);
        self.epoch.fetch_add(1, Ordering::SeqCst);
        was_up
    }
}

/// A subscription to the changes of a store; an empty one where none are reported.
pub(super) struct Reports {
    changes: Option<Changes>,
    /// What came at once.
    first: Poll<Option<Change>>,
}

impl Reports {
    pub(super) fn new(changes: Option<Changes>) -> Self {
        let mut reports = Self {
            changes,
            first: Poll::Pending,
        };
        if let Some(first) = reports.read().now_or_never() {
            reports.first = Poll::Ready(first);
        }
        reports
    }

    /// The store reports none.
    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_none() && self.first.is_pending()
    }

    /// Whether every change is reported from now on. A feed that takes a while to begin says `Lost` at
    /// once, which is nothing to worry about.
    pub(super) fn is_ready(&self) -> bool {
        self.changes.is_some() && self.first != Poll::Ready(Some(Change::Disconnected))
    }

    /// The next change, `None` when the feed has ended or panicked; never where none are reported.
    pub(super) async fn next(&mut self) -> Option<Change> {
        match std::mem::replace(&mut self.first, Poll::Pending) {
            Poll::Ready(first) => first,
            Poll::Pending => self.read().await,
        }
    }

    async fn read(&mut self) -> Option<Change> {
        let Some(changes) = &mut self.changes else {
            return std::future::pending().await;
        };
        let next = AssertUnwindSafe(changes.next()).catch_unwind().await;
        let next = next.unwrap_or_else(|_| {
            tracing::error!("the session store's feed of changes panicked");
            None
        });
        if next.is_none() {
            self.changes = None;
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt as _, stream};

    use super::*;

    #[tokio::test]
    async fn a_feed_that_begins_with_a_loss_is_not_ready_and_nothing_it_says_is_missed() {
        use Change::{Disconnected, Resync};

        let of = |said: Vec<Change>| Changes::new(stream::iter(said).chain(stream::pending()));
        for (said, ready) in [
            (vec![], true),
            (vec![Resync], true),
            (vec![Disconnected, Resync], false),
        ] {
            let mut reports = Reports::new(Some(of(said.clone())));
            assert_eq!((reports.is_ready(), reports.is_empty()), (ready, false));
            for change in said {
                assert_eq!(reports.next().await, Some(change));
            }
            assert!(reports.next().now_or_never().is_none());
        }
    }

    #[tokio::test]
    async fn an_end_is_told_once_and_where_there_is_no_feed_nothing_is_told() {
        let panics = stream::poll_fn(|_| panic!("by the store"));
        for ended in [Changes::new(stream::empty()), Changes::new(panics)] {
            let mut reports = Reports::new(Some(ended));
            assert!(!reports.is_ready() && !reports.is_empty());
            assert_eq!(reports.next().await, None);
            assert!(reports.next().now_or_never().is_none());
        }
        let mut none = Reports::new(None);
        assert!(!none.is_ready() && none.is_empty());
        assert!(none.next().now_or_never().is_none());
    }
}
