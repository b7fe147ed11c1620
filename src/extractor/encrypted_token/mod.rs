//! A session id in an encrypted token.

mod error;
#[cfg(test)]
mod forgery_tests;
#[cfg(fuzzing)]
pub mod fuzzing;
mod key;
#[cfg(test)]
mod lifetime_tests;
mod options;
mod sources;
#[cfg(test)]
mod tests;
mod times;
mod wire;

use std::{borrow::Cow, fmt, time::Duration};

pub use error::{IssueTokenError, TokenConfigError};
pub use options::TokenOptions;

use self::{
    key::TokenKey,
    times::{Lifetimes, unix_now},
    wire::{Claims, NONCE_LEN, Sealed},
};
use super::{ExtractError, InvalidCredential, SessionIdExtractor};
use crate::{
    handshake::{Handshake, Stage},
    id::SessionId,
    key::{Keyring, RandomnessError},
};

const MAX_NAME_LEN: usize = 64;
/// Query parameters that Engine.IO itself reads.
const RESERVED: [&str; 6] = ["EIO", "b64", "j", "sid", "t", "transport"];

/// Carries the session id in an encrypted token, for clients that cookies don't reach (mobile, other
/// origins, tests).
///
/// The token is sealed with XAES-256-GCM under a key of the [`Keyring`]. It names its key, and is
/// good for one token name, one [audience](Self::audience), for a short time, and, if you want, for
/// one namespace only.
///
/// ```
/// use socketioxide_session::{EncryptedToken, Keyring, SecretKey, SessionId};
///
/// let keys = Keyring::new(SecretKey::generate()?);
/// let tokens = EncryptedToken::new("token", &keys)?;
/// let token = tokens.issue(&SessionId::generate()?)?;
/// # drop(token);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Rules for reading it:
///
/// 1. Only in Socket.IO handshakes. On an ordinary HTTP request it counts as absent, so a leaked
///    token issues no fresh ones and signs in no browser.
/// 2. From the first place that has one: the field of the `auth` payload (`auth: { token }`, up to
///    64 KiB; other fields are skipped), `Authorization: Bearer`, and the query parameter,
///    percent-decoded once. Empty text and `null` count as absent; a query parameter that is there
///    twice, and two `Authorization` fields, are refused.
/// 3. A bearer token is taken only when it is canonical, of this version and names a key of this
///    keyring. Any other counts as absent, because applications send tokens of other systems in the
///    same field.
/// 4. Checked in this order: length, alphabet, version, key id (an unknown key decrypts nothing),
///    authenticity, the form of what is inside, then the lifetime, the times (30 s of leeway), the
///    namespace.
///
/// # Deployment caveats
///
/// Prefer the `auth` payload: the JavaScript client calls an `auth` *function* afresh on every
/// reconnect, while a token in the query is repeated in each URL, expires, and ends up in access
/// logs (see [`redact_uri`](crate::http::redact_uri)). A token is a bearer credential, good any
/// number of times until it expires: serve it with `Cache-Control: no-store`.
#[derive(Clone)]
pub struct EncryptedToken {
    name: Cow<'static, str>,
    audience: Cow<'static, str>,
    /// The active key first.
    keys: Vec<TokenKey>,
    lifetimes: Lifetimes,
}

impl EncryptedToken {
    /// A token in the field or query parameter `name`, sealed with keys derived from the keyring.
    ///
    /// # Errors
    ///
    /// - When the name is not 1 to 64 letters, digits, `-` and `_`, or is one of Engine.IO's own
    ///   parameters: `EIO`, `transport`, `sid`, `t`, `j`, `b64`.
    /// - When two keys of the keyring have the same key id by accident: generate another one.
    pub fn new(
        name: impl Into<Cow<'static, str>>,
        keys: &Keyring,
    ) -> Result<Self, TokenConfigError> {
        let name = name.into();
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if name.is_empty() || name.len() > MAX_NAME_LEN || !name.bytes().all(valid) {
            return Err(TokenConfigError::Name(name.into_owned()));
        }
        if RESERVED.contains(&&*name) {
            return Err(TokenConfigError::ReservedName(name.into_owned()));
        }
        let keys: Vec<TokenKey> = keys.keys().map(|key| TokenKey::new(key, &name)).collect();
        for (nth, key) in keys.iter().enumerate() {
            if keys[..nth].iter().any(|other| other.id == key.id) {
                return Err(TokenConfigError::KeyIdCollision);
            }
        }
        let token = Self {
            name,
            audience: Cow::Borrowed(""),
            keys,
            lifetimes: Lifetimes::default(),
        };
        Ok(token.with_associated())
    }

    /// Binds tokens to an audience: one that was issued for another is refused. For applications
    /// that share their keys. Empty, if not set.
    ///
    /// ```
    /// # use socketioxide_session::{Keyring, SecretKey};
    /// # let keys = Keyring::new(SecretKey::generate()?);
    /// use socketioxide_session::{EncryptedToken, SessionId, SessionIdExtractor, testing::HandshakeBuilder};
    ///
    /// let chat = EncryptedToken::new("token", &keys)?.audience("chat");
    /// let shop = EncryptedToken::new("token", &keys)?.audience("shop");
    /// let handshake = HandshakeBuilder::socket("/").query("token", &shop.issue(&SessionId::generate()?)?);
    /// assert!(handshake.with(|handshake| chat.extract(handshake)).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn audience(mut self, audience: impl Into<Cow<'static, str>>) -> Self {
        self.audience = audience.into();
        self.with_associated()
    }

    /// Lifetime of an issued token; by default 60 s, or the maximum if that is set to less. Whole
    /// seconds, rounded up.
    ///
    /// ```
    /// # use socketioxide_session::{EncryptedToken, Keyring, SecretKey};
    /// # let keys = Keyring::new(SecretKey::generate()?);
    /// use std::time::Duration;
    ///
    /// let tokens = EncryptedToken::new("token", &keys)?.lifetime(Duration::from_secs(20))?;
    /// assert!(tokens.lifetime(Duration::ZERO).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When it is zero, or longer than the [maximum](Self::max_lifetime) that was set.
    pub fn lifetime(mut self, lifetime: Duration) -> Result<Self, TokenConfigError> {
        self.lifetimes = self.lifetimes.with_issued(lifetime)?;
        Ok(self)
    }

    /// Maximum lifetime of an accepted token, whatever the token says; by default an hour, or the
    /// [lifetime](Self::lifetime) if that is set to more. Whole seconds, rounded up.
    ///
    /// ```
    /// # use socketioxide_session::{Keyring, SecretKey};
    /// # let keys = Keyring::new(SecretKey::generate()?);
    /// use std::time::Duration;
    /// use socketioxide_session::EncryptedToken;
    ///
    /// // The issuer's mistake of a week-long token is refused here.
    /// let tokens = EncryptedToken::new("token", &keys)?.max_lifetime(Duration::from_secs(120))?;
    /// assert!(tokens.lifetime(Duration::from_hours(7 * 24)).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When it is zero, or shorter than the lifetime that was set.
    pub fn max_lifetime(mut self, max_lifetime: Duration) -> Result<Self, TokenConfigError> {
        self.lifetimes = self.lifetimes.with_max(max_lifetime)?;
        Ok(self)
    }

    /// The name of the field and the query parameter.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Issues a token for this session, good in any namespace.
    ///
    /// # Errors
    ///
    /// When the operating system returns no randomness.
    pub fn issue(&self, id: &SessionId) -> Result<String, IssueTokenError> {
        self.issue_with(id, TokenOptions::new())
    }

    /// Issues a token for this session with other options.
    ///
    /// # Errors
    ///
    /// As [`issue`](Self::issue), when the lifetime is zero or longer than the maximum, and when the
    /// namespace is longer than 255 bytes.
    pub fn issue_with(
        &self,
        id: &SessionId,
        options: TokenOptions<'_>,
    ) -> Result<String, IssueTokenError> {
        let lifetime = self.lifetimes.to_issue(options.lifetime)?;
        let issued = unix_now();
        let claims = Claims {
            issued,
            expires: issued.saturating_add(lifetime),
            namespace: options.namespace.as_bytes(),
            id: id.expose().as_bytes(),
        };
        let plaintext = claims.encode().ok_or(IssueTokenError::NamespaceTooLong)?;
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce)
            .map_err(|error| IssueTokenError::Randomness(RandomnessError::new(error)))?;
        Ok(self.keys[0].seal(&nonce, plaintext))
    }

    /// The token that the client presents, from the first place that has one.
    fn find<'a>(&self, handshake: &Handshake<'a>) -> Result<Cow<'a, str>, ExtractError> {
        if let Some(token) = sources::in_auth(handshake, &self.name)? {
            return Ok(token);
        }
        if let Some(token) = sources::in_authorization(handshake)?.filter(|text| self.is_ours(text))
        {
            return Ok(token);
        }
        sources::in_query(handshake, &self.name)?.ok_or(ExtractError::NoToken)
    }

    /// Whether a bearer token is of this extractor, which is visible without opening it. One of
    /// another system, as a JWT, counts as absent.
    fn is_ours(&self, token: &str) -> bool {
        Sealed::parse(token).is_ok_and(|sealed| self.key(&sealed).is_some())
    }

    fn key(&self, sealed: &Sealed) -> Option<&TokenKey> {
        let id = sealed.key_id();
        self.keys.iter().find(|key| key.id == id)
    }

    /// Attacker-controlled text; the order of the checks is the one in this type's documentation.
    fn open(
        &self,
        token: &str,
        namespace: Option<&str>,
        now: Option<u64>,
    ) -> Result<SessionId, InvalidCredential> {
        let mut sealed = Sealed::parse(token)?;
        let key = self.key(&sealed).ok_or(InvalidCredential::UnknownKey)?;
        let nonce = sealed.nonce();
        let (message, tag) = sealed.message();
        key.open(&nonce, message, &tag)?;
        let claims = Claims::parse(message).ok_or(InvalidCredential::Malformed)?;
        if let Some(now) = now {
            self.lifetimes.check(&claims, now)?;
        }
        let bound = !claims.namespace.is_empty();
        if bound && namespace.is_some_and(|namespace| namespace.as_bytes() != claims.namespace) {
            return Err(InvalidCredential::WrongNamespace);
        }
        SessionId::from_bytes(claims.id).map_err(InvalidCredential::Id)
    }

    fn with_associated(mut self) -> Self {
        for key in &mut self.keys {
            key.bind(&self.name, &self.audience);
        }
        self
    }
}

impl SessionIdExtractor for EncryptedToken {
    fn extract(&self, handshake: &Handshake<'_>) -> Result<SessionId, ExtractError> {
        if !handshake.is_socket_io() {
            return Err(ExtractError::NoToken);
        }
        let token = self.find(handshake)?;
        Ok(self.open(&token, handshake.namespace(), time_at(handshake.stage()))?)
    }

    fn presented(&self, handshake: &Handshake<'_>) -> Vec<SessionId> {
        if !handshake.is_socket_io() {
            return Vec::new();
        }
        let now = time_at(handshake.stage());
        let mut ids = Vec::new();
        for found in [
            sources::in_auth(handshake, &self.name),
            sources::in_authorization(handshake),
            sources::in_query(handshake, &self.name),
        ] {
            let Ok(Some(token)) = found else { continue };
            match self.open(&token, handshake.namespace(), now) {
                Ok(id) if !ids.contains(&id) => ids.push(id),
                _ => {}
            }
        }
        ids
    }
}

/// The time to check tokens against. A transport goes on with the token that opened it, whose time
/// was checked when the client connected.
fn time_at(stage: Stage<'_>) -> Option<u64> {
    (stage != Stage::Continuing).then(unix_now)
}

impl fmt::Debug for EncryptedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptedToken")
            .field("name", &self.name)
            .field("audience", &self.audience)
            .field("lifetime", &self.lifetimes.issued())
            .finish_non_exhaustive()
    }
}
