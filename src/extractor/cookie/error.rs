//! Errors in the configuration of a cookie.

/// An error in the configuration of a cookie.
///
/// Browsers drop a cookie with such settings without a word, so the call that completes a bad
/// combination returns this, whatever the order of the calls.
///
/// ```
/// # use socketioxide_session::{Keyring, SecretKey, SignedCookie};
/// # let keys = Keyring::new(SecretKey::generate()?);
/// use socketioxide_session::extractor::CookieConfigError;
///
/// // Browsers drop a cookie with this prefix that is not `Secure`.
/// let refused: Result<SignedCookie, CookieConfigError> = SignedCookie::new("__Host-sid", &keys)?.insecure_http();
/// assert!(refused.is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CookieConfigError {
    /// The name is not one or more characters of `token` (RFC 9110 §5.6.2).
    #[error("{0:?} is not a cookie name")]
    Name(String),
    /// There is no secret to sign with, or an empty one.
    #[error("a signed cookie needs at least one secret, and none may be empty")]
    NoSecret,
    /// The text is no domain, such as `example.com`.
    #[error("{0:?} is not a domain such as example.com")]
    Domain(String),
    /// The text is no path: visible ASCII without `;` that begins with `/`.
    #[error("{0:?} is not a path that begins with a slash")]
    Path(String),
    /// The time is less than a second, which removes the cookie, or longer than can be expressed.
    #[error("a cookie can't be kept for less than a second or more than 2^63 seconds")]
    MaxAge,
    /// `SameSite=None` needs `Secure`.
    #[error("a cookie with SameSite=None must be Secure")]
    SameSiteNoneInsecure,
    /// `Partitioned` needs `Secure`.
    #[error("a partitioned cookie must be Secure")]
    PartitionedInsecure,
    /// A name with the prefix `__Host-`, `__Secure-` or `__Http-` needs `Secure`.
    #[error("a cookie with the name {0:?} must be Secure")]
    PrefixInsecure(String),
    /// A name with the prefix `__Host-` allows no Domain.
    #[error("a cookie with the name {0:?} can't have a Domain")]
    HostPrefixDomain(String),
    /// A name with the prefix `__Host-` allows no Path but `/`.
    #[error("a cookie with the name {0:?} must have the Path /")]
    HostPrefixPath(String),
}
