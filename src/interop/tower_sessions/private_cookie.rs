//! The encrypted cookie of tower-sessions.

use std::{borrow::Cow, fmt};

use aes_gcm::{
    AeadInOut as _, Aes256Gcm, KeyInit as _,
    aead::{Nonce, Tag},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use cookie::Key;

use crate::{
    extractor::{
        CookieConfigError, ExtractError, ForbiddenReason, InvalidCredential, OriginError,
        OriginPolicy, SessionIdExtractor, cookie::CookieCarrier,
    },
    handshake::Handshake,
    id::SessionId,
};

const NONCE_LEN: usize = 12;
const TAG_LEN: usize = 16;
/// Where the encryption key begins in a [`Key`]; the signing key is before it.
const ENCRYPTION_KEY: usize = 32;

/// Reads the encrypted cookie of tower-sessions (`SessionManagerLayer::with_private`), which is that
/// of the `cookie` crate's `PrivateJar`.
///
/// ```text
/// Cookie: id=base64(nonce[12] ‖ AES-256-GCM ciphertext ‖ tag[16])
/// ```
///
/// The key is the second half of the [`Key`], and the name is the associated data, so a value of
/// another cookie does not decrypt. How a value is read:
///
/// 1. The origin is checked first, see [`OriginPolicy`].
/// 2. The length is checked before any cryptography; a value that holds `%` is percent-decoded once.
/// 3. Each value is decrypted with each key. Two authentic values of distinct ids are rejected as
///    ambiguous.
///
/// Cookies are set and removed by tower-sessions.
///
/// ```
/// use cookie::Key;
/// use socketioxide_session::interop::tower_sessions::PrivateCookie;
///
/// let key = Key::generate();
/// // SessionManagerLayer::new(store).with_private(key.clone())
/// let cookie = PrivateCookie::new("id", key)?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct PrivateCookie {
    carrier: CookieCarrier,
    ciphers: Vec<Aes256Gcm>,
}

impl PrivateCookie {
    /// A cookie of this name, encrypted with this key.
    ///
    /// # Errors
    ///
    /// When the name is no cookie name.
    pub fn new(name: impl Into<Cow<'static, str>>, key: Key) -> Result<Self, CookieConfigError> {
        let cookie = Self {
            carrier: CookieCarrier::new(name.into())?,
            ciphers: Vec::new(),
        };
        Ok(cookie.accept_key(&key))
    }

    /// Decrypts with this key too, after a rotation.
    ///
    /// ```
    /// use socketioxide_session::{extractor::Key, interop::tower_sessions::PrivateCookie};
    ///
    /// # let (new, old) = (Key::generate(), Key::generate());
    /// let cookie = PrivateCookie::new("id", new)?.accept_key(&old);
    /// # drop(cookie);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn accept_key(mut self, key: &Key) -> Self {
        let cipher = Aes256Gcm::new_from_slice(&key.master()[ENCRYPTION_KEY..])
            .expect("the second half of a key has 32 bytes");
        self.ciphers.push(cipher);
        self
    }

    /// Sets the origins that may use this cookie; the request's own only, if not set.
    #[must_use]
    pub fn origin_policy(mut self, policy: OriginPolicy) -> Self {
        self.carrier.set_origin_policy(policy);
        self
    }

    /// Lets pages of this origin use the cookie too, as in `https://app.example.com`. See
    /// [`OriginPolicy::allow_origin`].
    ///
    /// ```
    /// use socketioxide_session::{extractor::Key, interop::tower_sessions::PrivateCookie};
    ///
    /// let cookie = PrivateCookie::new("id", Key::generate())?.allow_origin("https://app.example.com")?;
    /// # drop(cookie);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When the text is no origin, or is one that must not be allowed.
    pub fn allow_origin(mut self, origin: &str) -> Result<Self, OriginError> {
        let policy = self.carrier.origin_policy().clone().allow_origin(origin)?;
        self.carrier.set_origin_policy(policy);
        Ok(self)
    }

    /// Accepts the cookie on pages over plain http, where every host on the way can read it. For
    /// development, beside `SessionManagerLayer::with_secure(false)`.
    ///
    /// # Errors
    ///
    /// When the name begins with `__Host-` or `__Secure-`.
    pub fn insecure_http(mut self) -> Result<Self, CookieConfigError> {
        self.carrier.set_insecure()?;
        Ok(self)
    }

    /// The cookie's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.carrier.name()
    }

    /// Attacker-controlled bytes: the form first, then the tag, and the id is parsed only when that
    /// is good.
    fn decrypt(&self, value: &[u8]) -> Result<SessionId, InvalidCredential> {
        let sealed = STANDARD
            .decode(value)
            .map_err(|_| InvalidCredential::Malformed)?;
        let (nonce, rest) = sealed
            .split_first_chunk::<NONCE_LEN>()
            .ok_or(InvalidCredential::Malformed)?;
        let (message, tag) = rest
            .split_last_chunk::<TAG_LEN>()
            .ok_or(InvalidCredential::Malformed)?;
        let (nonce, tag): (&Nonce<Aes256Gcm>, &Tag<Aes256Gcm>) = (nonce.into(), tag.into());
        let name = self.carrier.name().as_bytes();
        let opened = self.ciphers.iter().find_map(|cipher| {
            let mut opened = message.to_vec();
            let inout = opened.as_mut_slice().into();
            let authentic = cipher.decrypt_inout_detached(nonce, name, inout, tag);
            authentic.is_ok().then_some(opened)
        });
        let id = opened.ok_or(InvalidCredential::NotAuthentic)?;
        SessionId::from_bytes(&id).map_err(InvalidCredential::Id)
    }
}

impl SessionIdExtractor for PrivateCookie {
    fn extract(&self, handshake: &Handshake<'_>) -> Result<SessionId, ExtractError> {
        self.carrier.extract(handshake, |value| self.decrypt(value))
    }

    fn presented(&self, handshake: &Handshake<'_>) -> Vec<SessionId> {
        let decrypt = |value: &[u8]| self.decrypt(value);
        self.carrier.presented(handshake, decrypt)
    }

    fn check_origin(&self, handshake: &Handshake<'_>) -> Result<(), ForbiddenReason> {
        self.carrier.check_origin(handshake)
    }
}

impl fmt::Debug for PrivateCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateCookie")
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}
