//! Identifies the client: from a handshake to a session id.

pub(crate) mod cookie;
mod encrypted_token;
mod error;
mod or;
#[cfg(test)]
mod or_tests;
mod origin;
pub(crate) mod percent;

use std::sync::Arc;

pub use self::cookie::{CookieConfigError, SessionCookie, SignedCookie};
#[cfg(fuzzing)]
pub use encrypted_token::fuzzing;
pub use encrypted_token::{EncryptedToken, IssueTokenError, TokenConfigError, TokenOptions};
pub use error::{ExtractError, InvalidCredential};
pub use or::Or;
pub use origin::{ForbiddenReason, OriginError, OriginPolicy};

pub use ::cookie::{Cookie, Key, SameSite};

pub use crate::handshake::{
    AuthField, AuthFields, AuthPayload, CookieHeaderTooLarge, CookieValues, Handshake, Stage,
};

use crate::id::SessionId;

/// Finds the session id that a client presents.
///
/// # Contract
///
/// - Everything in the [`Handshake`] is untrusted. An id may only be returned when the credential
///   proves that this server gave it to the client (a signature, an encryption, a lookup of your
///   own that can't be guessed).
/// - The call is synchronous: no I/O. It runs for every handshake, before the store is called.
/// - Bound the work before any cryptography; an attacker chooses the sizes.
/// - Keep apart an absent credential ([`NoCookie`](ExtractError::NoCookie),
///   [`NoToken`](ExtractError::NoToken)) and a bad one ([`Invalid`](ExtractError::Invalid)): after
///   a bad one, [`Or`] does not try the next extractor.
/// - Never choose among authentic credentials of distinct sessions. Return all of them as
///   [`Several`](ExtractError::Several): a client could otherwise be moved into the session of an
///   attacker who can plant a cookie.
/// - The polls of one client repeat its credential, also after it has expired. So don't check the
///   time when the handshake is of [`Stage::Continuing`].
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
    /// When the client presents none, one that can't be trusted, or several.
    fn extract(&self, handshake: &Handshake<'_>) -> Result<SessionId, ExtractError>;

    /// Every authentic id that the request carries, each once.
    ///
    /// The origin is not checked here: the result says what the request carries, not whether it may
    /// act. A sign-out ends all of these sessions, and an Engine.IO transport is bound to all of
    /// them.
    ///
    /// By default, the ids that [`extract`](Self::extract) returns. Override it where `extract`
    /// returns fewer than that, because it checks the origin or stops at the first credential.
    fn presented(&self, handshake: &Handshake<'_>) -> Vec<SessionId> {
        match self.extract(handshake) {
            Ok(id) => vec![id],
            Err(ExtractError::Several(ids)) => ids,
            Err(_) => Vec::new(),
        }
    }

    /// Whether the request comes from an origin whose pages may use the client's credentials. Asked
    /// where no credential is used: before a sign-in and a sign-out, and by
    /// [`own_origins_only`](crate::socketio::SessionMiddleware::own_origins_only).
    ///
    /// By default, a request may for which [`extract`](Self::extract) does not return
    /// [`Forbidden`](ExtractError::Forbidden). An extractor of a credential that browsers send by themselves
    /// calls [`OriginPolicy::check`] first in both; one that wraps another forwards both calls.
    ///
    /// # Errors
    ///
    /// When the origin may not.
    fn check_origin(&self, handshake: &Handshake<'_>) -> Result<(), ForbiddenReason> {
        match self.extract(handshake) {
            Err(ExtractError::Forbidden(reason)) => Err(reason),
            _ => Ok(()),
        }
    }

    /// Tries `other` when this extractor found nothing, or its credential may not be used from the
    /// request's origin. See [`Or`].
    ///
    /// ```
    /// use socketioxide_session::{
    ///     EncryptedToken, Keyring, SecretKey, SessionIdExtractor, SignedCookie,
    /// };
    ///
    /// let keys = Keyring::new(SecretKey::generate()?);
    /// let cookie = SignedCookie::new("__Host-sid", &keys)?;
    /// let extractor = EncryptedToken::new("token", &keys)?.or(cookie);
    /// # drop(extractor);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn or<E: SessionIdExtractor>(self, other: E) -> Or<Self, E>
    where
        Self: Sized,
    {
        Or::new(self, other)
    }
}

impl<E: SessionIdExtractor + ?Sized> SessionIdExtractor for Arc<E> {
    fn extract(&self, handshake: &Handshake<'_>) -> Result<SessionId, ExtractError> {
        (**self).extract(handshake)
    }

    fn presented(&self, handshake: &Handshake<'_>) -> Vec<SessionId> {
        (**self).presented(handshake)
    }

    fn check_origin(&self, handshake: &Handshake<'_>) -> Result<(), ForbiddenReason> {
        (**self).check_origin(handshake)
    }
}

impl<E: SessionIdExtractor + ?Sized> SessionIdExtractor for Box<E> {
    fn extract(&self, handshake: &Handshake<'_>) -> Result<SessionId, ExtractError> {
        (**self).extract(handshake)
    }

    fn presented(&self, handshake: &Handshake<'_>) -> Vec<SessionId> {
        (**self).presented(handshake)
    }

    fn check_origin(&self, handshake: &Handshake<'_>) -> Result<(), ForbiddenReason> {
        (**self).check_origin(handshake)
    }
}
