//! What is wrong with a configuration or a request to issue a token.

use super::wire::MAX_NAMESPACE_LEN;
use crate::key::RandomnessError;

/// What is wrong with the configuration of an [`EncryptedToken`](super::EncryptedToken).
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
