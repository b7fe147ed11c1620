//! The bytes of a token.
//!
//! ```text
//! token:     base64url without padding, canonical, of
//!            ┌─────────┬────────┬───────────┬────────────┬─────────┐
//!            │ 0x01    │ key id │ nonce     │ ciphertext │ tag     │
//!            │ 1 byte  │ 4      │ 24        │ 18 to 401  │ 16      │
//!            └─────────┴────────┴───────────┴────────────┴─────────┘
//! plaintext: ┌───────────┬────────────┬────────┬───────────┬────────┬────────────┐
//!            │ issued at │ expires at │ length │ namespace │ length │ session id │
//!            │ 8 bytes   │ 8          │ 1      │ 0 to 255  │ 1      │ 1 to 128   │
//!            └───────────┴────────────┴────────┴───────────┴────────┴────────────┘
//! ```
//!
//! Times are seconds since 1970, big-endian. An empty namespace stands for any.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{extractor::InvalidCredential, id::SessionId};

pub(super) const VERSION: u8 = 1;
pub(super) const KEY_ID_LEN: usize = 4;
pub(super) const NONCE_LEN: usize = 24;
pub(super) const TAG_LEN: usize = 16;
const HEAD_LEN: usize = 1 + KEY_ID_LEN + NONCE_LEN;
const TIME_LEN: usize = 8;
pub(super) const MAX_NAMESPACE_LEN: usize = u8::MAX as usize;
const MAX_PLAINTEXT_LEN: usize = 2 * TIME_LEN + 1 + MAX_NAMESPACE_LEN + 1 + SessionId::MAX_LEN;
const MAX_LEN: usize = HEAD_LEN + MAX_PLAINTEXT_LEN + TAG_LEN;
/// Maximum length of a text that is decoded.
pub(super) const MAX_CHARS: usize = (MAX_LEN * 4).div_ceil(3);
/// Room that the decoder needs: whole groups of three bytes.
const DECODED_LEN: usize = MAX_CHARS.div_ceil(4) * 3;

/// A token taken apart, still encrypted.
pub(super) struct Sealed {
    bytes: [u8; DECODED_LEN],
    length: usize,
}

impl Sealed {
    /// Attacker-controlled text: the length first, then the alphabet, then the version.
    pub(super) fn parse(text: &str) -> Result<Self, InvalidCredential> {
        if text.len() > MAX_CHARS {
            return Err(InvalidCredential::TooLarge);
        }
        let mut bytes = [0; DECODED_LEN];
        // This engine refuses padding, and bits left over that are not zero.
        let length = URL_SAFE_NO_PAD
            .decode_slice(text, &mut bytes)
            .map_err(|_| InvalidCredential::Malformed)?;
        if length < HEAD_LEN + TAG_LEN {
            return Err(InvalidCredential::Malformed);
        }
        if bytes[0] != VERSION {
            return Err(InvalidCredential::UnknownVersion);
        }
        Ok(Self { bytes, length })
    }

    pub(super) fn key_id(&self) -> [u8; KEY_ID_LEN] {
        fixed(&self.bytes[1..])
    }

    pub(super) fn nonce(&self) -> [u8; NONCE_LEN] {
        fixed(&self.bytes[1 + KEY_ID_LEN..])
    }

    /// The ciphertext, to be decrypted in place, and the tag.
    pub(super) fn message(&mut self) -> (&mut [u8], [u8; TAG_LEN]) {
        let (message, tag) =
            self.bytes[HEAD_LEN..self.length].split_at_mut(self.length - HEAD_LEN - TAG_LEN);
        (message, fixed(tag))
    }

    #[cfg(any(test, fuzzing))]
    pub(super) fn to_text(&self) -> String {
        URL_SAFE_NO_PAD.encode(&self.bytes[..self.length])
    }
}

/// The text of a token.
pub(super) fn encode(
    key_id: [u8; KEY_ID_LEN],
    nonce: &[u8; NONCE_LEN],
    ciphertext: &[u8],
    tag: &[u8; TAG_LEN],
) -> String {
    let mut bytes = Vec::with_capacity(HEAD_LEN + ciphertext.len() + TAG_LEN);
    bytes.push(VERSION);
    bytes.extend_from_slice(&key_id);
    bytes.extend_from_slice(nonce);
    bytes.extend_from_slice(ciphertext);
    bytes.extend_from_slice(tag);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The content of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claims<'a> {
    pub(super) issued: u64,
    pub(super) expires: u64,
    pub(super) namespace: &'a [u8],
    pub(super) id: &'a [u8],
}

impl<'a> Claims<'a> {
    /// Strict: nothing may be missing, and nothing may follow.
    pub(super) fn parse(plaintext: &'a [u8]) -> Option<Self> {
        let (issued, rest) = plaintext.split_first_chunk::<TIME_LEN>()?;
        let (expires, rest) = rest.split_first_chunk::<TIME_LEN>()?;
        let (namespace, rest) = prefixed(rest)?;
        let (id, rest) = prefixed(rest)?;
        rest.is_empty().then_some(Self {
            issued: u64::from_be_bytes(*issued),
            expires: u64::from_be_bytes(*expires),
            namespace,
            id,
        })
    }

    /// `None` when the namespace or the id has more than 255 bytes.
    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        let mut plaintext = Vec::with_capacity(MAX_PLAINTEXT_LEN);
        plaintext.extend_from_slice(&self.issued.to_be_bytes());
        plaintext.extend_from_slice(&self.expires.to_be_bytes());
        for part in [self.namespace, self.id] {
            plaintext.push(u8::try_from(part.len()).ok()?);
            plaintext.extend_from_slice(part);
        }
        Some(plaintext)
    }
}

fn prefixed(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first()?;
    rest.split_at_checked(usize::from(*length))
}

fn fixed<const N: usize>(bytes: &[u8]) -> [u8; N] {
    *bytes
        .first_chunk()
        .expect("a token is at least as long as its fixed parts")
}
