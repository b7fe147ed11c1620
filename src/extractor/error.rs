//! Why a handshake gives no session id.

use std::{error::Error, sync::Arc};

use super::ForbiddenReason;
use crate::{
    handshake::CookieHeaderTooLarge,
    id::{ParseSessionIdError, SessionId},
};

/// Why a handshake gave no session id.
///
/// ```
/// use socketioxide_session::{SessionIdExtractor, extractor::ExtractError, testing::HandshakeBuilder};
/// # use socketioxide_session::{Keyring, SecretKey, SignedCookie};
/// # let cookie = SignedCookie::new("sid", &Keyring::new(SecretKey::generate()?))?;
///
/// let extract = |handshake: HandshakeBuilder| handshake.with(|handshake| cookie.extract(handshake));
/// let request = || HandshakeBuilder::request("/");
/// assert!(matches!(extract(request()), Err(ExtractError::NoCookie)));
/// assert!(matches!(extract(request().cookie("sid", "forged")), Err(ExtractError::Invalid(_))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ExtractError {
    /// The request carries no such cookie.
    #[error("no session cookie")]
    NoCookie,
    /// The request carries no token.
    #[error("no session token")]
    NoToken,
    /// The request carries a credential that can't be trusted.
    #[error("invalid credential")]
    Invalid(#[source] InvalidCredential),
    /// The request comes from an origin that may not use the credential.
    #[error("forbidden")]
    Forbidden(#[source] ForbiddenReason),
    /// The request carries authentic credentials of these distinct sessions, two or more. A browser
    /// sends both cookies after the Domain or the Path of a cookie has changed. Which of the
    /// sessions still exist is for the store to say.
    #[error("several credentials for distinct sessions")]
    Several(Vec<SessionId>),
}

impl ExtractError {
    /// A credential that can't be trusted, for a reason given by a custom extractor. The reason is
    /// logged and never sent to the client; it must not hold the credential.
    pub fn invalid(reason: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Invalid(InvalidCredential::Other(Arc::from(reason.into())))
    }
}

impl From<InvalidCredential> for ExtractError {
    fn from(invalid: InvalidCredential) -> Self {
        Self::Invalid(invalid)
    }
}

impl From<ForbiddenReason> for ExtractError {
    fn from(reason: ForbiddenReason) -> Self {
        Self::Forbidden(reason)
    }
}

impl From<CookieHeaderTooLarge> for ExtractError {
    fn from(error: CookieHeaderTooLarge) -> Self {
        Self::Invalid(InvalidCredential::CookieHeaderTooLarge(error))
    }
}

impl From<ParseSessionIdError> for ExtractError {
    fn from(error: ParseSessionIdError) -> Self {
        Self::Invalid(InvalidCredential::Id(error))
    }
}

/// The reason why a credential is invalid. This is for logs: the client gets one code for all of them.
///
/// ```
/// use socketioxide_session::extractor::{ExtractError, InvalidCredential};
///
/// /// In an extractor of one's own: sizes come before any other work.
/// fn checked(credential: &[u8]) -> Result<&[u8], ExtractError> {
///     match credential.len() {
///         0..=4096 => Ok(credential),
///         _ => Err(InvalidCredential::TooLarge.into()),
///     }
/// }
/// # assert!(checked(&[0; 5000]).is_err());
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidCredential {
    /// It is not in the required form.
    #[error("the credential is malformed")]
    Malformed,
    /// It, or the payload that carries it, is larger than the limit.
    #[error("the credential is too large")]
    TooLarge,
    /// The `Cookie` header fields are larger than the limit. The log names their size.
    #[error(transparent)]
    CookieHeaderTooLarge(CookieHeaderTooLarge),
    /// There are more credentials of this name than are verified.
    #[error("too many credentials of the same name")]
    TooMany,
    /// There are several authentic ones, for distinct sessions.
    #[error("several credentials for distinct sessions")]
    Ambiguous,
    /// No accepted key made this signature, or the ciphertext is not authentic.
    #[error("the credential is not authentic")]
    NotAuthentic,
    /// It was made with a key that is not in the keyring.
    #[error("the credential names an unknown key")]
    UnknownKey,
    /// It is of an unknown version.
    #[error("the credential is of an unknown version")]
    UnknownVersion,
    /// It has expired.
    #[error("the credential has expired")]
    Expired,
    /// It was issued in the future.
    #[error("the credential is not valid yet")]
    NotYetValid,
    /// Its lifetime is longer than this server accepts.
    #[error("the credential has a longer lifetime than is accepted")]
    LifetimeTooLong,
    /// It is for another namespace.
    #[error("the credential is for another namespace")]
    WrongNamespace,
    /// It is authentic, and what it holds is no session id.
    #[error("the credential holds no valid session id")]
    Id(#[source] ParseSessionIdError),
    /// A custom extractor rejected it.
    #[error("the extractor rejected the credential")]
    Other(#[source] Arc<dyn Error + Send + Sync>),
}

impl InvalidCredential {
    /// The reason as a word for metrics.
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::TooLarge => "too-large",
            Self::CookieHeaderTooLarge(_) => "cookie-header-too-large",
            Self::TooMany => "too-many",
            Self::Ambiguous => "ambiguous",
            Self::NotAuthentic => "not-authentic",
            Self::UnknownKey => "unknown-key",
            Self::UnknownVersion => "unknown-version",
            Self::Expired => "expired",
            Self::NotYetValid => "not-yet-valid",
            Self::LifetimeTooLong => "lifetime-too-long",
            Self::WrongNamespace => "wrong-namespace",
            Self::Id(_) => "id",
            Self::Other(_) => "extractor",
        }
    }
}
