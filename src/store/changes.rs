//! The stream of what a store reports.

use std::{fmt, pin::Pin};

use futures_util::{Stream, StreamExt as _};

use super::change::Change;

/// A stream of [`Change`]s, made from any stream of them.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use futures_util::stream;
/// use socketioxide_session::store::{Change, Changes};
///
/// // The result of a store's `changes`.
/// let mut changes = Changes::new(stream::iter([Change::Session("some-id".parse()?)]));
/// assert!(changes.next().await.is_some());
/// assert!(changes.next().await.is_none());
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub struct Changes(Pin<Box<dyn Stream<Item = Change> + Send>>);

impl Changes {
    /// Takes a stream of changes.
    pub fn new(stream: impl Stream<Item = Change> + Send + 'static) -> Self {
        Self(Box::pin(stream))
    }

    /// The next change; `None` when the feed has ended.
    pub async fn next(&mut self) -> Option<Change> {
        self.0.next().await
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes").finish_non_exhaustive()
    }
}
