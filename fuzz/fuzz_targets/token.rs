//! The parsers of a token: what they accept encodes back to the same bytes, and nothing panics.

#![no_main]

use http::Request;
use libfuzzer_sys::fuzz_target;
use socketioxide_session::{EncryptedToken, Keyring, SecretKey, SessionIdExtractor, fuzzing, extractor::Handshake};

fuzz_target!(|bytes: &[u8]| {
    // What is inside, as it is after decryption.
    if let Some(again) = fuzzing::claims(bytes) {
        assert_eq!(again, bytes);
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    // The text, before decryption.
    if let Some(again) = fuzzing::token(text) {
        assert_eq!(again, text);
    }
    // The whole way from a request. Nobody guesses a key.
    let Ok(request) = Request::get(format!("/?token={text}")).body(()) else {
        return;
    };
    let keys = Keyring::new(SecretKey::from_bytes(&[7; 32]).unwrap());
    let token = EncryptedToken::new("token", &keys).unwrap();
    let (parts, ()) = request.into_parts();
    let handshake = Handshake::from_parts(&parts).with_namespace("/");
    assert!(token.extract(&handshake).is_err());
});
