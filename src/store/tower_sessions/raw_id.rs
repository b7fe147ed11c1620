//! The ids of tower-sessions.
//!
//! An id is an `i128`. In a cookie and as a key of a store it is text: its 16 bytes, little-endian,
//! in base64url without padding (`tower_sessions_core::session::Id`, `Display` and `FromStr`). Inside
//! of a `MessagePack` record the same bytes are big-endian.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::id::SessionId;

/// Number of characters of an id.
const ID_CHARS: usize = 22;
const ID_BYTES: usize = 16;

/// Parses an id; `None` unless it is the one canonical text of 16 bytes.
///
/// Attacker-controlled bytes: the length comes first. A second spelling of an id would be a second
/// session here, so base64 with set trailing bits is no id, as in tower-sessions.
pub(crate) fn parse(text: &[u8]) -> Option<i128> {
    if text.len() != ID_CHARS {
        return None;
    }
    let mut bytes = [0; ID_BYTES + 2];
    let length = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
    let bytes = bytes[..length].try_into().ok()?;
    Some(i128::from_le_bytes(bytes))
}

pub(crate) fn of(id: &SessionId) -> Option<i128> {
    parse(id.expose().as_bytes())
}

pub(crate) fn session_id(raw: i128) -> SessionId {
    let text = URL_SAFE_NO_PAD.encode(raw.to_le_bytes());
    text.parse().expect("base64url is a valid session id")
}
