//! The id of a session: the one secret that a credential carries.

use std::{
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::key::RandomnessError;

/// Bytes of randomness in a generated id.
const GENERATED_BYTES: usize = 16;
/// Start of the name of a session's room.
const ROOM: &str = "session:";
/// Bytes of the digest in the name of a session's room.
const ROOM_BYTES: usize = 16;
/// Length of the name of a session's room.
const ROOM_LEN: usize = ROOM.len() + (ROOM_BYTES * 4).div_ceil(3);

/// The id of a session.
///
/// With it, the session can be loaded from the store, so it is a secret: its [`Debug`](fmt::Debug)
/// output is a [fingerprint](Self::fingerprint), there is no `Display` and no `Serialize`, and two
/// ids are compared in constant time.
///
/// An id is 1 to 128 bytes of visible ASCII without `"`, `,`, `;`, `\`, `{`, `}`, `*`, `?`, `[` and
/// `]`. What is left out would be special in a cookie (RFC 6265 §4.1.1), in a Redis Cluster key (the
/// hash tag) or in a Redis pattern. The ids of express-session, tower-sessions and most others fit.
///
/// ```
/// use socketioxide_session::SessionId;
///
/// let id = SessionId::generate()?;
/// assert_eq!(id.expose().parse::<SessionId>()?, id);
/// assert!(!format!("{id:?}").contains(id.expose()));
/// assert!("two words".parse::<SessionId>().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialOrd, Ord)]
pub struct SessionId(Arc<str>);

impl SessionId {
    /// The longest id, in bytes.
    pub const MAX_LEN: usize = 128;

    /// Makes a new id from 128 random bits of the operating system: 22 characters of base64url,
    /// which tower-sessions accepts as an id too.
    ///
    /// # Errors
    ///
    /// When the operating system returns no randomness.
    pub fn generate() -> Result<Self, RandomnessError> {
        let mut bytes = [0; GENERATED_BYTES];
        getrandom::fill(&mut bytes).map_err(RandomnessError::new)?;
        let mut text = [0; GENERATED_BYTES.div_ceil(3) * 4];
        let length = URL_SAFE_NO_PAD
            .encode_slice(bytes, &mut text)
            .expect("16 bytes are 22 characters of base64url");
        let text = std::str::from_utf8(&text[..length]).expect("base64url is ASCII");
        Ok(Self(Arc::from(text)))
    }

    /// Parses an id out of bytes, as they come from a cookie or a token.
    ///
    /// # Errors
    ///
    /// When the bytes are no valid id.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ParseSessionIdError> {
        // Attacker-controlled bytes. The length comes first, it bounds the rest.
        if bytes.is_empty() {
            return Err(ParseSessionIdError::new(Problem::Empty));
        }
        if bytes.len() > Self::MAX_LEN {
            return Err(ParseSessionIdError::new(Problem::TooLong));
        }
        if !bytes.iter().all(|byte| IS_ID_BYTE[usize::from(*byte)]) {
            return Err(ParseSessionIdError::new(Problem::ForbiddenByte));
        }
        let text = std::str::from_utf8(bytes).expect("the bytes are visible ASCII");
        Ok(Self(Arc::from(text)))
    }

    /// The id itself, for a store or the code that issues a credential.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Eight hexadecimal digits of the id's SHA-256: the same for the same id on every node, for
    /// logs. It cannot be reversed to a randomly generated id.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let digest = self.digest(b"fingerprint");
        format!(
            "{:02x}{:02x}{:02x}{:02x}",
            digest[0], digest[1], digest[2], digest[3]
        )
    }

    /// The name of the room that all sockets of this session join.
    pub(crate) fn room(&self) -> RoomName {
        let digest = self.digest(b"room");
        let mut text = [0; ROOM_LEN];
        text[..ROOM.len()].copy_from_slice(ROOM.as_bytes());
        URL_SAFE_NO_PAD
            .encode_slice(&digest[..ROOM_BYTES], &mut text[ROOM.len()..])
            .expect("16 bytes are 22 characters of base64url");
        RoomName(text)
    }

    fn digest(&self, purpose: &[u8]) -> [u8; 32] {
        Sha256::new()
            .chain_update(b"socketioxide-session id ")
            .chain_update(purpose)
            .chain_update([0])
            .chain_update(self.0.as_bytes())
            .finalize()
            .into()
    }
}

impl PartialEq for SessionId {
    fn eq(&self, other: &Self) -> bool {
        let (one, other) = (self.0.as_bytes(), other.0.as_bytes());
        if one.len() != other.len() {
            return false;
        }
        // Eight bytes at a time, because each lookup by id compares.
        let words = one.as_chunks::<8>().0.iter().zip(other.as_chunks().0);
        let differences = words.fold(last_word(one) ^ last_word(other), |found, (one, other)| {
            found | (u64::from_ne_bytes(*one) ^ u64::from_ne_bytes(*other))
        });
        differences.ct_eq(&0).into()
    }
}

/// The last eight bytes, or all of a shorter text.
fn last_word(bytes: &[u8]) -> u64 {
    match bytes.last_chunk() {
        Some(last) => u64::from_ne_bytes(*last),
        None => bytes
            .iter()
            .fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

impl Eq for SessionId {}

/// The name of a session's room, without an allocation of its own.
pub(crate) struct RoomName([u8; ROOM_LEN]);

impl RoomName {
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("base64url is ASCII")
    }
}

impl Hash for SessionId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.0.as_bytes());
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SessionId")
            .field(&format_args!("fingerprint {}", self.fingerprint()))
            .finish()
    }
}

impl FromStr for SessionId {
    type Err = ParseSessionIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::from_bytes(text.as_bytes())
    }
}

/// Whether an id may hold a byte, by its value.
static IS_ID_BYTE: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = u8::MIN;
    while byte < u8::MAX {
        table[byte as usize] = is_id_byte(byte);
        byte += 1;
    }
    table
};

const fn is_id_byte(byte: u8) -> bool {
    byte.is_ascii_graphic()
        && !matches!(
            byte,
            b'"' | b',' | b';' | b'\\' | b'{' | b'}' | b'*' | b'?' | b'[' | b']'
        )
}

/// The text is no valid [`SessionId`]. The text itself is not part of the error.
///
/// ```
/// use socketioxide_session::{SessionId, id::ParseSessionIdError};
///
/// let parsed: Result<SessionId, ParseSessionIdError> = "{tag}".parse();
/// assert!(parsed.is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct ParseSessionIdError {
    problem: Problem,
}

impl ParseSessionIdError {
    fn new(problem: Problem) -> Self {
        Self { problem }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error("the session id is empty")]
    Empty,
    #[error("the session id is longer than {} bytes", SessionId::MAX_LEN)]
    TooLong,
    #[error("the session id holds a byte that is not allowed in one")]
    ForbiddenByte,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_ids_are_valid_and_distinct() {
        let one = SessionId::generate().unwrap();
        let two = SessionId::generate().unwrap();
        assert_eq!(one.expose().len(), 22);
        assert_eq!(one.expose().parse::<SessionId>().unwrap(), one);
        assert_ne!(one, two);
    }

    #[test]
    fn awkward_ids_are_refused() {
        let long = "a".repeat(129);
        for text in [
            "", " ", "a b", "a\0", "a\r\n", "{tag}", "*", "?", "[", "]", "a\"", "a,b", "a;b",
            "a\\b", "\u{e9}", "\u{7f}", &long,
        ] {
            assert!(text.parse::<SessionId>().is_err(), "{text:?}");
        }
        let longest = "a".repeat(128);
        for text in ["a", "s:abc.def", "A-Za-z0-9_~!#$%&'()+/:<=>@^`|", &longest] {
            assert_eq!(text.parse::<SessionId>().unwrap().expose(), text);
        }
    }

    #[test]
    fn nothing_but_expose_shows_the_id() {
        let id: SessionId = "very-secret-id".parse().unwrap();
        assert!(!format!("{id:?}").contains("secret"));
        assert!(!id.room().as_str().contains("secret"));
        assert_eq!(id.fingerprint().len(), 8);
        let error = "very secret id".parse::<SessionId>().unwrap_err();
        assert!(!format!("{error:?}{error}").contains("very"));
    }
}
