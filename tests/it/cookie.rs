//! What a client can send as a cookie.

use cookie::Key;
use socketioxide_session::{
    Keyring, SecretKey, SessionIdExtractor as _, SignedCookie, testing::HandshakeBuilder,
};

use crate::support::{
    check::Brings,
    log,
    server::{Server, Setup, keyring, pair},
};

fn cookie(value: impl AsRef<[u8]>) -> Brings {
    Brings::nothing().cookie(value)
}

#[tokio::test]
async fn no_cookie_of_this_name() {
    let server = Server::start().await;
    let what = "nothing";
    server
        .refuses_unasked(what, &Brings::nothing(), "NO_COOKIE")
        .await;
    for header in [
        "theme=dark; other=1",
        "=sid=x",
        "sid",
        "sid ",
        ";;;",
        "SID=x; Sid=x; xsid=x; sidx=x; s%69d=x",
    ] {
        server
            .refuses_unasked(header, &cookie(header), "NO_COOKIE")
            .await;
    }
}

#[tokio::test]
async fn values_that_are_no_signed_value() {
    let server = Server::start().await;
    let multibyte = format!("sid={}é{}", "a".repeat(43), "a".repeat(20));
    for header in [
        "sid=",
        "sid=x",
        "sid=0123456789012345678901234567890123456789012",
        "sid=%",
        "sid=%zz",
        &multibyte,
    ] {
        server
            .refuses_unasked(header, &cookie(header), "NO_SESSION")
            .await;
    }
    let long = format!("sid={}", "a".repeat(1025));
    server
        .refuses_unasked("1,025 bytes", &cookie(long), "NO_SESSION")
        .await;
}

#[test]
fn every_flipped_bit_of_a_valid_value_is_refused() {
    let cookie = SignedCookie::new("sid", &keyring(1, &[])).unwrap();
    let id = "a-session-id".parse().unwrap();
    let value = cookie.issue(&id).value().as_bytes().to_vec();
    let extract = |value: &[u8]| {
        let field = [b"sid=", value].concat();
        let handshake = HandshakeBuilder::socket("/").header("cookie", field);
        handshake.with(|handshake| cookie.extract(handshake))
    };
    assert_eq!(extract(&value).unwrap(), id);
    let mut refused = 0;
    for bit in 0..value.len() * 8 {
        let mut flipped = value.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        // Some bytes can be in no header field.
        if http::HeaderValue::from_bytes(&flipped).is_ok() {
            let answer = extract(&flipped);
            assert!(answer.is_err(), "bit {bit}: {answer:?}");
            refused += 1;
        }
    }
    assert!(refused > value.len() * 6);
}

#[tokio::test]
async fn keys_that_were_rotated() {
    let server = Setup::new().keys(keyring(2, &[1])).start().await;
    let ann = server.login("Ann").await;
    let signed_with = |byte| {
        let cookie = SignedCookie::new("sid", &keyring(byte, &[])).unwrap();
        self::cookie(pair(&cookie, ann.id()))
    };
    server.admits("the active key", &signed_with(2)).await;
    server.admits("an older key", &signed_with(1)).await;
    server
        .refuses_unasked("a retired key", &signed_with(3), "NO_SESSION")
        .await;
}

#[tokio::test]
async fn a_value_signed_for_another_cookie() {
    let server = Server::start().await;
    let ann = server.login("Ann").await;
    let theme = SignedCookie::new("theme", &keyring(1, &[])).unwrap();
    let value = theme.issue(ann.id()).value().to_owned();
    let brings = cookie(format!("sid={value}"));
    server
        .refuses_unasked("signed for theme", &brings, "NO_SESSION")
        .await;
}

#[tokio::test]
async fn a_value_percent_encoded_once_or_twice() {
    let server = Server::start().await;
    let ann = server.login("Ann").await;
    let value = server.cookie.issue(ann.id()).value().to_owned();
    let encode = |text: &str| {
        text.replace('%', "%25")
            .replace('=', "%3D")
            .replace('+', "%2B")
            .replace('/', "%2F")
    };
    let once = encode(&value);
    server
        .admits("encoded once", &cookie(format!("sid={once}")))
        .await;
    let twice = encode(&once);
    server
        .refuses_unasked(
            "encoded twice",
            &cookie(format!("sid={twice}")),
            "NO_SESSION",
        )
        .await;
}

#[tokio::test]
async fn several_of_the_same_name() {
    let server = Server::start().await;
    let (ann, bob) = (server.login("Ann").await, server.login("Bob").await);
    let (ann, bob) = (server.pair(&ann), server.pair(&bob));
    for header in [
        format!("sid=junk; {ann}"),
        format!("{ann}; sid=junk"),
        format!("{ann}; {ann}"),
        format!("sid=a; sid=b; sid=c; {ann}"),
    ] {
        server.admits("one good one", &cookie(header)).await;
    }
    let both = cookie(format!("{ann}; {bob}"));
    server
        .refuses_unasked("two good ones", &both, "NO_SESSION")
        .await;
    let both = cookie(&ann).cookie(&bob);
    server
        .refuses_unasked("two good ones in two fields", &both, "NO_SESSION")
        .await;
    let five = cookie(format!("{ann}; {ann}; {ann}; {ann}; {ann}"));
    server.refuses_unasked("five", &five, "NO_SESSION").await;
}

#[tokio::test]
async fn the_second_header_field_is_read_and_a_strange_byte_harms_nothing() {
    let server = Server::start().await;
    let ann = server.login("Ann").await;
    let ann = server.pair(&ann);
    server
        .admits("second field", &cookie("theme=dark").cookie(&ann))
        .await;
    let strange = [b"other=\xFF\xFE; ", ann.as_bytes()].concat();
    server
        .admits("a byte that is no text", &cookie(strange))
        .await;
}

#[tokio::test]
async fn look_alikes_of_a_host_name_are_not_ours() {
    let server = Setup::new()
        .extractor(|_, _| {
            let cookie = SignedCookie::new("__Host-sid", &keyring(1, &[]));
            crate::support::server::DynExtractor::new(cookie.unwrap())
        })
        .start()
        .await;
    let cookie = SignedCookie::new("__Host-sid", &keyring(1, &[])).unwrap();
    let (ann, eve) = (server.login("Ann").await, server.login("Eve").await);
    let evil = cookie.issue(eve.id()).value().to_owned();
    for name in [
        "\u{2000}__Host-sid".as_bytes(),
        b"\xA0__Host-sid",
        b"%5F%5FHost-sid",
        b"__host-sid",
        b"__Host-sid\xA0",
    ] {
        let planted = [name, b"=", evil.as_bytes()].concat();
        let what = String::from_utf8_lossy(&planted).into_owned();
        let alone = self::cookie(&planted);
        server.refuses_unasked(&what, &alone, "NO_COOKIE").await;
        let beside = [
            &planted,
            "; ".as_bytes(),
            pair(&cookie, ann.id()).as_bytes(),
        ]
        .concat();
        server.admits(&what, &self::cookie(beside)).await;
    }
}

#[tokio::test]
async fn more_cookies_than_anybody_should_look_at() {
    let server = Server::start().await;
    let ann = server.login("Ann").await;
    let ann = server.pair(&ann);
    let large = format!("big={}; {ann}", "x".repeat(64 * 1024));
    server
        .refuses_unasked("64 KiB", &cookie(large), "NO_SESSION")
        .await;
    let many = "a=1;".repeat(10_000) + &ann;
    server
        .refuses_unasked("10,000 pairs", &cookie(many), "NO_SESSION")
        .await;
    let fits = "a=1;".repeat(127) + &ann;
    server.admits("128 pairs", &cookie(fits)).await;
}

#[tokio::test]
async fn an_authentic_value_that_is_no_session_id() {
    let server = Server::start().await;
    let key = SignedCookie::new("sid", &keyring(1, &[]))
        .unwrap()
        .key()
        .clone();
    let long = "x".repeat(900);
    for id in ["", "a b", "{tag}", "*", "a\"b", "a,b", "a\\b", &long] {
        let brings = cookie(format!("sid={}", encoded(&signed(&key, id))));
        server.refuses_unasked(id, &brings, "NO_SESSION").await;
    }
    for id in ["a\0b", "a\r\nb", "é"] {
        let brings = cookie(format!("sid={}", encoded(&signed(&key, id))));
        server.refuses_unasked(id, &brings, "NO_SESSION").await;
    }
    let five_thousand = signed(&key, &"x".repeat(5000));
    let brings = cookie(format!("sid={five_thousand}"));
    server
        .refuses_unasked("5,000 bytes", &brings, "NO_SESSION")
        .await;
}

/// What the `cookie` crate signs.
fn signed(key: &Key, value: &str) -> String {
    let mut jar = cookie::CookieJar::new();
    jar.signed_mut(key)
        .add(cookie::Cookie::new("sid", value.to_owned()));
    jar.get("sid").unwrap().value().to_owned()
}

/// Every byte that is not a letter or a digit, percent-encoded.
fn encoded(value: &str) -> String {
    value
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[tokio::test]
async fn an_expired_session_whose_record_is_still_there() {
    let server = Server::start().await;
    let user = crate::support::server::User {
        name: "Ann".into(),
        visits: 0,
    };
    let ann = server
        .sessions
        .create_for(user, std::time::Duration::ZERO)
        .await
        .unwrap();
    let brings = cookie(server.pair(&ann));
    server.refuses("expired", &brings, "NO_SESSION").await;
    // The reason is told to the operator, with a fingerprint and not with the id.
    let log = log::captured();
    assert!(log.contains(&ann.id().fingerprint()));
    assert!(log.contains("there is an id but no session"));
    assert!(!log.contains(ann.id().expose()));
}

#[test]
fn what_the_cookie_crate_signed_verifies_and_what_was_tampered_with_does_not() {
    let golden: serde_json::Value =
        serde_json::from_str(include_str!("../golden/cookie-rs-signed.json")).unwrap();
    let (mut good, mut bad) = (0, 0);
    for case in golden.as_array().unwrap() {
        let key = Key::from(&unhex(case["key_hex"].as_str().unwrap()));
        let cookie = SignedCookie::with_key(case["name"].as_str().unwrap().to_owned(), key);
        let cookie = cookie.unwrap();
        let extract = |value: &str| {
            let handshake = HandshakeBuilder::socket("/")
                .header("cookie", format!("{}={value}", cookie.name()));
            handshake.with(|handshake| cookie.extract(handshake))
        };
        let value = case["value"].as_str().unwrap();
        let signed = case["signed_value"].as_str().unwrap();
        if let Ok(id) = value.parse() {
            assert_eq!(extract(signed).unwrap(), id);
            assert_eq!(cookie.issue(&id).value(), signed);
            good += 1;
        }
        for tampered in case["tampered"].as_array().unwrap() {
            let tampered = tampered.as_str().unwrap();
            if http::HeaderValue::from_str(tampered).is_ok() {
                assert!(extract(tampered).is_err(), "{tampered}");
                bad += 1;
            }
        }
    }
    assert!(good >= 3 && bad >= 10, "{good} good, {bad} bad");
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

#[test]
fn issued_cookies_have_safe_attributes() {
    let keys = Keyring::new(SecretKey::generate().unwrap());
    let cookie = SignedCookie::new("__Host-sid", &keys).unwrap();
    let id = "an-id".parse().unwrap();
    let issued = cookie.issue_header(&id).to_str().unwrap().to_owned();
    assert!(
        issued.ends_with("; HttpOnly; SameSite=Lax; Secure; Path=/"),
        "{issued}"
    );
    let removal = cookie.removal_header().to_str().unwrap().to_owned();
    assert!(
        removal.starts_with(
            "__Host-sid=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0; Expires="
        )
    );
    let day = std::time::Duration::from_hours(24);
    let kept = cookie.clone().max_age(day).issue(&id);
    assert_eq!(kept.max_age().unwrap().whole_seconds(), 24 * 60 * 60);
    assert_ne!(
        cookie.clone().insecure_http().issue(&id).secure(),
        Some(true)
    );
    for name in ["", "a b", "a=b", "a;b", "é", "a,b", "\"a\""] {
        assert!(SignedCookie::new(name, &keys).is_err(), "{name}");
    }
    assert!(!format!("{cookie:?}").contains("key"));
}
