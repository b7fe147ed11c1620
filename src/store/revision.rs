//! Revisions of the data of a session.

use std::fmt;

use bytes::Bytes;

/// Revision of a session's data: opaque to all code but the store that made it.
/// Revisions of one session are equal if and only if the data did not change in between. A session
/// that is made anew under an old id, with other data, has no revision that the old one had.
///
/// A store makes it from a counter, or from bytes (a hash, a version, or the stored value itself).
///
/// ```
/// use socketioxide_session::store::Revision;
///
/// let counted = Revision::from(7);
/// assert_eq!(counted.as_u64(), Some(7));
/// let hashed = Revision::from(b"a hash".to_vec());
/// assert_ne!(counted, hashed);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Revision(Repr);

#[derive(Clone, PartialEq, Eq)]
enum Repr {
    Number(u64),
    Bytes(Bytes),
    Unknown,
}

impl Revision {
    /// A revision that no store has given, and that equals none.
    pub(crate) fn unknown() -> Self {
        Self(Repr::Unknown)
    }

    pub(crate) fn is_unknown(&self) -> bool {
        matches!(self.0, Repr::Unknown)
    }

    /// The number that it was made from, if it was.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        match self.0 {
            Repr::Number(number) => Some(number),
            Repr::Bytes(_) | Repr::Unknown => None,
        }
    }

    /// The bytes that it was made from, if it was.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match &self.0 {
            Repr::Bytes(bytes) => Some(bytes),
            Repr::Number(_) | Repr::Unknown => None,
        }
    }
}

impl From<u64> for Revision {
    fn from(number: u64) -> Self {
        Self(Repr::Number(number))
    }
}

impl From<Vec<u8>> for Revision {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Repr::Bytes(bytes.into()))
    }
}

impl From<Bytes> for Revision {
    fn from(bytes: Bytes) -> Self {
        Self(Repr::Bytes(bytes))
    }
}

// The bytes may be the session's data.
impl fmt::Debug for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revision").finish_non_exhaustive()
    }
}
