//! The sessions of these tests.

use serde::{Deserialize, Serialize};
use socketioxide_session::{Keyring, SecretKey, SignedCookie};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct User {
    pub(crate) name: String,
}

pub(crate) fn ann() -> User {
    User { name: "Ann".into() }
}

pub(crate) fn cookie() -> SignedCookie {
    let keys = Keyring::new(SecretKey::from_bytes(&[7; 32]).unwrap());
    SignedCookie::new("sid", &keys).unwrap()
}
