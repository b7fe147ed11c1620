//! Why an origin is refused.

/// Why the origin of a request was refused.
///
/// ```
/// use socketioxide_session::{
///     extractor::{ForbiddenReason, OriginPolicy},
///     testing::HandshakeBuilder,
/// };
///
/// let sandboxed = HandshakeBuilder::socket("/").origin("null");
/// let checked = sandboxed.with(|handshake| OriginPolicy::same_origin().check(handshake));
/// assert_eq!(checked, Err(ForbiddenReason::NullOrigin));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ForbiddenReason {
    /// The `Origin` is neither the request's own nor an allowed one.
    #[error("the Origin is foreign")]
    ForeignOrigin,
    /// The `Origin` is the request's own host over plain http, for a cookie or a request of https.
    #[error("the Origin is a page of plain http")]
    InsecureOrigin,
    /// The `Origin` is `null`: a sandboxed page, or one that hides where it comes from.
    #[error("the Origin is null")]
    NullOrigin,
    /// The `Origin` is `file://`: any local file.
    #[error("the Origin is a local file")]
    LocalFile,
    /// The request has more than one `Origin` field.
    #[error("there is more than one Origin")]
    SeveralOrigins,
    /// The `Origin` field holds no origin.
    #[error("the Origin is malformed")]
    MalformedOrigin,
    /// `Sec-Fetch-Site` is `cross-site`: a page of another site made the request.
    #[error("Sec-Fetch-Site is cross-site")]
    CrossSite,
    /// A Socket.IO request of a sibling page (`Sec-Fetch-Site: same-site`) without an `Origin`.
    #[error("Sec-Fetch-Site is same-site and there is no Origin")]
    SameSiteWithoutOrigin,
    /// A custom extractor refused the request.
    #[error("refused by the extractor")]
    Other,
}

impl ForbiddenReason {
    /// The reason as a word for metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::ForeignOrigin => "foreign-origin",
            Self::InsecureOrigin => "insecure-origin",
            Self::NullOrigin => "null-origin",
            Self::LocalFile => "local-file",
            Self::SeveralOrigins => "several-origins",
            Self::MalformedOrigin => "malformed-origin",
            Self::CrossSite => "cross-site",
            Self::SameSiteWithoutOrigin => "same-site-without-origin",
            Self::Other => "extractor",
        }
    }
}

/// The text given to [`OriginPolicy::allow_origin`](super::OriginPolicy::allow_origin) can't be
/// allowed.
///
/// ```
/// use socketioxide_session::extractor::{OriginError, OriginPolicy};
///
/// let policy: Result<OriginPolicy, OriginError> = OriginPolicy::same_origin().allow_origin("*");
/// assert!(policy.is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{origin:?} is not an origin such as https://app.example.com")]
pub struct OriginError {
    pub(super) origin: String,
}
