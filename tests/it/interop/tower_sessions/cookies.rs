//! Against what the real `SessionManagerLayer` sets and reads.

use cookie::Key;
use serde_json::Value;
use socketioxide_session::{
    SessionId, SessionIdExtractor, SignedCookie,
    extractor::{ExtractError, ForbiddenReason},
    interop::tower_sessions::{PlainCookie, PrivateCookie},
    testing::HandshakeBuilder,
};

const GOLDEN: &str = include_str!("../../../golden/tower-sessions.json");

fn golden() -> Value {
    serde_json::from_str(GOLDEN).unwrap()
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn extract(cookie: &impl SessionIdExtractor, header: &str) -> Result<SessionId, ExtractError> {
    let handshake = HandshakeBuilder::socket("/").header("cookie", header);
    handshake.with(|handshake| cookie.extract(handshake))
}

/// Cookie that a browser sends back.
fn pair(set_cookie: &Value) -> &str {
    set_cookie.as_str().unwrap().split(';').next().unwrap()
}

fn percent_encoded(value: &str) -> String {
    value
        .replace('+', "%2B")
        .replace('/', "%2F")
        .replace('=', "%3D")
}

fn no_session(answer: &Result<SessionId, ExtractError>) -> bool {
    matches!(answer, Err(ExtractError::Invalid(_)))
}

#[test]
fn every_cookie_of_the_real_layer_is_read() {
    let golden = golden();
    for vector in golden["ids"].as_array().unwrap() {
        let key = Key::from(&hex(vector["key_hex"].as_str().unwrap()));
        let plain = PlainCookie::new("id").unwrap();
        let signed = SignedCookie::with_key("id", key.clone()).unwrap();
        let private = PrivateCookie::new("id", key).unwrap();
        let text = vector["plaintext"].as_str().unwrap();
        let id: SessionId = text.parse().unwrap();

        let layer = &vector["real_layer"];
        let set_cookie = |kind: &str| pair(&layer[kind]["set_cookie"]);
        assert_eq!(extract(&plain, set_cookie("plaintext")).unwrap(), id);
        assert_eq!(extract(&signed, set_cookie("signed")).unwrap(), id);
        assert_eq!(extract(&private, set_cookie("private")).unwrap(), id);
        // The cookie by which the real layer recognizes the user, and others.
        for (kind, user) in [
            ("plaintext", "ann"),
            ("signed", "ann"),
            ("private", "ann"),
            ("signed_percent_encoded_cookie_header", "ann"),
            ("signed_tampered", ""),
        ] {
            assert_eq!(layer[kind]["user"], user, "{kind}");
        }

        let signed_value = vector["signed_value"].as_str().unwrap();
        let private_value = vector["private_value"].as_str().unwrap();
        for value in [signed_value.to_owned(), percent_encoded(signed_value)] {
            assert_eq!(extract(&signed, &format!("id={value}")).unwrap(), id);
        }
        for value in [private_value.to_owned(), percent_encoded(private_value)] {
            assert_eq!(extract(&private, &format!("id={value}")).unwrap(), id);
        }
        let tampered = layer["signed_tampered"]["cookie"].as_str().unwrap();
        assert!(no_session(&extract(&signed, &format!("id={tampered}"))));
        // Of two plain ones the last is used, by the real layer too.
        let bogus_last = extract(&plain, &format!("id={text}; id=bogus"));
        assert_eq!(layer["duplicate_good_then_bogus"]["user"], "");
        assert!(no_session(&bogus_last));
        let good_last = extract(&plain, &format!("id=bogus; id={text}"));
        assert_eq!(layer["duplicate_bogus_then_good"]["user"], "ann");
        assert_eq!(good_last.unwrap(), id);
    }
}

#[test]
fn what_is_no_id_of_tower_sessions_is_no_plain_cookie() {
    let plain = PlainCookie::new("id").unwrap();
    let golden = golden();
    for vector in golden["id_parse_errors"].as_array().unwrap() {
        let value = vector["input"].as_str().unwrap().trim_start();
        if vector["input"] == " 5VlhoSTbhSFDoBAzRo0wyg" {
            // White space around a value is no part of it.
            continue;
        }
        let answer = extract(&plain, &format!("id={value}"));
        assert!(answer.is_err(), "{value}: {answer:?}");
    }
    for value in [
        "*",
        "../5VlhoSTbhSFDoBAzRo0wyg",
        "5VlhoSTbhSFDoBAzRo0wyg;x=%00",
    ] {
        let answer = extract(&plain, &format!("id=%{value}"));
        assert!(no_session(&answer), "{value}: {answer:?}");
    }
    assert!(matches!(
        extract(&plain, "other=1"),
        Err(ExtractError::NoCookie)
    ));
}

#[test]
fn every_private_cookie_of_the_cookie_crate_is_read() {
    let golden = include_str!("../../../golden/cookie-rs-private.json");
    let golden: Value = serde_json::from_str(golden).unwrap();
    let (mut ids, mut others) = (0, 0);
    for vector in golden["private"].as_array().unwrap() {
        let text = |field: &str| vector[field].as_str().unwrap();
        let name = text("name").to_owned();
        let key = Key::from(&hex(text("key_hex")));
        let private = PrivateCookie::new(name.clone(), key.clone()).unwrap();
        let headers = [
            format!("{name}={}", text("private_value")),
            text("cookie_pair_encoded").to_owned(),
        ];
        for header in headers {
            let answer = extract(&private, &header);
            match text("value").parse::<SessionId>() {
                Ok(id) => assert_eq!(answer.unwrap(), id),
                Err(_) => assert!(no_session(&answer), "{header}"),
            }
        }
        match text("value").parse::<SessionId>() {
            Ok(_) => ids += 1,
            Err(_) => others += 1,
        }
        let tampered = format!("{name}={}", text("tampered_value"));
        assert!(no_session(&extract(&private, &tampered)));
        let other_name = PrivateCookie::new("other-name", key).unwrap();
        let renamed = format!("other-name={}", text("private_value"));
        assert!(no_session(&extract(&other_name, &renamed)));
    }
    assert!(ids > 10 && others > 10, "{ids} {others}");
}

#[test]
fn every_flipped_bit_of_a_private_cookie_is_refused() {
    let golden = golden();
    let vector = &golden["ids"][5];
    let key = Key::from(&hex(vector["key_hex"].as_str().unwrap()));
    let private = PrivateCookie::new("id", key).unwrap();
    let value = vector["private_value"].as_str().unwrap().as_bytes();
    let mut refused = 0;
    for bit in 0..value.len() * 8 {
        let mut flipped = value.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Ok(text) = String::from_utf8(flipped)
            && !text.contains(|c: char| c.is_control() || c == ';')
        {
            let answer = extract(&private, &format!("id={text}"));
            assert!(answer.is_err(), "bit {bit}: {answer:?}");
            refused += 1;
        }
    }
    assert!(refused > value.len() * 5);
}

#[test]
fn a_private_cookie_of_another_name_or_key_is_refused() {
    let golden = golden();
    let vector = &golden["ids"][5];
    let (key, other) = (
        Key::from(&hex(vector["key_hex"].as_str().unwrap())),
        Key::generate(),
    );
    let value = vector["private_value"].as_str().unwrap();
    let sid = PrivateCookie::new("sid", key.clone()).unwrap();
    assert!(no_session(&extract(&sid, &format!("sid={value}"))));
    let rotated = PrivateCookie::new("id", other).unwrap();
    assert!(no_session(&extract(&rotated, &format!("id={value}"))));
    let accepting = rotated.accept_key(&key);
    let id = extract(&accepting, &format!("id=planted; id={value}")).unwrap();
    assert_eq!(id.expose(), vector["plaintext"]);
    let shown = format!("{accepting:?}");
    assert!(
        shown.starts_with("PrivateCookie") && shown.len() < 60,
        "{shown}"
    );
}

#[test]
fn a_foreign_page_may_not_use_them() {
    let plain = PlainCookie::new("id").unwrap();
    let private = PrivateCookie::new("id", Key::generate()).unwrap();
    let cookies: [&dyn SessionIdExtractor; 2] = [&plain, &private];
    for cookie in cookies {
        let foreign = HandshakeBuilder::socket("/")
            .cookie("id", "5VlhoSTbhSFDoBAzRo0wyg")
            .origin("https://evil.example");
        let answer = foreign.with(|handshake| cookie.extract(handshake));
        let forbidden = ForbiddenReason::ForeignOrigin;
        assert!(matches!(answer, Err(ExtractError::Forbidden(reason)) if reason == forbidden));
    }
    assert!(PlainCookie::new("a b").is_err());
    assert!(PrivateCookie::new("", Key::generate()).is_err());
}
