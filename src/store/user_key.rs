//! User ids in keys and rooms.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

/// Maximum length of a user id, in bytes, that stands as it is.
const MAX_PLAIN: usize = 64;
/// Maximum length of a user id, in bytes.
pub(crate) const MAX_USER_ID: usize = 1024;
/// Begins a hashed id; a plain one that begins with it is hashed, too, so that no two ids have one key.
const HASHED: char = '~';

/// The user id for a key or the name of a room: as it is if it is short visible ASCII, else its
/// SHA-256 in base64url.
pub(crate) fn user_key(user: &str) -> Cow<'_, str> {
    let plain = user.len() <= MAX_PLAIN
        && user.bytes().all(|byte| byte.is_ascii_graphic())
        && !user.starts_with(HASHED);
    if plain {
        return Cow::Borrowed(user);
    }
    let mut key = String::from(HASHED);
    URL_SAFE_NO_PAD.encode_string(Sha256::digest(user.as_bytes()), &mut key);
    Cow::Owned(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_visible_ascii_stands_as_it_is_and_no_two_ids_share_a_key() {
        assert_eq!(user_key("42"), "42");
        assert_eq!(user_key(&"a".repeat(64)).len(), 64);
        for odd in ["a b", "é", "~x", &"a".repeat(65), "a\0"] {
            let key = user_key(odd);
            assert!(key.starts_with('~'), "{odd:?}");
            assert_ne!(user_key(&key), key, "a key is no id that stands as it is");
        }
    }
}
