//! Keys: 32 random bytes each, one active, older ones still accepted.

use std::{fmt, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hkdf::Hkdf;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// The domain of every derivation. A change of a format gets a new one.
const DOMAIN: &[u8] = b"socketioxide-session v1";

/// One secret key of 32 random bytes. Passwords are no keys: make one with
/// `openssl rand -base64 32`.
///
/// ```
/// use socketioxide_session::SecretKey;
///
/// // `openssl rand -base64 32`
/// let key = SecretKey::from_base64("SGVyZSBhcmUgMzIgYnl0ZXMgZm9yIGFuIGV4YW1wbGU=")?;
/// assert!(SecretKey::from_bytes(b"a password").is_err());
/// assert!(!format!("{key:?}").contains("Here are"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct SecretKey(Arc<Zeroizing<[u8; SecretKey::LEN]>>);

impl SecretKey {
    /// The length of a key in bytes.
    pub const LEN: usize = 32;

    /// Makes a new key from the randomness of the operating system.
    ///
    /// # Errors
    ///
    /// When the operating system returns no randomness.
    pub fn generate() -> Result<Self, RandomnessError> {
        let mut bytes = Zeroizing::new([0; Self::LEN]);
        getrandom::fill(bytes.as_mut_slice()).map_err(RandomnessError::new)?;
        Ok(Self(Arc::new(bytes)))
    }

    /// Takes 32 bytes as the key.
    ///
    /// # Errors
    ///
    /// When it is another number of bytes, or all of them are zero.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        let key: [u8; Self::LEN] = bytes
            .try_into()
            .map_err(|_| KeyError::Length { bytes: bytes.len() })?;
        let key = Zeroizing::new(key);
        if key.iter().all(|byte| *byte == 0) {
            return Err(KeyError::AllZero);
        }
        Ok(Self(Arc::new(key)))
    }

    /// Takes the standard base64 (RFC 4648 §4, with its padding) of 32 bytes as the key.
    ///
    /// # Errors
    ///
    /// When it is not base64, and as [`from_bytes`](Self::from_bytes) does.
    pub fn from_base64(text: &str) -> Result<Self, KeyError> {
        let bytes = Zeroizing::new(STANDARD.decode(text).map_err(|_| KeyError::Base64)?);
        Self::from_bytes(&bytes)
    }

    /// Derives 64 bytes for one purpose and one name by HKDF-SHA256 (RFC 5869), with which an
    /// extractor of your own can sign or encrypt. Another purpose or name gives unrelated bytes, so
    /// that what was made for one never verifies as the other.
    ///
    /// The `info` is `"socketioxide-session v1"`, then the purpose and the name, each after its
    /// length as eight bytes in big-endian order; there is no salt.
    #[must_use]
    pub fn derive(&self, purpose: &str, name: &str) -> [u8; 64] {
        let mut derived = [0; 64];
        Hkdf::<Sha256>::new(None, self.0.as_slice())
            .expand_multi_info(
                &[
                    DOMAIN,
                    &(purpose.len() as u64).to_be_bytes(),
                    purpose.as_bytes(),
                    &(name.len() as u64).to_be_bytes(),
                    name.as_bytes(),
                ],
                &mut derived,
            )
            .expect("64 bytes are less than the 8,160 that HKDF-SHA256 can give");
        derived
    }
}

impl PartialEq for SecretKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_slice().ct_eq(other.0.as_slice()).into()
    }
}

impl Eq for SecretKey {}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretKey").finish_non_exhaustive()
    }
}

/// The keys of an application: one active key that signs and encrypts, and older ones whose
/// credentials are still accepted.
///
/// To rotate keys without signing users out: on every node first [accept](Self::accept) the new key
/// beside the active one, then make the new one active and accept the old one, and drop the old one
/// when the longest-lived credential made with it has expired.
///
/// ```
/// use socketioxide_session::{Keyring, SecretKey};
///
/// # let (old, new) = (SecretKey::generate()?, SecretKey::generate()?);
/// // The second step of a rotation: the new key signs, and the old one is accepted.
/// let keys = Keyring::new(new.clone()).accept(old)?;
/// assert_eq!(keys.active(), &new);
/// assert_eq!(keys.keys().len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Keyring {
    keys: Vec<SecretKey>,
}

impl Keyring {
    /// A keyring with one active key.
    #[must_use]
    pub fn new(active: SecretKey) -> Self {
        Self { keys: vec![active] }
    }

    /// Adds a key whose credentials are accepted too.
    ///
    /// ```
    /// use socketioxide_session::{Keyring, SecretKey};
    ///
    /// let key = SecretKey::generate()?;
    /// assert!(Keyring::new(key.clone()).accept(key).is_err()); // it is there already
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When the keyring has this key already.
    pub fn accept(mut self, key: SecretKey) -> Result<Self, KeyError> {
        if self.keys.contains(&key) {
            return Err(KeyError::Duplicate);
        }
        self.keys.push(key);
        Ok(self)
    }

    /// The key that signs and encrypts.
    #[must_use]
    pub fn active(&self) -> &SecretKey {
        &self.keys[0]
    }

    /// All keys whose credentials are accepted, the active one first.
    #[must_use]
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &SecretKey> {
        self.keys.iter()
    }
}

impl From<SecretKey> for Keyring {
    fn from(active: SecretKey) -> Self {
        Self::new(active)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").finish_non_exhaustive()
    }
}

/// An error in a key or a keyring.
///
/// ```
/// use socketioxide_session::{SecretKey, key::KeyError};
///
/// assert_eq!(SecretKey::from_bytes(b"short"), Err(KeyError::Length { bytes: 5 }));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// A key has 32 bytes; this one hasn't.
    #[error("a secret key has 32 bytes, not {bytes}")]
    Length {
        /// Number of bytes.
        bytes: usize,
    },
    /// All bytes are zero: a key that was never filled in.
    #[error("the secret key is all zero")]
    AllZero,
    /// The text is no standard base64.
    #[error("the secret key is not standard base64")]
    Base64,
    /// The keyring has this key already.
    #[error("the keyring has the same key twice")]
    Duplicate,
}

/// The operating system has no randomness to give.
///
/// ```
/// use socketioxide_session::{SecretKey, key::RandomnessError};
///
/// fn key() -> Result<SecretKey, RandomnessError> {
///     SecretKey::generate()
/// }
/// # key().unwrap();
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[error("no randomness from the operating system")]
pub struct RandomnessError {
    source: getrandom::Error,
}

impl RandomnessError {
    pub(crate) fn new(source: getrandom::Error) -> Self {
        Self { source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_keys_are_errors_where_they_are_set() {
        assert_eq!(
            SecretKey::from_bytes(&[1; 31]),
            Err(KeyError::Length { bytes: 31 })
        );
        assert_eq!(
            SecretKey::from_bytes(&[1; 33]),
            Err(KeyError::Length { bytes: 33 })
        );
        assert_eq!(SecretKey::from_bytes(&[0; 32]), Err(KeyError::AllZero));
        assert_eq!(SecretKey::from_base64("not base64"), Err(KeyError::Base64));
        assert_eq!(
            SecretKey::from_base64("AQE="),
            Err(KeyError::Length { bytes: 2 })
        );
        let key = SecretKey::generate().unwrap();
        assert_eq!(
            Keyring::new(key.clone()).accept(key).unwrap_err(),
            KeyError::Duplicate
        );
    }

    #[test]
    fn derivation_separates_purpose_and_name() {
        let key = SecretKey::from_bytes(&[7; 32]).unwrap();
        let other = SecretKey::from_bytes(&[8; 32]).unwrap();
        let derived = key.derive("cookie", "sid");
        assert_eq!(derived, key.derive("cookie", "sid"));
        assert_ne!(derived, key.derive("cookie", "theme"));
        assert_ne!(derived, key.derive("cookies", "id"));
        assert_ne!(derived, key.derive("token", "sid"));
        assert_ne!(derived, other.derive("cookie", "sid"));
    }

    #[test]
    fn debug_shows_no_key() {
        let key = SecretKey::from_bytes(&[0xAB; 32]).unwrap();
        let text = format!("{key:?}{:?}", Keyring::new(key.clone()));
        assert!(!text.contains("171") && !text.to_lowercase().contains("ab"));
    }
}
