//! The data of axum-login in a session.

use std::fmt;

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// The key that axum-login keeps its data under, unless it was given another one with
/// `AuthManagerLayerBuilder::with_data_key`.
pub(super) const DATA_KEY: &str = "axum-login.data";

/// Data of [axum-login] in a session: the user's id, and the authentication hash that the user had
/// at the login.
///
/// The hash is usually the hash of the password, so it is neither in the `Debug` output nor
/// serialized; [`matches`](Self::matches) compares it. `Id` is `AuthUser::Id` of your user.
///
/// # Format
///
/// The JSON object `{"user_id": …, "auth_hash": [bytes]}` of `axum_login::session::Data` (0.18). A
/// record without one of them is an error, as it is no login to axum-login either.
///
/// ```
/// use socketioxide_session::interop::tower_sessions::AxumLogin;
///
/// let json = r#"{"user_id": 7, "auth_hash": [1, 2, 3]}"#;
/// let login: AxumLogin<i64> = serde_json::from_str(json)?;
/// assert_eq!(*login.user_id(), 7);
/// assert!(login.matches(&[1, 2, 3]));
/// assert_eq!(serde_json::to_string(&login)?, r#"{"user_id":7}"#);
/// # Ok::<_, serde_json::Error>(())
/// ```
///
/// [axum-login]: https://docs.rs/axum-login
#[derive(Clone, Serialize, Deserialize)]
pub struct AxumLogin<Id> {
    user_id: Id,
    #[serde(skip_serializing, deserialize_with = "zeroizing")]
    auth_hash: Zeroizing<Vec<u8>>,
}

impl<Id> AxumLogin<Id> {
    /// The id of the user that is logged in.
    #[must_use]
    pub fn user_id(&self) -> &Id {
        &self.user_id
    }

    /// Whether the user's authentication hash is still the one of the login, in constant time. Give it
    /// `user.session_auth_hash()` of the user as the backend has it now: after a change of the
    /// password it is another one, and the session is no longer valid.
    #[must_use]
    pub fn matches(&self, session_auth_hash: &[u8]) -> bool {
        self.auth_hash.ct_eq(session_auth_hash).into()
    }
}

impl<Id: fmt::Debug> fmt::Debug for AxumLogin<Id> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AxumLogin")
            .field("user_id", &self.user_id)
            .finish_non_exhaustive()
    }
}

fn zeroizing<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Zeroizing<Vec<u8>>, D::Error> {
    Vec::deserialize(deserializer).map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_hash_is_shown_nowhere() {
        let stored = json!({"user_id": "ann", "auth_hash": [115, 101, 99, 114, 101, 116]});
        let login: AxumLogin<String> = serde_json::from_value(stored).unwrap();
        assert_eq!(format!("{login:?}"), r#"AxumLogin { user_id: "ann", .. }"#);
        assert_eq!(
            serde_json::to_value(&login).unwrap(),
            json!({"user_id": "ann"})
        );
        assert!(login.matches(b"secret"));
        for other in [&b""[..], b"secre", b"secres", b"secret "] {
            assert!(!login.matches(other));
        }
    }

    #[test]
    fn half_a_login_is_none() {
        for stored in [
            json!({"user_id": null, "auth_hash": null}),
            json!({"user_id": 1, "auth_hash": null}),
            json!({"user_id": 1}),
            json!({"auth_hash": [1]}),
        ] {
            assert!(serde_json::from_value::<AxumLogin<i64>>(stored).is_err());
        }
    }
}
