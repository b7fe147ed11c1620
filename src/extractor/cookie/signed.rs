//! A session id in a signed cookie.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use cookie::{Cookie, Key};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::{CookieCarrier, CookieConfigError, cookie_extractor, issuing_methods, origin_methods};
use crate::{extractor::InvalidCredential, id::SessionId, key::Keyring};

/// An HMAC-SHA256 in standard base64: 32 bytes, 44 characters.
const SIGNATURE_CHARS: usize = 44;
const SIGNATURE_BYTES: usize = 32;
/// The purpose in the derivation of the key, see [`SecretKey::derive`](crate::SecretKey::derive).
const PURPOSE: &str = "signed cookie";

/// Carries the session id in a cookie that is signed with HMAC-SHA256.
///
/// ```text
/// Cookie: sid=tgqzTtyDsnQWcyvMcLzJt2VTRz0jP2r2ujWJuCcZ1Pw=Gd2XNkT6kXzJVCtBcU9S1A
///             └─ base64 of HMAC-SHA256(key, id), 44 chars ─┘└──── session id ───┘
/// ```
///
/// That is the format of signed cookies in the `cookie` crate, so axum-extra, tower-cookies and
/// tower-sessions can read and write it when they have the same [key](Self::key).
///
/// ```
/// use socketioxide_session::{Keyring, SecretKey, SessionId, SignedCookie};
///
/// let keys = Keyring::new(SecretKey::generate()?);
/// let cookie = SignedCookie::new("__Host-sid", &keys)?;
/// let set_cookie = cookie.issue_header(&SessionId::generate()?);
/// assert!(set_cookie.to_str()?.ends_with("; HttpOnly; SameSite=Lax; Secure; Path=/"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Rules for reading it:
///
/// 1. The origin is checked first, see [`OriginPolicy`](crate::extractor::OriginPolicy).
/// 2. All `Cookie` fields are searched for the exact name, up to 64 KiB of them. More, or more than
///    eight non-empty cookies of this name, are refused before any cryptography.
/// 3. One pair of double quotes around a value is removed: Python's and Java's cookie jars send
///    them. A value that holds `%` is percent-decoded once (axum-extra encodes it); a `%` without
///    two hexadecimal digits after it is refused.
/// 4. Each value is verified with every key of the keyring. Bad ones beside a good one are ignored,
///    because any page of a sibling host can plant them.
/// 5. One distinct authentic id is the session. More are returned as
///    [`Several`](crate::extractor::ExtractError::Several), because the Domain or the Path of the cookie may have
///    changed: the bridge looks all of them up, and uses the only one that is live.
///
/// The key is derived from the [`Keyring`] for this cookie's name, so a value that was signed for
/// another cookie does not verify.
///
/// # A socket server on another host
///
/// A page on `app.example.com` whose sockets are on `io.example.com` needs the cookie on both:
///
/// ```
/// # use socketioxide_session::{Keyring, SecretKey, SignedCookie};
/// # let keys = Keyring::new(SecretKey::generate()?);
/// let cookie = SignedCookie::new("sid", &keys)?
///     .domain("example.com")?
///     .former_scope(None, "/")? // it was issued without a Domain until now
///     .allow_origin("https://app.example.com")?;
/// assert_eq!(cookie.removal_headers().len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Deployment caveats
///
/// - A sibling subdomain can set a cookie for your domain, a live one of its own session included,
///   which is used beside a *dead* cookie of yours. A name that begins with `__Host-` prevents it
///   and is recommended; browsers store it over https only.
/// - Over HTTP/2, hyper refuses headers over 16 KiB by itself; its
///   `http2().max_header_list_size(…)` raises that.
#[derive(Clone)]
pub struct SignedCookie {
    carrier: CookieCarrier,
    keys: Vec<VerifyingKey>,
    key: Key,
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
    /// ```
    /// use socketioxide_session::{SignedCookie, extractor::Key};
    ///
    /// // The key of an application that signs with cookie-rs or tower-cookies already.
    /// let cookie = SignedCookie::with_key("sid", Key::generate())?;
    /// # drop(cookie);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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

    /// Also accepts what was signed with this key of the `cookie` crate, after a rotation.
    ///
    /// ```
    /// use socketioxide_session::{SignedCookie, extractor::Key};
    ///
    /// # let (new, old) = (Key::generate(), Key::generate());
    /// let cookie = SignedCookie::with_key("sid", new)?.accept_key(&old);
    /// # drop(cookie);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn accept_key(mut self, key: &Key) -> Self {
        self.keys.push(verifying_key(key));
        self
    }

    fn from_keys(name: Cow<'static, str>, keys: &[Key]) -> Result<Self, CookieConfigError> {
        Ok(Self {
            carrier: CookieCarrier::new(name)?,
            keys: keys.iter().map(verifying_key).collect(),
            key: keys[0].clone(),
        })
    }

    /// The key that signs, for another library that is to read and write the same cookie.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The cookie that gives a browser this session: `HttpOnly`, `SameSite=Lax`, `Path=/` and
    /// `Secure`, unless configured otherwise.
    #[must_use]
    pub fn issue(&self, id: &SessionId) -> Cookie<'static> {
        let mac = verifying_key(&self.key).chain_update(id.expose());
        let mut value = String::with_capacity(SIGNATURE_CHARS + SessionId::MAX_LEN);
        STANDARD.encode_string(mac.finalize().into_bytes(), &mut value);
        value.push_str(id.expose());
        self.carrier.issue(&value)
    }

    /// Attacker-controlled bytes: first the form, then the signature; the id is parsed only when
    /// that is authentic.
    fn verify(&self, value: &[u8]) -> Result<SessionId, InvalidCredential> {
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

origin_methods!(SignedCookie);
issuing_methods!(SignedCookie);
cookie_extractor!(SignedCookie);

fn verifying_key(key: &Key) -> VerifyingKey {
    VerifyingKey::new_from_slice(key.signing()).expect("HMAC takes a key of any length")
}
