//! Who is it: from a handshake to a session id.

mod encrypted_token;
mod or;
mod origin;
mod signed_cookie;

use std::{error::Error, sync::Arc};

#[cfg(fuzzing)]
pub use encrypted_token::fuzzing;
pub use encrypted_token::{EncryptedToken, IssueTokenError, TokenConfigError, TokenOptions};
pub use or::Or;
pub use origin::{ForbiddenReason, OriginError, OriginPolicy};
pub use signed_cookie::{CookieConfigError, SignedCookie};

pub use crate::handshake::{
    Auth, AuthPayload, CookieHeaderTooLarge, CookieValues, Handshake, Stage,
};

use crate::id::{ParseSessionIdError, SessionId};

/// Finds the session id that a client presents.
///
/// # Contract
///
/// - Everything in the [`Handshake`] is untrusted. An id may only be returned when the credential
///   proves that this server gave it to the client (a signature, an encryption, a lookup of your
///   own that can't be guessed).
/// - The call is synchronous: no I/O. It runs for every handshake, before the store is asked.
/// - Bound the work before any cryptography; an attacker chooses the sizes.
/// - Keep apart "nothing came" ([`NoCookie`](ExtractError::NoCookie),
///   [`NoToken`](ExtractError::NoToken)) and "something bad came"
///   ([`Invalid`](ExtractError::Invalid)): only the first lets [`Or`] try the next one, and only
///   the first is anonymous to `optional()`.
/// - The polls of one client repeat its credential, also when that has expired since it connected.
///   So don't look at the time when the handshake is of [`Stage::Continuing`].
/// - A credential that the browser sends by itself, as it does cookies, needs an origin check
///   ([`OriginPolicy`]); one that the page must send on purpose doesn't.
///
/// A panic is caught and becomes `STORE_ERROR`.
///
/// ```
/// use socketioxide_session::{SessionId, SessionIdExtractor, extractor::{ExtractError, Handshake}};
/// # fn known_device(_: &[u8]) -> Option<SessionId> { None }
///
/// /// Takes the session of a device that shows its key in a header field.
/// struct DeviceKey;
///
/// impl SessionIdExtractor for DeviceKey {
///     fn extract(&self, handshake: &Handshake<'_>) -> Result<SessionId, ExtractError> {
///         let key = handshake.headers().get("x-device-key").ok_or(ExtractError::NoToken)?;
///         known_device(key.as_bytes()).ok_or_else(|| ExtractError::invalid("unknown device key"))
///     }
/// }
/// ```
pub trait SessionIdExtractor: Send + Sync + 'static {
    /// Finds the id of the session that the client presents.
    ///
    /// # Errors
    ///
    /// When the client presents none, or one that can't be trusted.
    fn extract(&self, handshake: &Handshake<'_>) -> Result<SessionId, ExtractError>;

    /// Tries `other` when this extractor found nothing at all.
    fn or<E: SessionIdExtractor>(self, other: E) -> Or<Self, E>
    where
        Self: Sized,
    {
        Or::new(self, other)
    }
}

/// Why a handshake gave no session id.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ExtractError {
    /// No such cookie came.
    #[error("no session cookie")]
    NoCookie,
    /// No token came.
    #[error("no session token")]
    NoToken,
    /// A credential came, and can't be trusted.
    #[error("invalid credential")]
    Invalid(#[source] InvalidCredential),
    /// The request comes from where it may not come from.
    #[error("forbidden")]
    Forbidden(#[source] ForbiddenReason),
}

impl ExtractError {
    /// A credential came and can't be trusted, for a reason that a custom extractor gives. The
    /// reason reaches logs, never the client; it must not hold the credential.
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
    fn from(_: CookieHeaderTooLarge) -> Self {
        Self::Invalid(InvalidCredential::TooLarge)
    }
}

impl From<ParseSessionIdError> for ExtractError {
    fn from(error: ParseSessionIdError) -> Self {
        Self::Invalid(InvalidCredential::Id(error))
    }
}

/// What is wrong with a credential. This is for logs: the client sees one code for all of them.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidCredential {
    /// It has not the form that it must have.
    #[error("the credential is malformed")]
    Malformed,
    /// It, or what it came in, is larger than anything that is looked at.
    #[error("the credential is too large")]
    TooLarge,
    /// It came more often than anybody should verify.
    #[error("too many credentials of the same name")]
    TooMany,
    /// Several good ones came, for distinct sessions.
    #[error("several credentials for distinct sessions")]
    Ambiguous,
    /// No accepted key made this signature, or the ciphertext is not authentic.
    #[error("the credential is not authentic")]
    NotAuthentic,
    /// It was made with a key that is not in the keyring.
    #[error("the credential names an unknown key")]
    UnknownKey,
    /// It is of a version that is not understood.
    #[error("the credential is of an unknown version")]
    UnknownVersion,
    /// It has expired.
    #[error("the credential has expired")]
    Expired,
    /// It was issued in the future.
    #[error("the credential is not valid yet")]
    NotYetValid,
    /// It says that it is valid for longer than this server lets one be.
    #[error("the credential has a longer lifetime than is accepted")]
    LifetimeTooLong,
    /// It is for another namespace.
    #[error("the credential is for another namespace")]
    WrongNamespace,
    /// It is authentic, and what it holds is no session id.
    #[error("the credential holds no valid session id")]
    Id(#[source] ParseSessionIdError),
    /// Something else, as a custom extractor says.
    #[error("the credential was refused by the extractor")]
    Other(#[source] Arc<dyn Error + Send + Sync>),
}
