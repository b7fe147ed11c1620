//! The reports of the store, and whether they can be relied on.

use std::{
    panic::AssertUnwindSafe,
    sync::atomic::{AtomicU64, Ordering},
    task::Poll,
};

use futures_util::FutureExt as _;

use crate::{
    observe::target,
    store::{Change, Changes},
};

/// One stretch of time in which every change was reported, or in which none was. Another one begins
/// each time when reports may have been lost.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Epoch(u64);

impl Epoch {
    /// Whether changes are reported in it.
    pub(super) fn reports(self) -> bool {
        self.0 & 1 == 1
    }
}

/// Whether the store's reports can be relied on: the number of the epoch, and in the lowest bit
/// whether it reports.
#[derive(Default)]
pub(super) struct Feed(AtomicU64);

impl Feed {
    pub(super) fn epoch(&self) -> Epoch {
        Epoch(self.0.load(Ordering::SeqCst))
    }

    /// Begins another epoch, and returns the last one.
    pub(super) fn begin(&self, reports: bool) -> Epoch {
        let next = |last: u64| ((last >> 1) + 1) << 1 | u64::from(reports);
        let last = self
            .0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |last| Some(next(last)));
        Epoch(last.unwrap_or_else(|unchanged| unchanged))
    }
}

/// A subscription to the changes of a store; an empty one where none are reported.
pub(super) struct Reports {
    changes: Option<Changes>,
    /// Reports that came at once.
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

    /// Whether every change is reported from now on. A feed that takes a while to begin
    /// starts with `Disconnected`, which is no error.
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
            tracing::error!(target: target::FEED, "the session store's feed of changes panicked");
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
