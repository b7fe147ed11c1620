//! The `auth` payload of a Socket.IO CONNECT packet.

use std::{fmt, sync::OnceLock};

use serde_json::Value;

/// What came as the `auth` payload of a Socket.IO handshake.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Auth<'a> {
    /// Nothing came, or `null`.
    Absent,
    /// More than 4 KiB came. It was not parsed.
    TooLarge,
    /// What came could not be parsed.
    Malformed,
    /// What came, as JSON. (`MessagePack` is turned into it.)
    Value(&'a Value),
}

type Decode<'a> = dyn Fn() -> Option<Value> + Sync + 'a;

/// An `auth` payload that is decoded when somebody asks for it, once.
pub struct AuthPayload<'a> {
    source: Source<'a>,
    decoded: OnceLock<Option<Value>>,
}

enum Source<'a> {
    Absent,
    TooLarge,
    Encoded(&'a Decode<'a>),
    Json(&'a [u8]),
    Given,
}

impl<'a> AuthPayload<'a> {
    /// The largest payload that is parsed, in bytes as they came.
    pub const MAX_BYTES: usize = 4 * 1024;

    /// No payload came.
    #[must_use]
    pub fn absent() -> Self {
        Self::new(Source::Absent)
    }

    /// A payload of `bytes` bytes, which `decode` parses (`None`: it can't be parsed). It is not
    /// called when the payload is larger than [`MAX_BYTES`](Self::MAX_BYTES).
    #[must_use]
    pub fn encoded(bytes: usize, decode: &'a Decode<'a>) -> Self {
        Self::sized(bytes, Source::Encoded(decode))
    }

    /// A payload of JSON, as it follows `40` in a Socket.IO packet.
    #[must_use]
    pub fn json(text: &'a [u8]) -> Self {
        Self::sized(text.len(), Source::Json(text))
    }

    fn new(source: Source<'a>) -> Self {
        Self {
            source,
            decoded: OnceLock::new(),
        }
    }

    // The size is attacker-controlled and comes first: nothing is parsed, and no string is built,
    // for what is too large.
    fn sized(bytes: usize, source: Source<'a>) -> Self {
        match bytes {
            0 => Self::new(Source::Absent),
            bytes if bytes > Self::MAX_BYTES => Self::new(Source::TooLarge),
            _ => Self::new(source),
        }
    }

    pub(super) fn get(&self) -> Auth<'_> {
        let decoded = match &self.source {
            Source::Absent => return Auth::Absent,
            Source::TooLarge => return Auth::TooLarge,
            Source::Encoded(decode) => self.decoded.get_or_init(decode),
            Source::Json(text) => self
                .decoded
                .get_or_init(|| serde_json::from_slice(text).ok()),
            Source::Given => self.decoded.get_or_init(|| None),
        };
        match decoded {
            None => Auth::Malformed,
            Some(Value::Null) => Auth::Absent,
            Some(value) => Auth::Value(value),
        }
    }
}

impl From<Value> for AuthPayload<'_> {
    fn from(value: Value) -> Self {
        Self {
            source: Source::Given,
            decoded: OnceLock::from(Some(value)),
        }
    }
}

// The payload holds a credential.
impl fmt::Debug for AuthPayload<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthPayload").finish_non_exhaustive()
    }
}
