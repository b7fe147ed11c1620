//! Cookies that the layer can send again.

use std::time::Duration;

use http::HeaderValue;

use crate::{extractor::SessionIdExtractor, id::SessionId};

/// A cookie that carries a session id and can be issued again, for
/// [`SessionLayer::refresh_cookie`](crate::http::SessionLayer::refresh_cookie): a
/// [`SignedCookie`](crate::SignedCookie), or the cookie of Express.
///
/// ```
/// use std::time::Duration;
/// use socketioxide_session::{Keyring, SecretKey, SignedCookie, extractor::SessionCookie};
///
/// let keys = Keyring::new(SecretKey::generate()?);
/// let cookie = SignedCookie::new("__Host-stay", &keys)?.max_age(Duration::from_hours(24))?;
/// assert_eq!(SessionCookie::max_age(&cookie), Some(Duration::from_hours(24)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait SessionCookie: SessionIdExtractor {
    /// The cookie's name.
    fn name(&self) -> &str;

    /// Duration for which a browser keeps the cookie; `None`: until it is closed.
    fn max_age(&self) -> Option<Duration>;

    /// The value of the `Set-Cookie` field that gives a browser this session.
    fn issue_header(&self, id: &SessionId) -> HeaderValue;
}
