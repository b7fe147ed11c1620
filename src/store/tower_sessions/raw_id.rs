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

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn golden() -> Value {
        let text = include_str!("../../../tests/golden/tower-sessions.json");
        serde_json::from_str(text).unwrap()
    }

    fn hex(raw: i128) -> String {
        // The last byte comes first.
        format!("{:032x}", raw.swap_bytes())
    }

    #[test]
    fn the_ids_of_the_real_crate() {
        let golden = golden();
        let ids = golden["ids"].as_array().unwrap();
        for id in ids {
            let text = id["plaintext"].as_str().unwrap();
            let raw: i128 = id["id_i128_decimal"].as_str().unwrap().parse().unwrap();
            assert_eq!(parse(text.as_bytes()), Some(raw));
            assert_eq!(session_id(raw).expose(), text);
            assert_eq!(hex(raw), id["id_le_hex"]);
        }
        for record in golden["redis"].as_array().unwrap() {
            let raw = parse(record["redis_key"].as_str().unwrap().as_bytes());
            assert_eq!(hex(raw.unwrap()), record["id_le_hex"]);
        }
        assert_eq!(ids.len(), 9);
    }

    #[test]
    fn what_is_no_id_of_the_real_crate() {
        let golden = golden();
        let inputs = golden["id_parse_errors"].as_array().unwrap();
        for input in inputs {
            let text = input["input"].as_str().unwrap();
            assert_eq!(parse(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(inputs.len(), 9);
        // Trailing bits that are set: another text of the same bytes.
        assert_eq!(parse(b"5VlhoSTbhSFDoBAzRo0wyh"), None);
    }
}
