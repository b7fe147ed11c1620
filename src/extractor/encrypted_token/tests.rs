use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::request::Parts;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{handshake::AuthPayload, key::SecretKey};

fn key(byte: u8) -> SecretKey {
    SecretKey::from_bytes(&[byte; 32]).unwrap()
}

fn tokens() -> EncryptedToken {
    EncryptedToken::new("token", &Keyring::new(key(1))).unwrap()
}

fn id() -> SessionId {
    "the-session-id".parse().unwrap()
}

fn parts(query: &str) -> Parts {
    let uri = format!("/socket.io/?EIO=4&transport=websocket{query}");
    let (parts, ()) = http::Request::get(uri).body(()).unwrap().into_parts();
    parts
}

fn read(tokens: &EncryptedToken, query: &str, auth: Option<serde_json::Value>) -> String {
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
fn assert_opens(tokens: &EncryptedToken, token: &str, expected: &str) {
    assert_eq!(read(tokens, "", Some(json!({ "token": token }))), expected);
}

/// A token with any plaintext.
fn sealed(tokens: &EncryptedToken, plaintext: &[u8]) -> String {
    tokens.keys[0].seal(&[9; NONCE_LEN], plaintext.to_vec())
}

fn claims(issued: u64, expires: u64) -> Vec<u8> {
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
    // What is absent does not count when it is doubled.
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
fn only_the_canonical_text_is_accepted() {
    let tokens = tokens();
    let token = tokens.issue(&id()).unwrap();
    assert_opens(&tokens, &format!("{token}="), "Malformed");
    assert_opens(&tokens, &format!(" {token}"), "Malformed");
    assert_opens(&tokens, &format!("{token}\n"), "Malformed");
    // The query, and nothing else, is percent-decoded once.
    let escape = |text: &str| {
        let escapes: Vec<_> = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
        escapes.concat()
    };
    let once = escape(&token);
    assert_eq!(
        read(&tokens, &format!("&token={once}"), None),
        "the-session-id"
    );
    assert_opens(&tokens, &once, "Malformed");
    let first = format!("%{:02x}{}", token.as_bytes()[0], &token[1..]);
    assert_eq!(
        read(&tokens, &format!("&token={first}"), None),
        "the-session-id"
    );
    let twice = first.replace('%', "%25");
    assert_eq!(read(&tokens, &format!("&token={twice}"), None), "Malformed");
    for broken in ["%", "%2", "%zz", "%FF", "%C3%A9"] {
        assert_eq!(
            read(&tokens, &format!("&token={token}{broken}"), None),
            "Malformed"
        );
    }
    let long = format!("&token={}", "%41".repeat(wire::MAX_CHARS + 1));
    assert_eq!(read(&tokens, &long, None), "TooLarge");
    assert_eq!(
        read(&tokens, &format!("&token=+{token}"), None),
        "Malformed"
    );
    let standard = token.replace('-', "+").replace('_', "/");
    if standard != token {
        assert_opens(&tokens, &standard, "Malformed");
    }
    // 76 bytes are 101 groups of three and one left, whose last character has four unused bits.
    let odd = (1..4).map(|extra| {
        let id = "x".repeat(extra).parse().unwrap();
        tokens.issue(&id).unwrap()
    });
    let odd = odd.filter(|token| token.len() % 4 != 0).collect::<Vec<_>>();
    assert!(!odd.is_empty());
    for token in odd {
        let (head, last) = token.split_at(token.len() - 1);
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let at = alphabet.find(last).unwrap();
        let trailing = &alphabet[at + 1..at + 2];
        assert_opens(&tokens, &format!("{head}{trailing}"), "Malformed");
    }
}

#[test]
fn every_prefix_and_every_flipped_bit_is_refused() {
    let tokens = tokens();
    let token = tokens.issue(&id()).unwrap();
    for length in 0..token.len() {
        let prefix = &token[..length];
        assert_ne!(
            read(&tokens, "", Some(json!({ "token": prefix }))),
            "the-session-id"
        );
    }
    let bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let expected = match bit / 8 {
            0 => "UnknownVersion",
            1..5 => "UnknownKey",
            _ => "NotAuthentic",
        };
        assert_opens(&tokens, &URL_SAFE_NO_PAD.encode(flipped), expected);
    }
    for bit in 0..token.len() * 8 {
        let mut flipped = token.clone().into_bytes();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Ok(text) = String::from_utf8(flipped) {
            assert_ne!(
                read(&tokens, "", Some(json!({ "token": text }))),
                "the-session-id"
            );
        }
    }
}

#[test]
fn the_key_is_found_by_its_id_and_by_nothing_else() {
    let ring = |active: u8, older: &[u8]| {
        let ring = Keyring::new(key(active));
        let ring = older
            .iter()
            .fold(ring, |ring, older| ring.accept(key(*older)).unwrap());
        EncryptedToken::new("token", &ring).unwrap()
    };
    // Two nodes in the middle of a rotation accept each other's; a retired key opens nothing.
    let (before, after, done) = (ring(1, &[2]), ring(2, &[1]), ring(2, &[]));
    let (old, new) = (before.issue(&id()).unwrap(), after.issue(&id()).unwrap());
    for (tokens, token, expected) in [
        (&before, &new, "the-session-id"),
        (&after, &old, "the-session-id"),
        (&done, &new, "the-session-id"),
        (&done, &old, "UnknownKey"),
        (&ring(3, &[]), &new, "UnknownKey"),
    ] {
        assert_opens(tokens, token, expected);
    }
    // The id of another key that is known.
    let mut bytes = URL_SAFE_NO_PAD.decode(&old).unwrap();
    bytes[1..5].copy_from_slice(&after.keys[0].id);
    assert_opens(&after, &URL_SAFE_NO_PAD.encode(bytes), "NotAuthentic");
}

#[test]
fn another_name_audience_or_namespace_is_refused() {
    let keys = Keyring::new(key(1));
    let tokens = tokens();
    let other = EncryptedToken::new("other", &keys).unwrap();
    assert_opens(&tokens, &other.issue(&id()).unwrap(), "UnknownKey");
    let chat = EncryptedToken::new("token", &keys)
        .unwrap()
        .audience("chat");
    assert_opens(&tokens, &chat.issue(&id()).unwrap(), "NotAuthentic");
    assert_opens(&chat, &tokens.issue(&id()).unwrap(), "NotAuthentic");
    assert_opens(&chat, &chat.issue(&id()).unwrap(), "the-session-id");

    let admin = tokens.issue_with(&id(), TokenOptions::new().namespace("/admin"));
    let admin = admin.unwrap();
    assert_opens(&tokens, &admin, "WrongNamespace");
    let parts = parts(&format!("&token={admin}"));
    let handshake = Handshake::from_parts(&parts);
    assert!(tokens.extract(&handshake.with_namespace("/admin")).is_ok());
    assert!(
        tokens.extract(&handshake.as_opening()).is_ok(),
        "no namespace is known yet"
    );
    let ordinary = tokens.extract(&handshake);
    assert!(matches!(ordinary, Err(ExtractError::NoToken)));

    let long = "/".repeat(256);
    let refused = tokens.issue_with(&id(), TokenOptions::new().namespace(&long));
    assert!(matches!(refused, Err(IssueTokenError::NamespaceTooLong)));
    let longest = "x".repeat(128).parse().unwrap();
    let token = tokens.issue_with(&longest, TokenOptions::new().namespace(&long[..255]));
    assert_eq!(token.unwrap().len(), wire::MAX_CHARS);
}

#[test]
fn times_are_checked_with_leeway() {
    let tokens = tokens();
    let now = 1_000_000;
    let open = |issued, expires| {
        let token = sealed(&tokens, &claims(issued, expires));
        match tokens.open(&token, None, Some(now)) {
            Ok(_) => "opens".to_owned(),
            Err(error) => format!("{error:?}"),
        }
    };
    assert_eq!(open(now, now + 60), "opens");
    assert_eq!(open(now - 90, now - 30), "opens");
    assert_eq!(open(now - 91, now - 31), "Expired");
    assert_eq!(open(now + 30, now + 90), "opens");
    assert_eq!(open(now + 31, now + 91), "NotYetValid");
    assert_eq!(open(now, now + 3600), "opens");
    assert_eq!(open(now, now + 3601), "LifetimeTooLong");
    assert_eq!(open(now, u64::MAX), "LifetimeTooLong");
    assert_eq!(open(u64::MAX, u64::MAX), "NotYetValid");
    assert_eq!(open(now, now - 1), "Malformed");
}

#[test]
fn when_a_transport_goes_on_the_time_does_not_matter_and_all_else_does() {
    let tokens = tokens();
    let expired = sealed(&tokens, &claims(1_000_000, 1_000_060));
    let extract = |token: &str, continues: bool| {
        let parts = parts(&format!("&token={token}"));
        let handshake = Handshake::from_parts(&parts).as_opening();
        if continues {
            tokens.extract(&handshake.at(Stage::Continuing))
        } else {
            tokens.extract(&handshake)
        }
    };
    let refused = extract(&expired, false);
    assert!(matches!(
        refused,
        Err(ExtractError::Invalid(InvalidCredential::Expired))
    ));
    assert_eq!(extract(&expired, true).unwrap(), id());
    assert!(extract(&expired[..expired.len() - 1], true).is_err());
}

#[test]
fn lifetimes_are_bounded_where_they_are_issued() {
    let tokens = tokens().max_lifetime(Duration::from_secs(90)).unwrap();
    let with = |seconds| {
        let options = TokenOptions::new().lifetime(Duration::from_secs(seconds));
        tokens.issue_with(&id(), options)
    };
    assert!(with(90).is_ok());
    assert!(matches!(with(91), Err(IssueTokenError::LifetimeTooLong)));
    assert!(matches!(with(0), Err(IssueTokenError::LifetimeZero)));
    let options = TokenOptions::new().lifetime(Duration::from_millis(1));
    let short = tokens.issue_with(&id(), options).unwrap();
    assert_opens(&tokens, &short, "the-session-id");
    let never = self::tokens().lifetime(Duration::MAX).unwrap();
    assert_opens(&never, &never.issue(&id()).unwrap(), "the-session-id");
    assert_opens(&tokens, &never.issue(&id()).unwrap(), "LifetimeTooLong");
}

#[test]
fn a_default_lifetime_yields_to_one_that_is_set() {
    let seconds = Duration::from_secs;
    let short = tokens().max_lifetime(seconds(10)).unwrap();
    assert_eq!(short.lifetimes.issued(), seconds(10));
    assert_opens(&short, &short.issue(&id()).unwrap(), "the-session-id");
    let long = tokens().lifetime(seconds(7200)).unwrap();
    assert_opens(&long, &long.issue(&id()).unwrap(), "the-session-id");
    assert_eq!(tokens().lifetimes.max(), seconds(3600));
}

#[test]
fn lifetimes_that_are_zero_or_contradict_are_refused_in_either_order() {
    let (short, long) = (Duration::from_secs(10), Duration::from_secs(20));
    let zero = Err(TokenConfigError::LifetimeZero);
    assert_eq!(tokens().lifetime(Duration::ZERO).map(drop), zero);
    assert_eq!(tokens().max_lifetime(Duration::ZERO).map(drop), zero);
    let too_long = Err(TokenConfigError::LifetimeTooLong);
    let lifetime_last = tokens().max_lifetime(short).unwrap().lifetime(long);
    assert_eq!(lifetime_last.map(drop), too_long);
    let max_last = tokens().lifetime(long).unwrap().max_lifetime(short);
    assert_eq!(max_last.map(drop), too_long);
    assert!(tokens().lifetime(long).unwrap().max_lifetime(long).is_ok());
}

#[test]
fn an_authentic_token_is_parsed_strictly_all_the_same() {
    let tokens = tokens();
    let now = unix_now();
    let good = claims(now, now + 60);
    assert_opens(&tokens, &sealed(&tokens, &good), "the-session-id");
    let trailing = [&good[..], b"x"].concat();
    assert_opens(&tokens, &sealed(&tokens, &trailing), "Malformed");
    let mut past_the_end = good.clone();
    past_the_end[16] = 200;
    assert_opens(&tokens, &sealed(&tokens, &past_the_end), "Malformed");
    assert_opens(
        &tokens,
        &sealed(&tokens, &good[..good.len() - 1]),
        "Malformed",
    );
    assert_opens(&tokens, &sealed(&tokens, b""), "Malformed");
    for bad_id in [&b""[..], b"\xFF\xFE", b"a b", b"{x}"] {
        let claims = Claims {
            issued: now,
            expires: now + 60,
            namespace: b"",
            id: bad_id,
        };
        let answer = read(
            &tokens,
            "",
            Some(json!({ "token": sealed(&tokens, &claims.encode().unwrap()) })),
        );
        assert!(answer.starts_with("Id("), "{answer}");
    }
}

#[test]
fn debug_shows_no_key() {
    let tokens = tokens();
    let shown = format!("{tokens:?}");
    assert!(shown.contains("token") && !shown.contains("keys"));
}

proptest! {
    #[test]
    fn round_trip(id in "[A-Za-z0-9_.~-]{1,128}", namespace in "/[a-z]{0,254}") {
        let tokens = tokens();
        let id: SessionId = id.parse().unwrap();
        let options = TokenOptions::new().namespace(&namespace);
        let token = tokens.issue_with(&id, options).unwrap();
        prop_assert_eq!(tokens.open(&token, Some(&namespace), Some(unix_now())).unwrap(), id);
        prop_assert_eq!(Sealed::parse(&token).unwrap().to_text(), token);
    }

    #[test]
    fn any_text_is_refused_and_nothing_panics(text in "\\PC*") {
        prop_assert!(tokens().open(&text, None, Some(unix_now())).is_err());
    }

    #[test]
    fn any_base64url_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let text = URL_SAFE_NO_PAD.encode(bytes);
        prop_assert!(tokens().open(&text, None, Some(unix_now())).is_err());
    }

    #[test]
    fn what_parses_encodes_back(bytes in prop::collection::vec(any::<u8>(), 0..420)) {
        if let Some(claims) = Claims::parse(&bytes) {
            prop_assert_eq!(claims.encode().unwrap(), bytes);
        }
    }
}
