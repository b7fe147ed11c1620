//! The keys of this crate's own, outside of the prefix of the sessions, which other programs list.
//!
//! No session has such a key, whatever the prefix: `[` can't be in a session's id.

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

use super::{driver::Master, slot};
use crate::{id::SessionId, store::user_key};

/// The pattern of all keys of this crate's own.
pub(super) const ALL: &str = "[socketioxide-session]*";
/// The pattern of the indexes of users.
pub(super) const ALL_USERS: &str = "[socketioxide-session]user:*";

/// Bytes of the hash of an id: enough that no two ids have the same.
const HASH_BYTES: usize = 16;

/// The key that a flush deletes: one at each master.
pub(super) fn flush_mark(master: &Master) -> String {
    let mut key = "[socketioxide-session]mark".to_owned();
    if let Some(slot) = master.slot {
        let _ = write!(key, "{{{}}}", slot::hash_tag(slot));
    }
    key
}

/// The mark of an id that is being replaced. It contains a hash, because the id is a secret.
pub(super) fn replaced_mark(id: &SessionId) -> String {
    let hash = Sha256::digest(id.expose().as_bytes());
    let hash = URL_SAFE_NO_PAD.encode(&hash[..HASH_BYTES]);
    format!("[socketioxide-session]replaced:{hash}")
}

/// The key of the index of a user. Sessions with another prefix have another index. The space ends the
/// key of the user, which contains none, so that no two have the same.
pub(super) fn user_hash(user: &str, prefix: &str) -> String {
    ["[socketioxide-session]user:", &user_key(user), " ", prefix].concat()
}

/// The key that makes saves of a session wait while it is renamed. The braces put it into
/// the slot of the session's key, which contains the id just the same.
pub(super) fn rename_fence(key: &str) -> String {
    ["[socketioxide-session]renaming:{", key, "}"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_show_no_id() {
        let id: SessionId = "abc".parse().unwrap();
        // The first half of the SHA-256 of "abc", FIPS 180-2 appendix B.1.
        let expected = "[socketioxide-session]replaced:ungWv48Bz-pBQUDeXa4iI8";
        assert!(replaced_mark(&id).starts_with(&expected[..expected.len() - 1]));
        assert_eq!(replaced_mark(&id).len(), expected.len());
    }

    #[test]
    fn two_users_or_two_prefixes_have_two_indexes() {
        assert_eq!(
            user_hash("42", "session:"),
            "[socketioxide-session]user:42 session:"
        );
        let keys = [
            ("a", "b "),
            ("a b", " "),
            ("a", "b"),
            ("ab", ""),
            ("a", ""),
            ("é", ""),
        ];
        let keys: std::collections::HashSet<_> = keys
            .iter()
            .map(|(user, prefix)| user_hash(user, prefix))
            .collect();
        assert_eq!(keys.len(), 6);
    }

    #[test]
    fn a_master_of_a_cluster_has_its_mark_in_a_slot_of_its_own() {
        let master = |slot| Master {
            address: String::new(),
            slot,
        };
        assert_eq!(flush_mark(&master(None)), "[socketioxide-session]mark");
        // `CLUSTER KEYSLOT 3560` is 0.
        let key = flush_mark(&master(Some(0)));
        assert_eq!(key, "[socketioxide-session]mark{3560}");
    }
}
