//! A session id in an encrypted token.

#[cfg(test)]
mod tests;
mod wire;
mod xaes;

use std::{
    borrow::Cow,
    fmt,
    time::{Duration, SystemTime},
};

use serde_json::Value;
use zeroize::Zeroizing;

use self::{
    wire::{Claims, KEY_ID_LEN, MAX_NAMESPACE_LEN, Sealed, VERSION},
    xaes::{KEY_LEN, NONCE_LEN, Xaes256Gcm},
};
use super::{ExtractError, InvalidCredential, SessionIdExtractor};
use crate::{
    handshake::{Auth, Handshake, Stage},
    id::SessionId,
    key::{Keyring, RandomnessError, SecretKey},
};

/// The purpose in the derivation of the keys, and the first thing in the associated data.
const PURPOSE: &str = "encrypted token";
const DOMAIN: &[u8] = b"socketioxide-session encrypted token";
/// How far apart the clocks of two nodes may be.
const LEEWAY: Duration = Duration::from_secs(30);
const DEFAULT_LIFETIME: Duration = Duration::from_mins(1);
const DEFAULT_MAX_LIFETIME: Duration = Duration::from_hours(1);
const MAX_NAME_LEN: usize = 64;
/// Query parameters that Engine.IO itself reads.
const RESERVED: [&str; 6] = ["EIO", "b64", "j", "sid", "t", "transport"];

/// Carries the session id in an encrypted token, for the `auth` payload of a Socket.IO handshake or
/// its query string: for clients that cookies don't reach (mobile, other origins, tests).
///
/// The token is sealed with XAES-256-GCM under a key of the [`Keyring`]. It names its key, and is
/// good for one token name, one [audience](Self::audience), for a short time, and, if you want, for
/// one namespace only. How it is read:
///
/// 1. Only in Socket.IO handshakes. On an ordinary HTTP request it counts as absent, so a token that
///    leaked mints no fresh ones and logs nobody in.
/// 2. From the `auth` payload (`auth: { token }`), and when that has no such field, or `null`, from
///    the query parameter of the same name. Several such parameters are refused.
/// 3. Checked in this order: length, alphabet, version, key id (an unknown key decrypts nothing),
///    authenticity, the form of what is inside, then the lifetime, the times (30 s of leeway), the
///    namespace.
///
/// # Deployment caveats
///
/// Prefer the `auth` payload: the JavaScript client calls an `auth` *function* afresh on every
/// reconnect, while a token in the query is repeated in each URL, expires, and ends up in access
/// logs (see [`redact_uri`](crate::http::redact_uri)). A token is a bearer credential, good any number of
/// times until it expires: serve it with `Cache-Control: no-store`.
#[derive(Clone)]
pub struct EncryptedToken {
    name: Cow<'static, str>,
    audience: Cow<'static, str>,
    /// The active key first.
    keys: Vec<TokenKey>,
    lifetime: Duration,
    max_lifetime: Duration,
}

#[derive(Clone)]
struct TokenKey {
    id: [u8; KEY_ID_LEN],
    xaes: Xaes256Gcm,
    associated: Vec<u8>,
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
            lifetime: DEFAULT_LIFETIME,
            max_lifetime: DEFAULT_MAX_LIFETIME,
        };
        Ok(token.with_associated())
    }

    /// Binds tokens to an audience: one that was issued for another is refused. For applications
    /// that share their keys. Empty, if not set.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<Cow<'static, str>>) -> Self {
        self.audience = audience.into();
        self.with_associated()
    }

    /// How long an issued token is good for; 60 s, if not set. Whole seconds, rounded up, at least
    /// one. The maximum is raised to it where it is less.
    #[must_use]
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self.max_lifetime = self.max_lifetime.max(lifetime);
        self
    }

    /// The longest lifetime that is accepted, whatever a token says; an hour, if not set. Whole
    /// seconds, rounded up.
    #[must_use]
    pub fn max_lifetime(mut self, max_lifetime: Duration) -> Self {
        self.max_lifetime = max_lifetime;
        self
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
    /// When the operating system has no randomness, or the lifetime is longer than the maximum.
    pub fn issue(&self, id: &SessionId) -> Result<String, IssueTokenError> {
        self.issue_with(id, TokenOptions::new())
    }

    /// Issues a token for this session with other options.
    ///
    /// # Errors
    ///
    /// As [`issue`](Self::issue), and when the namespace is longer than 255 bytes.
    pub fn issue_with(
        &self,
        id: &SessionId,
        options: TokenOptions<'_>,
    ) -> Result<String, IssueTokenError> {
        let lifetime = options.lifetime.unwrap_or(self.lifetime);
        let (lifetime, max) = (whole_seconds(lifetime), whole_seconds(self.max_lifetime));
        if lifetime > max {
            return Err(IssueTokenError::LifetimeTooLong);
        }
        let issued = unix_now();
        let claims = Claims {
            issued,
            expires: issued.saturating_add(lifetime.max(1)),
            namespace: options.namespace.as_bytes(),
            id: id.expose().as_bytes(),
        };
        let plaintext = claims.encode().ok_or(IssueTokenError::NamespaceTooLong)?;
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce)
            .map_err(|error| IssueTokenError::Randomness(RandomnessError::new(error)))?;
        Ok(self.keys[0].seal(&nonce, plaintext))
    }

    /// The token that the client presents.
    fn find<'a>(&self, handshake: &Handshake<'a>) -> Result<&'a str, ExtractError> {
        match handshake.auth() {
            Auth::TooLarge => return Err(InvalidCredential::TooLarge.into()),
            Auth::Malformed => return Err(InvalidCredential::Malformed.into()),
            Auth::Value(Value::Object(fields)) => match fields.get(&*self.name) {
                None | Some(Value::Null) => {}
                Some(Value::String(token)) => return Ok(token),
                Some(_) => return Err(InvalidCredential::Malformed.into()),
            },
            Auth::Value(_) | Auth::Absent => {}
        }
        let mut parameters = handshake.query(&self.name);
        let token = parameters.next().ok_or(ExtractError::NoToken)?;
        match parameters.next() {
            None => Ok(token),
            Some(_) => Err(InvalidCredential::TooMany.into()),
        }
    }

    /// Attacker-controlled text; the order of the checks is the one in this type's documentation.
    fn open(
        &self,
        token: &str,
        namespace: Option<&str>,
        now: Option<u64>,
    ) -> Result<SessionId, InvalidCredential> {
        let mut sealed = Sealed::parse(token)?;
        let key_id = sealed.key_id();
        let key = self.keys.iter().find(|key| key.id == key_id);
        let key = key.ok_or(InvalidCredential::UnknownKey)?;
        let nonce = sealed.nonce();
        let (message, tag) = sealed.message();
        key.xaes
            .open(&nonce, &key.associated, message, &tag)
            .map_err(|_| InvalidCredential::NotAuthentic)?;
        let claims = Claims::parse(message).ok_or(InvalidCredential::Malformed)?;
        if let Some(now) = now {
            self.check_times(&claims, now)?;
        }
        let bound = !claims.namespace.is_empty();
        if bound && namespace.is_some_and(|namespace| namespace.as_bytes() != claims.namespace) {
            return Err(InvalidCredential::WrongNamespace);
        }
        SessionId::from_bytes(claims.id).map_err(InvalidCredential::Id)
    }

    fn check_times(&self, claims: &Claims<'_>, now: u64) -> Result<(), InvalidCredential> {
        let leeway = LEEWAY.as_secs();
        let lifetime = claims.expires.checked_sub(claims.issued);
        let lifetime = lifetime.ok_or(InvalidCredential::Malformed)?;
        if lifetime > whole_seconds(self.max_lifetime) {
            return Err(InvalidCredential::LifetimeTooLong);
        }
        if claims.issued > now.saturating_add(leeway) {
            return Err(InvalidCredential::NotYetValid);
        }
        if now > claims.expires.saturating_add(leeway) {
            return Err(InvalidCredential::Expired);
        }
        Ok(())
    }

    fn with_associated(mut self) -> Self {
        for key in &mut self.keys {
            key.associated = associated_data(key.id, &self.name, &self.audience);
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
        let now = (handshake.stage() != Stage::Continuing).then(unix_now);
        Ok(self.open(token, handshake.namespace(), now)?)
    }
}

impl fmt::Debug for EncryptedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptedToken")
            .field("name", &self.name)
            .field("audience", &self.audience)
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}

impl TokenKey {
    fn new(key: &SecretKey, name: &str) -> Self {
        let derived = Zeroizing::new(key.derive(PURPOSE, name));
        let (key, rest) = derived
            .split_first_chunk::<KEY_LEN>()
            .expect("64 bytes are derived");
        let id = rest.first_chunk().expect("32 of them are left");
        Self {
            id: *id,
            xaes: Xaes256Gcm::new(key),
            associated: Vec::new(),
        }
    }

    fn seal(&self, nonce: &[u8; NONCE_LEN], mut plaintext: Vec<u8>) -> String {
        let tag = self
            .xaes
            .seal(nonce, &self.associated, &mut plaintext)
            .expect("AES-GCM seals up to 64 GiB");
        wire::encode(self.id, nonce, &plaintext, &tag)
    }
}

/// What is authenticated and not sent. Each part follows its length, so that no two sets of parts
/// make the same bytes.
fn associated_data(key_id: [u8; KEY_ID_LEN], name: &str, audience: &str) -> Vec<u8> {
    let mut data = Vec::new();
    for part in [
        DOMAIN,
        &[VERSION],
        &key_id,
        name.as_bytes(),
        audience.as_bytes(),
    ] {
        data.extend_from_slice(&(part.len() as u64).to_be_bytes());
        data.extend_from_slice(part);
    }
    data
}

fn whole_seconds(duration: Duration) -> u64 {
    duration
        .as_secs()
        .saturating_add(u64::from(duration.subsec_nanos() > 0))
}

fn unix_now() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// What a token is issued with, other than usual.
#[derive(Debug, Clone, Copy, Default)]
#[must_use]
pub struct TokenOptions<'a> {
    namespace: &'a str,
    lifetime: Option<Duration>,
}

impl<'a> TokenOptions<'a> {
    /// As usual: any namespace, the usual lifetime.
    pub fn new() -> Self {
        Self::default()
    }

    /// Good in this Socket.IO namespace only, as in `/admin`. At most 255 bytes.
    pub fn namespace(mut self, namespace: &'a str) -> Self {
        self.namespace = namespace;
        self
    }

    /// Good for this long: whole seconds, rounded up, at least one, at most the maximum of
    /// [`max_lifetime`](EncryptedToken::max_lifetime).
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }
}

/// What is wrong with the configuration of an [`EncryptedToken`].
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
}

/// Why no token was issued.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum IssueTokenError {
    /// The operating system has no randomness to give.
    #[error("no token was issued")]
    Randomness(#[source] RandomnessError),
    /// The lifetime is longer than this extractor accepts.
    #[error("the lifetime of the token is longer than the maximum")]
    LifetimeTooLong,
    /// The namespace is too long for a token.
    #[error("the namespace is longer than {MAX_NAMESPACE_LEN} bytes")]
    NamespaceTooLong,
}

/// What the fuzz targets need: the parsers, each with its way back.
#[cfg(fuzzing)]
pub mod fuzzing {
    use super::{Claims, Sealed};

    /// Takes the text of a token apart; gives what it encodes back to.
    #[must_use]
    pub fn token(text: &str) -> Option<String> {
        Sealed::parse(text).ok().map(|sealed| sealed.to_text())
    }

    /// Parses a plaintext; gives what it encodes back to.
    #[must_use]
    pub fn claims(plaintext: &[u8]) -> Option<Vec<u8>> {
        Claims::parse(plaintext)?.encode()
    }
}
