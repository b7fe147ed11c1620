//! Why a client gets no session: five codes for the client, the causes for the operator.

use crate::{
    extractor::{ExtractError, ForbiddenReason, InvalidCredential},
    id::SessionId,
    live::UpdateError,
    store::{StoreError, StoreErrorKind},
};

/// Why a client gets no session.
///
/// [`Display`](std::fmt::Display) is the wire: Socket.IO sends it to the client as
/// `connect_error`'s message, and HTTP as `{"error":CODE}`. So it is one of five constant codes, and
/// what else is known is in [`source`](std::error::Error::source), for logs.
///
/// ```
/// use socketioxide_session::SessionRejection;
///
/// let rejection = SessionRejection::NoCookie;
/// assert_eq!(rejection.to_string(), "NO_COOKIE");
/// assert_eq!(rejection.status(), 401);
/// assert_eq!(rejection.to_json(), r#"{"error":"NO_COOKIE"}"#);
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SessionRejection {
    /// The origin was refused. The store was not called.
    #[error("FORBIDDEN")]
    Forbidden(#[source] ForbiddenReason),
    /// No such cookie came. The store was not called.
    #[error("NO_COOKIE")]
    NoCookie,
    /// No token came. The store was not called.
    #[error("NO_TOKEN")]
    NoToken,
    /// The credential is invalid, or its session is gone.
    #[error("NO_SESSION")]
    NoSession(#[source] NoSessionReason),
    /// The store failed, so it is unknown whether the session exists.
    #[error("STORE_ERROR")]
    StoreError(#[source] StoreError),
}

impl SessionRejection {
    /// The code that the client sees.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Forbidden(_) => "FORBIDDEN",
            Self::NoCookie => "NO_COOKIE",
            Self::NoToken => "NO_TOKEN",
            Self::NoSession(_) => "NO_SESSION",
            Self::StoreError(_) => "STORE_ERROR",
        }
    }

    /// The reason as a word for metrics and audit logs, from a closed set: `gone`, `expired`,
    /// `foreign-origin`, … It is not for the client. The
    /// [metrics](crate::docs::operation#metrics) count by it.
    ///
    /// ```
    /// use socketioxide_session::SessionRejection;
    ///
    /// assert_eq!(SessionRejection::NoCookie.reason(), "no-cookie");
    /// ```
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Forbidden(reason) => reason.as_str(),
            Self::NoCookie => "no-cookie",
            Self::NoToken => "no-token",
            Self::NoSession(reason) => reason.as_str(),
            Self::StoreError(error) => error.kind().as_str(),
        }
    }

    /// The body of the HTTP response: `{"error":CODE}`.
    #[must_use]
    pub fn to_json(&self) -> String {
        // The codes are letters and underscores; nothing in them needs an escape.
        format!(r#"{{"error":"{}"}}"#, self.code())
    }

    /// The HTTP status that goes with the code: 401, 403 or 503.
    #[must_use]
    pub fn status(&self) -> http::StatusCode {
        match self {
            Self::Forbidden(_) => http::StatusCode::FORBIDDEN,
            Self::NoCookie | Self::NoToken | Self::NoSession(_) => http::StatusCode::UNAUTHORIZED,
            Self::StoreError(_) => http::StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The [fingerprint](SessionId::fingerprint) of the requested session, when an
    /// authentic credential named one.
    #[must_use]
    pub fn fingerprint(&self) -> Option<&str> {
        match self {
            Self::NoSession(
                NoSessionReason::Gone { fingerprint }
                | NoSessionReason::Unreadable { fingerprint, .. }
                | NoSessionReason::Revoked { fingerprint },
            ) => Some(fingerprint),
            _ => None,
        }
    }

    pub(crate) fn is_forbidden(&self) -> bool {
        matches!(self, Self::Forbidden(_))
    }

    /// The client has no session: no credential came, or none that (still) names a session.
    pub(crate) fn is_anonymous(&self) -> bool {
        matches!(self, Self::NoCookie | Self::NoToken | Self::NoSession(_))
    }

    pub(crate) fn gone(id: &SessionId) -> Self {
        Self::NoSession(NoSessionReason::Gone {
            fingerprint: id.fingerprint(),
        })
    }
}

impl From<ExtractError> for SessionRejection {
    fn from(error: ExtractError) -> Self {
        match error {
            ExtractError::NoCookie => Self::NoCookie,
            ExtractError::NoToken => Self::NoToken,
            ExtractError::Invalid(invalid) => Self::NoSession(NoSessionReason::Invalid(invalid)),
            ExtractError::Forbidden(reason) => Self::Forbidden(reason),
            ExtractError::Several(_) => {
                Self::NoSession(NoSessionReason::Invalid(InvalidCredential::Ambiguous))
            }
        }
    }
}

impl From<StoreError> for SessionRejection {
    fn from(error: StoreError) -> Self {
        Self::StoreError(error)
    }
}

impl From<UpdateError> for SessionRejection {
    fn from(error: UpdateError) -> Self {
        match error {
            UpdateError::Gone | UpdateError::Unreadable(_) => {
                Self::NoSession(NoSessionReason::Ended)
            }
            UpdateError::Contended => {
                Self::StoreError(StoreError::new(StoreErrorKind::Unavailable, error))
            }
            UpdateError::Store(error) => Self::StoreError(error),
        }
    }
}

/// Why there is no session, for logs: the client sees one code for all of these.
///
/// ```
/// use socketioxide_session::{SessionRejection, rejection::NoSessionReason};
///
/// /// For an audit log: an authentic credential whose session is gone is harmless, a forged one isn't.
/// fn is_suspicious(rejection: &SessionRejection) -> bool {
///     matches!(rejection, SessionRejection::NoSession(NoSessionReason::Invalid(_)))
/// }
/// # assert!(!is_suspicious(&SessionRejection::NoCookie));
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum NoSessionReason {
    /// The credential is invalid. The store was not called.
    #[error(transparent)]
    Invalid(InvalidCredential),
    /// The credential is valid, but its session does not exist (any more).
    #[error("there is an id but no session")]
    Gone {
        /// The [fingerprint](SessionId::fingerprint) of the id.
        fingerprint: String,
    },
    /// The session exists, and its record can't be decoded.
    #[error("the stored session can't be decoded")]
    Unreadable {
        /// The [fingerprint](SessionId::fingerprint) of the id.
        fingerprint: String,
        /// The error of the store, with the path of the field.
        #[source]
        error: StoreError,
    },
    /// [`verify`](crate::bridge::SessionBridgeBuilder::verify) refused the session.
    #[error("the application refused the session")]
    Revoked {
        /// The [fingerprint](SessionId::fingerprint) of the id.
        fingerprint: String,
    },
    /// A request named the `sid` of a transport that belongs to a session, and brought a credential
    /// of another one. (The client gets the answer for an unknown `sid`.)
    #[error("the sid belongs to another session")]
    ForeignTransport,
    /// The session ended while it was used.
    #[error("the session has ended")]
    Ended,
}

impl NoSessionReason {
    fn as_str(&self) -> &'static str {
        match self {
            Self::Invalid(invalid) => invalid.as_str(),
            Self::Gone { .. } => "gone",
            Self::Unreadable { .. } => "unreadable",
            Self::Revoked { .. } => "revoked",
            Self::ForeignTransport => "foreign-transport",
            Self::Ended => "ended",
        }
    }
}
