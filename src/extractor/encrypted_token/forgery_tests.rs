//! Texts and bytes that are not, or no longer, a token as it was issued.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use proptest::prelude::*;
use serde_json::json;

use super::{
    tests::{assert_opens, claims, id, key, parts, read, sealed, tokens},
    *,
};

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
