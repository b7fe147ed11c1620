use http::request::Parts;
use serde_json::json;

use super::*;
use crate::{handshake::AuthPayload, key::SecretKey};

pub(super) fn key(byte: u8) -> SecretKey {
    SecretKey::from_bytes(&[byte; 32]).unwrap()
}

pub(super) fn tokens() -> EncryptedToken {
    EncryptedToken::new("token", &Keyring::new(key(1))).unwrap()
}

pub(super) fn id() -> SessionId {
    "the-session-id".parse().unwrap()
}

pub(super) fn parts(query: &str) -> Parts {
    let uri = format!("/socket.io/?EIO=4&transport=websocket{query}");
    let (parts, ()) = http::Request::get(uri).body(()).unwrap().into_parts();
    parts
}

pub(super) fn read(
    tokens: &EncryptedToken,
    query: &str,
    auth: Option<serde_json::Value>,
) -> String {
    let parts = parts(query);
    let payload = auth.map_or_else(AuthPayload::absent, AuthPayload::from);
    let handshake = Handshake::from_parts(&parts)
        .with_namespace("/")
        .with_auth(&payload);
    match tokens.extract(&handshake) {
        Ok(id) => id.expose().to_owned(),
        Err(ExtractError::Invalid(invalid)) => format!("{invalid:?}"),
        Err(other) => format!("{other:?}"),
    }
}

#[track_caller]
pub(super) fn assert_opens(tokens: &EncryptedToken, token: &str, expected: &str) {
    assert_eq!(read(tokens, "", Some(json!({ "token": token }))), expected);
}

/// A token with any plaintext.
pub(super) fn sealed(tokens: &EncryptedToken, plaintext: &[u8]) -> String {
    tokens.keys[0].seal(&[9; NONCE_LEN], plaintext.to_vec())
}

pub(super) fn claims(issued: u64, expires: u64) -> Vec<u8> {
    let claims = Claims {
        issued,
        expires,
        namespace: b"",
        id: b"the-session-id",
    };
    claims.encode().unwrap()
}

#[test]
fn what_was_issued_opens() {
    let tokens = tokens();
    let token = tokens.issue(&id()).unwrap();
    assert_opens(&tokens, &token, "the-session-id");
    assert_eq!(
        read(&tokens, &format!("&token={token}"), None),
        "the-session-id"
    );
    assert_ne!(token, tokens.issue(&id()).unwrap(), "the nonce is random");
}

#[test]
fn names_that_cannot_be_are_refused() {
    let keys = Keyring::new(key(1));
    for name in ["sid", "EIO", "transport", "t", "j", "b64"] {
        let refused = EncryptedToken::new(name, &keys).unwrap_err();
        assert_eq!(refused, TokenConfigError::ReservedName(name.into()));
    }
    let long = "a".repeat(65);
    for name in ["", "a b", "a=", "a&", "é", "%74", &long] {
        assert!(
            EncryptedToken::new(name.to_owned(), &keys).is_err(),
            "{name}"
        );
    }
    assert!(EncryptedToken::new("a".repeat(64), &keys).is_ok());
}

#[test]
fn nothing_is_no_token_and_something_else_is_malformed() {
    let tokens = tokens();
    for auth in [
        json!(null),
        json!({}),
        json!([]),
        json!("x"),
        json!(123),
        json!({"token": null}),
        json!({"token": ""}),
        json!({"token": "null"}),
    ] {
        assert_eq!(read(&tokens, "", Some(auth)), "NoToken");
    }
    assert_eq!(read(&tokens, "", None), "NoToken");
    assert_eq!(read(&tokens, "&Token=x&tok%65n=x", None), "NoToken");
    for auth in [json!({"token": 1}), json!({"token": {}})] {
        assert_eq!(read(&tokens, "", Some(auth)), "Malformed");
    }
}

#[test]
fn the_auth_payload_comes_before_the_query() {
    let tokens = tokens();
    let good = tokens.issue(&id()).unwrap();
    let stale = sealed(&tokens, &claims(1000, 1060));
    let query = format!("&token={stale}");
    assert_eq!(read(&tokens, &query, None), "Expired");
    let auth = json!({ "token": good });
    assert_eq!(read(&tokens, &query, Some(auth)), "the-session-id");
    let query = format!("&token={good}");
    let auth = json!({ "token": stale });
    assert_eq!(read(&tokens, &query, Some(auth)), "Expired");
    let auth = json!({ "token": null });
    assert_eq!(read(&tokens, &query, Some(auth)), "the-session-id");
    assert_eq!(read(&tokens, &format!("{query}{query}"), None), "TooMany");
    // An absent value does not count as a doubled one.
    let padded = format!("&token=&token=null{query}&token");
    assert_eq!(read(&tokens, &padded, None), "the-session-id");
    assert_eq!(read(&tokens, "&token=&token", None), "NoToken");
}

#[test]
fn a_bearer_token_comes_between_them_and_only_when_it_is_ours() {
    let tokens = tokens();
    let good = tokens.issue(&id()).unwrap();
    let stale = sealed(&tokens, &claims(1000, 1060));
    let other_key = EncryptedToken::new("token", &Keyring::new(key(2))).unwrap();
    let other_key = other_key.issue(&id()).unwrap();
    let read = |fields: &[&str], query: &str, auth: Option<&str>| {
        let mut parts = parts(query);
        for field in fields {
            let field = http::HeaderValue::from_str(field).unwrap();
            parts.headers.append("authorization", field);
        }
        let payload = AuthPayload::from(json!({ "token": auth }));
        let handshake = Handshake::from_parts(&parts)
            .with_namespace("/")
            .with_auth(&payload);
        match tokens.extract(&handshake) {
            Ok(id) => id.expose().to_owned(),
            Err(ExtractError::Invalid(invalid)) => format!("{invalid:?}"),
            Err(other) => format!("{other:?}"),
        }
    };
    let (ours, expired) = (format!("Bearer {good}"), format!("bearer  {stale} "));
    assert_eq!(read(&[&ours], "", None), "the-session-id");
    assert_eq!(read(&[&expired], "", None), "Expired");
    assert_eq!(
        read(&[&expired], &format!("&token={good}"), None),
        "Expired"
    );
    assert_eq!(read(&[&ours], "&token=forged", None), "the-session-id");
    assert_eq!(read(&[&expired], "", Some(&good)), "the-session-id");
    assert_eq!(read(&[&ours], "", Some(&stale)), "Expired");
    assert_eq!(read(&[&ours, &ours], "", None), "TooMany");
    assert_eq!(read(&[&ours, "Basic eA=="], "", None), "TooMany");
    for foreign in [
        "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
        &format!("Bearer {other_key}"),
        &format!("Bearer {good}="),
        &format!("Bearer {}", good.replacen('A', "B", 1)),
        &format!("Bearer {}", &good[..40]),
        "Bearer",
        "Bearer ",
        "Bearer null",
        &format!("Basic {good}"),
        &format!("Bearer{good}"),
        &good,
    ] {
        assert_eq!(read(&[foreign], "", None), "NoToken", "{foreign}");
        let query = format!("&token={good}");
        assert_eq!(read(&[foreign], &query, None), "the-session-id");
    }
    // It names our key, so it is ours, and forged.
    let mut forged = good.clone();
    forged.replace_range(60..61, if &good[60..61] == "x" { "y" } else { "x" });
    assert_eq!(
        read(&[&format!("Bearer {forged}")], "", None),
        "NotAuthentic"
    );
}

#[test]
fn every_authentic_token_is_presented() {
    let tokens = tokens();
    let issue = |id: &str| tokens.issue(&id.parse().unwrap()).unwrap();
    let mut parts = parts(&format!("&token={}", issue("query")));
    let bearer = format!("Bearer {}", issue("bearer"));
    parts
        .headers
        .append("authorization", bearer.parse().unwrap());
    let payload = AuthPayload::from(json!({ "token": issue("auth") }));
    let handshake = Handshake::from_parts(&parts).with_auth(&payload);
    let presented = |handshake: &Handshake<'_>| {
        let ids = tokens.presented(handshake);
        let ids: Vec<_> = ids.iter().map(|id| id.expose().to_owned()).collect();
        ids.join(" ")
    };
    assert_eq!(
        presented(&handshake.with_namespace("/")),
        "auth bearer query"
    );
    assert_eq!(presented(&handshake), "", "not on ordinary HTTP");
    // Bad ones and repeated ones add nothing.
    let payload = AuthPayload::from(json!({ "token": "forged" }));
    assert_eq!(
        presented(&handshake.with_namespace("/").with_auth(&payload)),
        "bearer query"
    );
    let payload = AuthPayload::from(json!({ "token": issue("query") }));
    assert_eq!(
        presented(&handshake.with_namespace("/").with_auth(&payload)),
        "query bearer"
    );
    // An expired one counts for a transport that goes on, and for nothing else.
    let payload = AuthPayload::from(json!({ "token": sealed(&tokens, &claims(1000, 1060)) }));
    let handshake = handshake.with_auth(&payload);
    assert_eq!(presented(&handshake.with_namespace("/")), "bearer query");
    assert_eq!(
        presented(&handshake.at(Stage::Continuing)),
        "the-session-id bearer query"
    );
}

#[test]
fn debug_shows_no_key() {
    let tokens = tokens();
    let shown = format!("{tokens:?}");
    assert!(shown.contains("token") && !shown.contains("keys"));
}
