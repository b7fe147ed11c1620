//! The parsers of a token: what they accept encodes back to the same bytes, and nothing panics.

#![no_main]

use http::{HeaderValue, Request, header::AUTHORIZATION};
use libfuzzer_sys::fuzz_target;
use socketioxide_session::{
    EncryptedToken, Keyring, SecretKey, SessionIdExtractor,
    extractor::{AuthFields, AuthPayload, Handshake},
    fuzzing,
};

fuzz_target!(|bytes: &[u8]| {
    // The content, as it is after decryption.
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
    // The whole way from a request. A key can't be guessed.
    let Ok(request) = Request::get(format!("/?token={text}")).body(()) else {
        return;
    };
    let keys = Keyring::new(SecretKey::from_bytes(&[7; 32]).unwrap());
    let token = EncryptedToken::new("token", &keys).unwrap();
    let (parts, ()) = request.into_parts();
    let handshake = Handshake::from_parts(&parts).with_namespace("/");
    assert!(token.extract(&handshake).is_err());
    // As a bearer token, and as an `auth` payload, which two parsers read alike.
    let (mut parts, ()) = Request::new(()).into_parts();
    if let Ok(bearer) = HeaderValue::try_from(format!("Bearer {text}")) {
        parts.headers.append(AUTHORIZATION, bearer);
    }
    let (json, decode) = (AuthPayload::json(bytes), || {
        serde_json::from_slice::<AuthFields>(bytes).ok()
    });
    let decoded = AuthPayload::encoded(bytes.len(), &decode);
    for payload in [&json, &decoded] {
        let handshake = Handshake::from_parts(&parts)
            .with_namespace("/")
            .with_auth(payload);
        assert!(token.extract(&handshake).is_err());
        assert!(token.presented(&handshake).is_empty());
    }
});
