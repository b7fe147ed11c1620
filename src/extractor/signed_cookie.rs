//! A session id in a signed cookie.

use std::{borrow::Cow, fmt};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use cookie::{Cookie, CookieJar, Key, SameSite, time::Duration};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::HeaderValue;
use sha2::Sha256;

use super::{ExtractError, InvalidCredential, OriginPolicy, SessionIdExtractor};
use crate::{
    handshake::{CookieValues, Handshake},
    id::SessionId,
    key::Keyring,
};

/// An HMAC-SHA256 in standard base64: 32 bytes, 44 characters.
const SIGNATURE_CHARS: usize = 44;
const SIGNATURE_BYTES: usize = 32;
/// No longer value is looked at.
const MAX_VALUE_BYTES: usize = 1024;
/// The purpose in the derivation of the key, see [`SecretKey::derive`](crate::SecretKey::derive).
const PURPOSE: &str = "signed cookie";

/// Carries the session id in a cookie that is signed with HMAC-SHA256.
///
/// ```text
/// Cookie: sid=tgqzTtyDsnQWcyvMcLzJt2VTRz0jP2r2ujWJuCcZ1Pw=Gd2XNkT6kXzJVCtBcU9S1A
///             └─ base64 of HMAC-SHA256(key, id), 44 chars ─┘└──── session id ───┘
/// ```
///
/// That is the form which the `cookie` crate signs, so axum-extra, tower-cookies and tower-sessions
/// can read and write it when they have the same [key](Self::key). How it is read:
///
/// 1. The origin is checked first, see [`OriginPolicy`].
/// 2. All `Cookie` fields are searched for the exact name. More than 16 KiB or 128 pairs of them,
///    or more than four cookies of this name, are refused before any cryptography.
/// 3. A value that holds `%` is percent-decoded once (axum-extra writes it so); a `%` that is not
///    followed by two hexadecimal digits is refused.
/// 4. Each value is verified with every key of the keyring. One distinct valid id is used; two are
///    ambiguous, and refused, because whoever can plant a cookie must not choose the session.
///
/// The key is derived from the [`Keyring`] for this cookie's name, so a value that was signed for
/// another cookie does not verify.
///
/// # Deployment caveats
///
/// A sibling subdomain can set a cookie for your domain. A name that begins with `__Host-` stops it
/// and is recommended; browsers store it over https only.
#[derive(Clone)]
pub struct SignedCookie {
    name: Cow<'static, str>,
    keys: Vec<VerifyingKey>,
    key: Key,
    origin: OriginPolicy,
    secure: bool,
    max_age: Option<Duration>,
}

/// The HMAC with its key already taken in, to be cloned for each value.
type VerifyingKey = Hmac<Sha256>;

impl SignedCookie {
    /// A cookie signed with keys that are derived from the keyring for this name.
    ///
    /// # Errors
    ///
    /// When the name is no cookie name.
    pub fn new(
        name: impl Into<Cow<'static, str>>,
        keys: &Keyring,
    ) -> Result<Self, CookieConfigError> {
        let name = name.into();
        let derived: Vec<Key> = keys
            .keys()
            .map(|key| Key::from(&key.derive(PURPOSE, &name)))
            .collect();
        Self::from_keys(name, &derived)
    }

    /// A cookie signed with a key of the `cookie` crate, as it is: for an application that signs
    /// its cookies with axum-extra, tower-cookies or tower-sessions already.
    ///
    /// The name is not bound then: a value that was signed with this key for another cookie
    /// verifies here too. So let no other signed cookie hold what may be a session id.
    ///
    /// # Errors
    ///
    /// When the name is no cookie name.
    pub fn with_key(
        name: impl Into<Cow<'static, str>>,
        key: Key,
    ) -> Result<Self, CookieConfigError> {
        Self::from_keys(name.into(), &[key])
    }

    /// Accepts what was signed with this key of the `cookie` crate too, after a rotation.
    #[must_use]
    pub fn accept_key(mut self, key: &Key) -> Self {
        self.keys.push(verifying_key(key));
        self
    }

    fn from_keys(name: Cow<'static, str>, keys: &[Key]) -> Result<Self, CookieConfigError> {
        if name.is_empty() || !name.bytes().all(is_name_byte) {
            return Err(CookieConfigError {
                name: name.into_owned(),
            });
        }
        Ok(Self {
            name,
            keys: keys.iter().map(verifying_key).collect(),
            key: keys[0].clone(),
            origin: OriginPolicy::same_origin(),
            secure: true,
            max_age: None,
        })
    }

    /// Which origins may use this cookie; the request's own only, if not set.
    #[must_use]
    pub fn origin_policy(mut self, policy: OriginPolicy) -> Self {
        self.origin = policy;
        self
    }

    /// Lets the browser keep the cookie for this long, after it was closed too. If not set, it
    /// keeps it until it is closed. The session itself ends when the store says so.
    #[must_use]
    pub fn max_age(mut self, max_age: std::time::Duration) -> Self {
        self.max_age = Some(max_age.try_into().unwrap_or(Duration::MAX));
        self
    }

    /// Issues the cookie without `Secure`, so that a browser sends it over plain http, where
    /// everybody on the way can read it and take over the session. For development only; an
    /// application behind a proxy that speaks https does not need it.
    #[must_use]
    pub fn insecure_http(mut self) -> Self {
        self.secure = false;
        self
    }

    /// The cookie's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key that signs, for another library that is to read and write the same cookie.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The cookie that gives a browser this session: `HttpOnly`, `SameSite=Lax`, `Path=/`, and
    /// `Secure` unless [`insecure_http`](Self::insecure_http) was said.
    #[must_use]
    pub fn issue(&self, id: &SessionId) -> Cookie<'static> {
        let mut jar = CookieJar::new();
        let mut cookie = self.with_attributes(Cookie::new(
            self.name.clone().into_owned(),
            id.expose().to_owned(),
        ));
        cookie.set_max_age(self.max_age);
        jar.signed_mut(&self.key).add(cookie);
        jar.get(&self.name)
            .expect("the jar has the cookie that was just added")
            .clone()
    }

    /// [`issue`](Self::issue) as the value of a `Set-Cookie` field.
    #[must_use]
    pub fn issue_header(&self, id: &SessionId) -> HeaderValue {
        header(&self.issue(id))
    }

    /// The cookie that makes a browser forget the session.
    #[must_use]
    pub fn removal(&self) -> Cookie<'static> {
        let mut cookie = self.with_attributes(Cookie::from(self.name.clone().into_owned()));
        cookie.make_removal();
        cookie
    }

    /// [`removal`](Self::removal) as the value of a `Set-Cookie` field.
    #[must_use]
    pub fn removal_header(&self) -> HeaderValue {
        header(&self.removal())
    }

    fn with_attributes(&self, mut cookie: Cookie<'static>) -> Cookie<'static> {
        cookie.set_http_only(true);
        cookie.set_same_site(SameSite::Lax);
        cookie.set_path("/");
        cookie.set_secure(self.secure);
        cookie
    }

    /// The one session id among the values that verify.
    fn verify_all(&self, values: &CookieValues<'_>) -> Result<SessionId, ExtractError> {
        let mut found: Option<SessionId> = None;
        let mut problem = InvalidCredential::Malformed;
        for value in values.iter() {
            match self.verify(value) {
                Ok(id) if found.as_ref().is_some_and(|other| *other != id) => {
                    return Err(InvalidCredential::Ambiguous.into());
                }
                Ok(id) => found = Some(id),
                Err(invalid) => problem = invalid,
            }
        }
        found.ok_or_else(|| problem.into())
    }

    /// Attacker-controlled bytes: the size first, then the form, then the signature, and the id is
    /// looked at only when that is good.
    fn verify(&self, value: &[u8]) -> Result<SessionId, InvalidCredential> {
        if value.len() > MAX_VALUE_BYTES {
            return Err(InvalidCredential::TooLarge);
        }
        let value = percent_decoded(value)?;
        let (signature, id) = value
            .split_at_checked(SIGNATURE_CHARS)
            .ok_or(InvalidCredential::Malformed)?;
        // Canonical base64 only: another spelling of the same signature is another value.
        let mut tag = [0; SIGNATURE_BYTES + 1];
        let decoded = STANDARD.decode_slice(signature, &mut tag);
        if decoded != Ok(SIGNATURE_BYTES) {
            return Err(InvalidCredential::Malformed);
        }
        let authentic = self.keys.iter().any(|key| {
            let mac = key.clone().chain_update(id);
            mac.verify_slice(&tag[..SIGNATURE_BYTES]).is_ok()
        });
        if !authentic {
            return Err(InvalidCredential::NotAuthentic);
        }
        SessionId::from_bytes(id).map_err(InvalidCredential::Id)
    }
}

impl SessionIdExtractor for SignedCookie {
    fn extract(&self, handshake: &Handshake<'_>) -> Result<SessionId, ExtractError> {
        self.origin.check(handshake)?;
        let values = handshake.cookies(&self.name)?;
        if values.is_empty() {
            return Err(ExtractError::NoCookie);
        }
        if values.exceeded() {
            return Err(InvalidCredential::TooMany.into());
        }
        self.verify_all(&values)
    }
}

impl fmt::Debug for SignedCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedCookie")
            .field("name", &self.name)
            .field("secure", &self.secure)
            .finish_non_exhaustive()
    }
}

/// The text is no cookie name: one or more characters of RFC 9110 §5.6.2 `token`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is not a cookie name")]
pub struct CookieConfigError {
    name: String,
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn verifying_key(key: &Key) -> VerifyingKey {
    VerifyingKey::new_from_slice(key.signing()).expect("HMAC takes a key of any length")
}

fn header(cookie: &Cookie<'_>) -> HeaderValue {
    HeaderValue::try_from(cookie.to_string())
        .expect("a cookie name, base64 and a session id are visible ASCII")
}

fn percent_decoded(value: &[u8]) -> Result<Cow<'_, [u8]>, InvalidCredential> {
    if !value.contains(&b'%') {
        return Ok(Cow::Borrowed(value));
    }
    // `percent_encoding` passes a broken escape through as it is; here it is an error.
    let strict = value.iter().enumerate().all(|(at, byte)| {
        *byte != b'%'
            || matches!(value.get(at + 1..at + 3), Some(hex) if hex.iter().all(u8::is_ascii_hexdigit))
    });
    if !strict {
        return Err(InvalidCredential::Malformed);
    }
    Ok(percent_encoding::percent_decode(value).into())
}
