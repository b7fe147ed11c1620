//! Options of a single token.

use std::time::Duration;

/// Options for a single token; see
/// [`EncryptedToken::issue_with`](super::EncryptedToken::issue_with).
///
/// ```
/// use std::time::Duration;
/// use socketioxide_session::{EncryptedToken, Keyring, SecretKey, SessionId, extractor::TokenOptions};
///
/// let tokens = EncryptedToken::new("token", &Keyring::new(SecretKey::generate()?))?;
/// let options = TokenOptions::new().namespace("/admin").lifetime(Duration::from_secs(10));
/// let token = tokens.issue_with(&SessionId::generate()?, options)?;
/// # drop(token);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
#[must_use]
pub struct TokenOptions<'a> {
    pub(super) namespace: &'a str,
    pub(super) lifetime: Option<Duration>,
}

impl<'a> TokenOptions<'a> {
    /// Any namespace, and the lifetime of the [`EncryptedToken`](super::EncryptedToken).
    pub fn new() -> Self {
        Self::default()
    }

    /// Good in this Socket.IO namespace only, as in `/admin`. At most 255 bytes.
    ///
    /// ```
    /// use socketioxide_session::extractor::TokenOptions;
    /// # use socketioxide_session::{EncryptedToken, Keyring, SecretKey, SessionId};
    ///
    /// # let tokens = EncryptedToken::new("token", &Keyring::new(SecretKey::generate()?))?;
    /// # let id = SessionId::generate()?;
    /// let for_admins = tokens.issue_with(&id, TokenOptions::new().namespace("/admin"))?;
    /// # drop(for_admins);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn namespace(mut self, namespace: &'a str) -> Self {
        self.namespace = namespace;
        self
    }

    /// Good for this long: whole seconds, rounded up, at most
    /// [`max_lifetime`](super::EncryptedToken::max_lifetime).
    ///
    /// ```
    /// use std::time::Duration;
    /// use socketioxide_session::extractor::TokenOptions;
    /// # use socketioxide_session::{EncryptedToken, Keyring, SecretKey, SessionId};
    ///
    /// # let tokens = EncryptedToken::new("token", &Keyring::new(SecretKey::generate()?))?;
    /// # let id = SessionId::generate()?;
    /// let short = tokens.issue_with(&id, TokenOptions::new().lifetime(Duration::from_secs(5)))?;
    /// // Longer than what the server accepts.
    /// let long = TokenOptions::new().lifetime(Duration::from_hours(24 * 365));
    /// assert!(tokens.issue_with(&id, long).is_err());
    /// # drop(short);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }
}
