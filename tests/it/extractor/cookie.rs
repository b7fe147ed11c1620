//! Cookies that a client can send.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use cookie::Key;
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::HeaderValue;
use sha2::Sha256;
use socketioxide_session::{
    Keyring, SecretKey, SessionId, SessionIdExtractor as _, SessionStore as _, SignedCookie,
    extractor::ExtractError, store::Created, testing::HandshakeBuilder,
};

use crate::support::{
    check::Brings,
    log,
    polling::Polling,
    server::{Server, Setup, keyring, pair},
    socket::Client,
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
        "sid=",
        "sid=\"\"; sid= ; sid=\t",
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
        "sid=x",
        "sid=\"",
        "sid=\"x\"",
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
    let ann = server.login("Ann").await;
    let ann = server.pair(&ann);
    for header in [
        format!("sid=junk; {ann}"),
        format!("{ann}; sid=junk"),
        format!("{ann}; {ann}"),
        format!("sid=; {ann}; sid=\"\""),
        "sid=foreign; ".repeat(7) + &ann,
    ] {
        server.admits("one good one", &cookie(header)).await;
    }
    let nine = cookie("sid=foreign; ".repeat(8) + &ann);
    server.refuses_unasked("nine", &nine, "NO_SESSION").await;
    let nine = cookie([&*ann; 9].join("; "));
    server.refuses_unasked("nine", &nine, "NO_SESSION").await;
}

/// None is chosen by its place: which of them is live is for the store to say.
#[test]
fn two_distinct_authentic_ids_are_both_returned() {
    let cookie = SignedCookie::new("sid", &keyring(1, &[])).unwrap();
    let (ann, eve) = ("ann-s-id".parse().unwrap(), "eve-s-id".parse().unwrap());
    let (pair_of_ann, pair_of_eve) = (pair(&cookie, &ann), pair(&cookie, &eve));
    for (first, second, expected) in [
        (&pair_of_ann, &pair_of_eve, [&ann, &eve]),
        (&pair_of_eve, &pair_of_ann, [&eve, &ann]),
    ] {
        let one_field =
            HandshakeBuilder::socket("/").header("cookie", format!("{first}; {second}"));
        let two_fields = HandshakeBuilder::socket("/")
            .header("cookie", first)
            .header("cookie", second);
        for handshake in [one_field, two_fields] {
            let (several, presented) = handshake
                .with(|handshake| (cookie.extract(handshake), cookie.presented(handshake)));
            let Err(ExtractError::Several(several)) = several else {
                panic!("{several:?}");
            };
            assert_eq!(several.iter().collect::<Vec<_>>(), expected);
            assert_eq!(presented, several);
        }
    }
}

/// Python's aiohttp sends it with one pair of quotes, Java with attributes of RFC 2965 besides.
#[tokio::test]
async fn a_quoted_value_is_let_in_everywhere() {
    let server = Server::start().await;
    let ann = server.login("Ann").await;
    let plain = server.pair(&ann);
    let value = server.cookie.issue(ann.id()).value().to_owned();
    let quoted = format!("sid=\"{value}\"");
    let java = format!("$Version=\"1\"; sid=\"{value}\";$Path=\"/\"");
    for header in [&quoted, &java] {
        server.admits(header, &cookie(header)).await;
        let mut http = server.http().await;
        let me = http.get("/me", &[("cookie", header)]).await;
        assert_eq!(
            (me.status, &*me.body),
            (200, r#"{"name":"Ann","visits":0}"#)
        );
    }
    // The upgrade of a transport that was opened without quotes.
    let fields: [(&str, &[u8]); 1] = [("cookie", plain.as_bytes())];
    let mut polling = Polling::open(server.http().await, "", &fields).await;
    polling.post("40").await;
    polling.packet_of("40{").await;
    polling.packet_of("42[").await;
    let upgraded = Client::upgrade(server.address, &polling.sid, &[("cookie", &quoted)]).await;
    assert!(upgraded.is_some(), "the same session, quoted");
    drop(upgraded);
    // Quotes that don't count: more than one pair, one side only, or around the name.
    for header in [
        format!("sid=\"\"{value}\"\""),
        format!("sid=\"{value}"),
        format!("sid={value}\""),
        format!("sid='{value}'"),
    ] {
        let extracted = HandshakeBuilder::socket("/")
            .header("cookie", &header)
            .with(|handshake| server.cookie.extract(handshake));
        assert!(
            matches!(extracted, Err(ExtractError::Invalid(_))),
            "{header}"
        );
    }
    let name = HandshakeBuilder::socket("/").header("cookie", format!("\"sid\"={value}"));
    let extracted = name.with(|handshake| server.cookie.extract(handshake));
    assert!(matches!(extracted, Err(ExtractError::NoCookie)));
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
async fn large_cookie_headers() {
    let server = Server::start().await;
    let ann = server.login("Ann").await;
    let ann = server.pair(&ann);
    let analytics = (0..128).fold(String::new(), |header, n| format!("{header}_ga_{n}=1; "));
    let sdk = format!("auth.chunk={}; ", "x".repeat(17 * 1024));
    let many = "a=123;".repeat(10_000);
    for (what, others) in [
        ("128 cookies", analytics),
        ("17 KiB", sdk),
        ("10,000 pairs", many),
    ] {
        server.admits(what, &cookie(format!("{others}{ann}"))).await;
    }
    let (head, tail) = ("big=", format!("; {ann}"));
    let large = 65_777;
    let filler = "x".repeat(large - head.len() - tail.len());
    let brings = cookie(format!("{head}{filler}{tail}"));
    server
        .refuses_unasked("too large", &brings, "NO_SESSION")
        .await;
    assert!(log::captured().contains("65777 bytes"));
    // Cut into fields, it is as large.
    let brings = cookie(format!("{head}{}", &filler[..32_000]))
        .cookie(format!("{head}{}", &filler[32_000..]))
        .cookie(&ann);
    server
        .refuses_unasked("in three fields", &brings, "NO_SESSION")
        .await;
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

/// Values that the `cookie` crate signs.
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
    let id = SessionId::generate().unwrap();
    let created = server.store.create(&id, &user, std::time::Duration::ZERO);
    assert!(matches!(created.await.unwrap(), Created::Created(_)));
    let brings = cookie(pair(&server.cookie, &id));
    server.refuses("expired", &brings, "NO_SESSION").await;
    // The log has the reason, with a fingerprint instead of the id.
    let log = log::captured();
    assert!(log.contains(&id.fingerprint()));
    assert!(log.contains("there is an id but no session"));
    assert!(!log.contains(id.expose()));
}

fn golden() -> serde_json::Value {
    serde_json::from_str(include_str!("../../golden/cookie-rs-signed.json")).unwrap()
}

/// The id that a cookie with this key reads from a `Cookie` field.
fn read(name: &str, key: &Key, field: &str) -> Option<SessionId> {
    let cookie = SignedCookie::with_key(name.to_owned(), key.clone()).unwrap();
    let field = HeaderValue::from_str(field).ok()?;
    let handshake = HandshakeBuilder::socket("/").header("cookie", field);
    handshake.with(|handshake| cookie.extract(handshake)).ok()
}

#[test]
fn what_the_cookie_crate_signed_verifies_and_what_was_tampered_with_does_not() {
    let (mut good, mut bad) = (0, 0);
    for case in golden()["signed"].as_array().unwrap() {
        let text = |name: &str| case[name].as_str().unwrap();
        let (name, key) = (text("name"), Key::from(&unhex(text("key_hex"))));
        // A value that is no session id is authentic, and no credential all the same.
        let id: Option<SessionId> = text("value").parse().ok();
        for pair in ["cookie_pair_raw", "cookie_pair_encoded"] {
            assert_eq!(read(name, &key, text(pair)), id, "{}", text(pair));
        }
        if let Some(id) = &id {
            let cookie = SignedCookie::with_key(name.to_owned(), key.clone()).unwrap();
            assert_eq!(cookie.issue(id).value(), text("signed_value"));
            good += 1;
        }
        for tampered in case["tampered"].as_array().unwrap() {
            // The crate's signature does not cover the name; keys derived by this crate do.
            let verified = tampered["verified"].as_str();
            let expected = verified.and_then(|value| value.parse().ok());
            let name = tampered["name"].as_str().unwrap();
            let pair = format!("{name}={}", tampered["value"].as_str().unwrap());
            assert_eq!(read(name, &key, &pair), expected, "{pair}");
            bad += usize::from(expected.is_none());
        }
    }
    assert!(good >= 9 && bad >= 80, "{good} good, {bad} bad");
}

/// A key of `Key::derive_from`: its first half signs.
#[test]
fn a_key_that_the_cookie_crate_derived_signs_and_verifies() {
    const INFO: &[u8] = b"COOKIE;SIGNED:HMAC-SHA256;PRIVATE:AEAD-AES-256-GCM";
    let id: SessionId = "an-id".parse().unwrap();
    let mut checked = 0;
    for case in golden()["derive_from"].as_array().unwrap() {
        let derived = unhex(case["derived_hex"].as_str().unwrap());
        let master = case["master_utf8"].as_str().unwrap().as_bytes();
        let mut expanded = [0; 64];
        let prk = Hkdf::<Sha256>::from_prk(master).unwrap();
        prk.expand(INFO, &mut expanded).unwrap();
        assert_eq!(derived, expanded);

        let key = Key::from(&derived);
        let cookie = SignedCookie::with_key("id", key.clone()).unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(&derived[..32]).unwrap();
        mac.update(id.expose().as_bytes());
        let digest = STANDARD.encode(mac.finalize().into_bytes());
        let value = format!("{digest}{}", id.expose());
        assert_eq!(cookie.issue(&id).value(), value);
        assert_eq!(read("id", &key, &format!("id={value}")), Some(id.clone()));
        checked += 1;
    }
    assert_eq!(checked, 2);
}

#[test]
fn pairs_are_found_as_the_cookie_crate_finds_them() {
    let mut checked = 0;
    for case in golden()["parsing"].as_array().unwrap() {
        let header = case["header"].as_str().unwrap();
        let pairs = case["split_parse"]["parsed"].as_array().unwrap();
        // Each is the name, the value, and the value without quotes; or an error.
        let expected: Vec<_> = pairs
            .iter()
            .filter(|pair| pair[0] == "sid")
            .map(|pair| pair[2].as_str().unwrap().as_bytes().to_vec())
            .filter(|value| !value.is_empty()) // an empty value counts as absent
            .collect();
        let found = HandshakeBuilder::socket("/")
            .header("cookie", header)
            .with(|handshake| {
                let found = handshake.cookies("sid").unwrap();
                found.iter().map(<[u8]>::to_vec).collect::<Vec<_>>()
            });
        assert_eq!(found, expected, "{header}");
        // A jar takes the last one, with its quotes.
        let last = case["split_parse"]["jar_get_sid"].as_str();
        let last = last.map(|value| value.trim_matches('"').as_bytes());
        assert_eq!(found.last().map(Vec::as_slice), last, "{header}");
        checked += 1;
    }
    assert_eq!(checked, 11);
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
    let kept = cookie.clone().max_age(day).unwrap().issue(&id);
    assert_eq!(kept.max_age().unwrap().whole_seconds(), 24 * 60 * 60);
    assert!(cookie.clone().insecure_http().is_err());
    let plain = SignedCookie::new("sid", &keys).unwrap();
    let plain = plain.insecure_http().unwrap().issue(&id);
    assert_ne!(plain.secure(), Some(true));
    for name in ["", "a b", "a=b", "a;b", "é", "a,b", "\"a\""] {
        assert!(SignedCookie::new(name, &keys).is_err(), "{name}");
    }
    assert!(!format!("{cookie:?}").contains("key"));
}
