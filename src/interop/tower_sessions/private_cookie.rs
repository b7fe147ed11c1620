//! The encrypted cookie of tower-sessions.

use std::borrow::Cow;

use aes_gcm::{
    AeadInOut as _, Aes256Gcm, KeyInit as _,
    aead::{Nonce, Tag},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use cookie::Key;

use crate::{
    extractor::{
        CookieConfigError, InvalidCredential,
        cookie::{CookieCarrier, cookie_extractor, origin_methods},
    },
    id::SessionId,
};

const NONCE_LEN: usize = 12;
const TAG_LEN: usize = 16;
/// Offset of the encryption key in a [`Key`]; the signing key is before it.
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
/// 1. The origin is checked first, see [`OriginPolicy`](crate::extractor::OriginPolicy).
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

    /// Accepts the cookie on pages over plain http, where every host on the way can read it. For
    /// development, beside `SessionManagerLayer::with_secure(false)`.
    ///
    /// ```
    /// use socketioxide_session::{extractor::Key, interop::tower_sessions::PrivateCookie};
    ///
    /// // As `SessionManagerLayer::with_secure(false)`, for development.
    /// let cookie = PrivateCookie::new("id", Key::generate())?.insecure_http()?;
    /// # drop(cookie);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When the name begins with `__Host-` or `__Secure-`.
    pub fn insecure_http(mut self) -> Result<Self, CookieConfigError> {
        self.carrier.set_insecure()?;
        Ok(self)
    }

    /// Attacker-controlled bytes: the form first, then the tag, and the id is parsed only when that
    /// is good.
    fn verify(&self, value: &[u8]) -> Result<SessionId, InvalidCredential> {
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

origin_methods!(PrivateCookie);
cookie_extractor!(PrivateCookie);
