//! Errors in the configuration of tokens, or when one is issued.

use super::wire::MAX_NAMESPACE_LEN;
use crate::key::RandomnessError;

/// An error in the configuration of an [`EncryptedToken`](super::EncryptedToken).
///
/// ```
/// # use socketioxide_session::{Keyring, SecretKey};
/// # let keys = Keyring::new(SecretKey::generate()?);
/// use socketioxide_session::{EncryptedToken, extractor::TokenConfigError};
///
/// let reserved = EncryptedToken::new("sid", &keys); // a query parameter of Engine.IO
/// assert!(matches!(reserved, Err(TokenConfigError::ReservedName(_))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenConfigError {
    /// The name is not 1 to 64 letters, digits, `-` and `_`.
    #[error("{0:?} is not a name for a token: 1 to 64 letters, digits, `-` and `_`")]
    Name(String),
    /// The name is one of Engine.IO's own query parameters.
    #[error("{0:?} is a query parameter of Engine.IO's own")]
    ReservedName(String),
    /// Two keys of the keyring have the same key id, by an accident of one in four billion.
    #[error("two keys of the keyring have the same key id; generate another key")]
    KeyIdCollision,
    /// A lifetime of zero.
    #[error("the lifetime of a token can't be zero")]
    LifetimeZero,
    /// The lifetime is longer than the maximum lifetime.
    #[error("the lifetime of a token is longer than the maximum lifetime")]
    LifetimeTooLong,
}

/// Why no token was issued.
///
/// ```
/// # use socketioxide_session::{Keyring, SecretKey};
/// # let keys = Keyring::new(SecretKey::generate()?);
/// use std::time::Duration;
/// use socketioxide_session::{EncryptedToken, SessionId, extractor::{IssueTokenError, TokenOptions}};
///
/// let tokens = EncryptedToken::new("token", &keys)?;
/// let too_long = TokenOptions::new().lifetime(Duration::from_hours(1000));
/// let issued = tokens.issue_with(&SessionId::generate()?, too_long);
/// assert!(matches!(issued, Err(IssueTokenError::LifetimeTooLong)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum IssueTokenError {
    /// The operating system returned no randomness.
    #[error("no token was issued")]
    Randomness(#[source] RandomnessError),
    /// A lifetime of zero.
    #[error("the lifetime of the token is zero")]
    LifetimeZero,
    /// The lifetime is longer than this extractor accepts.
    #[error("the lifetime of the token is longer than the maximum")]
    LifetimeTooLong,
    /// The namespace is too long for a token.
    #[error("the namespace is longer than {MAX_NAMESPACE_LEN} bytes")]
    NamespaceTooLong,
}
