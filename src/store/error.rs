//! Errors of a store.

use std::{error::Error, fmt, sync::Arc};

/// A store failed. What it was is in [`kind`](Self::kind), the cause in
/// [`source`](Error::source).
///
/// ```
/// use socketioxide_session::{StoreError, store::StoreErrorKind};
///
/// // In a store of one's own:
/// let error = StoreError::new(StoreErrorKind::Unavailable, "the connection is closed");
/// assert_eq!(error.kind(), StoreErrorKind::Unavailable);
/// assert_eq!(error.to_string(), "the session store is not available");
/// ```
#[derive(Debug, Clone)]
pub struct StoreError {
    kind: StoreErrorKind,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl StoreError {
    /// An error of this kind, with its cause.
    pub fn new(kind: StoreErrorKind, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            kind,
            source: Some(Arc::from(source.into())),
        }
    }

    /// The kind of failure.
    #[must_use]
    pub fn kind(&self) -> StoreErrorKind {
        self.kind
    }

    /// The bridge was shut down.
    pub(crate) fn shut_down() -> Self {
        Self::new(
            StoreErrorKind::Unavailable,
            "the session bridge is shut down",
        )
    }

    /// A panic of code that was called: of a store, or of an extractor.
    pub(crate) fn panicked(who: &'static str) -> Self {
        Self::new(StoreErrorKind::Other, format!("{who} panicked"))
    }
}

impl From<StoreErrorKind> for StoreError {
    fn from(kind: StoreErrorKind) -> Self {
        Self { kind, source: None }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            StoreErrorKind::Timeout => "the session store did not answer in time",
            StoreErrorKind::Unavailable => "the session store is not available",
            StoreErrorKind::Decode => "the stored session can't be decoded",
            StoreErrorKind::Encode => "the session can't be encoded",
            StoreErrorKind::TooLarge => "the session is too large for the store",
            StoreErrorKind::NoLifetime => "the session would have no lifetime",
            StoreErrorKind::Unsupported => "the session store does not support this",
            StoreErrorKind::Other => "the session store failed",
        })
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source
            .as_deref()
            .map(|source| source as &(dyn Error + 'static))
    }
}

/// The kinds of [`StoreError`].
///
/// ```
/// use socketioxide_session::{StoreError, store::StoreErrorKind};
///
/// /// Whether it is worthwhile to try the call again.
/// fn is_temporary(error: &StoreError) -> bool {
///     matches!(error.kind(), StoreErrorKind::Timeout | StoreErrorKind::Unavailable)
/// }
/// # assert!(is_temporary(&StoreErrorKind::Timeout.into()));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// No answer within the timeout.
    Timeout,
    /// The store can't be reached, or is not working now.
    Unavailable,
    /// The stored record can't be decoded.
    Decode,
    /// The data can't be encoded.
    Encode,
    /// The data is larger than the store's limit.
    TooLarge,
    /// A session was to be created without a lifetime: its `ttl` is zero, or
    /// [`max_lifetime`](crate::bridge::SessionBridgeBuilder::max_lifetime) has passed. The store is not called.
    NoLifetime,
    /// The store does not support this call, because it is read-only, for example.
    Unsupported,
    /// Anything else.
    Other,
}

impl StoreErrorKind {
    /// The kind as a word for metrics and audit logs: `timeout`, `unavailable`, `decode`, `encode`,
    /// `too-large`, `no-lifetime`, `unsupported` or `other`.
    ///
    /// ```
    /// use socketioxide_session::store::StoreErrorKind;
    ///
    /// assert_eq!(StoreErrorKind::TooLarge.as_str(), "too-large");
    /// ```
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Unavailable => "unavailable",
            Self::Decode => "decode",
            Self::Encode => "encode",
            Self::TooLarge => "too-large",
            Self::NoLifetime => "no-lifetime",
            Self::Unsupported => "unsupported",
            Self::Other => "other",
        }
    }
}
