//! Origins of requests for which there are several extractors.

use super::{EncryptedToken, ForbiddenReason, SessionIdExtractor as _, SignedCookie};
use crate::{
    key::{Keyring, SecretKey},
    testing::HandshakeBuilder,
};

#[test]
fn a_foreign_page_is_forbidden_whatever_token_it_adds() {
    let keys = Keyring::new(SecretKey::generate().unwrap());
    let cookie = SignedCookie::new("sid", &keys).unwrap();
    let token = EncryptedToken::new("token", &keys).unwrap();
    let foreign = HandshakeBuilder::socket("/")
        .query("token", "garbage")
        .origin("https://evil.example")
        .header("host", "app.example");
    let forbidden = Err(ForbiddenReason::ForeignOrigin);
    let token_first = token.clone().or(cookie.clone());
    let checked = foreign.with(|handshake| token_first.check_origin(handshake));
    assert_eq!(checked, forbidden);
    let cookie_first = cookie.or(token);
    let checked = foreign.with(|handshake| cookie_first.check_origin(handshake));
    assert_eq!(checked, forbidden);
}
