//! `auth` payloads that a client can send, with both parsers.

use crate::support::{
    check::Brings,
    server::{DynExtractor, Server, Setup},
    socket::Client,
};

async fn server() -> Server {
    let setup = Setup::new().extractor(|_, token| DynExtractor::new(token.clone()));
    setup.start().await
}

#[tokio::test]
async fn payloads_without_a_token() {
    let server = server().await;
    for auth in [
        "",
        "{}",
        "null",
        "[]",
        "\"x\"",
        "123",
        "{\"token\":null}",
        "{\"token\":\"\"}",
        "{\"token\":\"null\"}",
        "{\"other\":1}",
    ] {
        let brings = Brings::nothing().auth(auth);
        server.refuses_unasked(auth, &brings, "NO_TOKEN").await;
    }
    for auth in [
        "{\"token\":1}",
        "{\"token\":{}}",
        "{\"token\":[]}",
        "{\"token\":true}",
    ] {
        let brings = Brings::nothing().auth(auth);
        server.refuses_unasked(auth, &brings, "NO_SESSION").await;
    }
}

#[tokio::test]
async fn a_stale_query_token_beside_a_fresh_one() {
    let server = server().await;
    let ann = server.login("Ann").await;
    let token = server.token.issue(ann.id()).unwrap();
    let brings = Brings::nothing()
        .query("token", "stale")
        .auth(format!(r#"{{"token":"{token}"}}"#));
    server.admits("the fresh one counts", &brings).await;
}

#[tokio::test]
async fn payloads_of_any_depth_up_to_64_kib() {
    let server = server().await;
    let ann = server.login("Ann").await;
    let token = server.token.issue(ann.id()).unwrap();
    let padded = |length: usize| {
        let auth = format!(r#"{{"token":"{token}"}}"#);
        format!("{auth}{}", " ".repeat(length - auth.len()))
    };
    let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
    let id_token = "x".repeat(6 * 1024);
    for (what, auth) in [
        ("64 KiB", padded(65_536)),
        (
            "1,000 levels beside it",
            format!(r#"{{"a":{deep},"token":"{token}"}}"#),
        ),
        (
            "another token",
            format!(r#"{{"idToken":"{id_token}","token":"{token}"}}"#),
        ),
        (
            "60 KiB",
            format!(r#"{{"token":"{token}","a":["{}"]}}"#, "x".repeat(60 * 1024)),
        ),
    ] {
        server.admits(what, &Brings::nothing().auth(auth)).await;
    }
    for (what, auth, code) in [
        ("64 KiB and a byte", padded(65_537), "NO_SESSION"),
        ("1,000 levels deep", deep.clone(), "NO_TOKEN"),
        ("1,000 levels open", "[".repeat(1000), "NO_SESSION"),
        (
            "1,000 levels as the token",
            format!(r#"{{"token":{deep}}}"#),
            "NO_SESSION",
        ),
        (
            "another token only",
            format!(r#"{{"idToken":"{id_token}"}}"#),
            "NO_TOKEN",
        ),
        ("broken", "{\"token\":".to_owned(), "NO_SESSION"),
        (
            "broken after it",
            format!(r#"{{"token":"{token}",}}"#),
            "NO_SESSION",
        ),
        ("two values", "{} {}".to_owned(), "NO_SESSION"),
    ] {
        let brings = Brings::nothing().auth(auth);
        server.refuses_unasked(what, &brings, code).await;
    }
}

/// The payload of another system lets a cookie through, with whatever is empty in it.
#[tokio::test]
async fn a_cookie_beside_a_payload_without_our_token() {
    let server = Server::start().await;
    let ann = server.login("Ann").await;
    let by_cookie = Brings::nothing().cookie(server.pair(&ann));
    let id_token = format!(r#"{{"idToken":"{}"}}"#, "x".repeat(6 * 1024));
    for auth in ["{\"token\":\"\"}", "{\"token\":null}", "[]", &id_token] {
        server.admits(auth, &by_cookie.clone().auth(auth)).await;
    }
    server
        .admits("?token=", &by_cookie.clone().query("token", ""))
        .await;
    let bad = by_cookie.clone().auth(r#"{"token":"forged"}"#);
    server
        .refuses_unasked("a bad token", &bad, "NO_SESSION")
        .await;
}

#[tokio::test]
async fn fifteen_mebibytes() {
    let server = server().await;
    let mut client = server.client(&[]).await;
    let auth = format!("{{\"token\":\"{}\"}}", "x".repeat(15 << 20));
    let frame = client.refused("/", &auth).await;
    assert_eq!(frame, r#"44{"message":"NO_SESSION"}"#);
    assert_eq!(server.loads(), 0);
}

/// `{type: 0, nsp: "/", data?}` as the `MessagePack` parser of Socket.IO writes it.
fn connect_packet(data: Option<&[u8]>) -> Vec<u8> {
    let mut packet = vec![if data.is_some() { 0x83 } else { 0x82 }];
    packet.extend_from_slice(b"\xA4type\x00\xA3nsp\xA1/");
    if let Some(data) = data {
        packet.extend_from_slice(b"\xA4data");
        packet.extend_from_slice(data);
    }
    packet
}

/// `{token: text}`
fn token_map(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap().to_be_bytes();
    [b"\x81\xA5token\xDA", &length[..], text.as_bytes()].concat()
}

/// Lists in lists.
fn nested(levels: usize) -> Vec<u8> {
    let mut data = vec![0x91; levels];
    data.push(0xC0);
    data
}

#[tokio::test]
async fn the_message_pack_parser() {
    let setup = Setup::new().msgpack();
    let setup = setup.extractor(|_, token| DynExtractor::new(token.clone()));
    let server = setup.start().await;
    let ann = server.login("Ann").await;
    let token = server.token.issue(ann.id()).unwrap();
    let answer = async |data: Option<&[u8]>| {
        let mut client = Client::open(server.address, "", &[]).await;
        client.send_binary(connect_packet(data)).await;
        let answer = client.frame().await;
        client.close().await;
        answer
    };
    let accepted = answer(Some(&token_map(&token))).await;
    assert!(accepted.contains("sid"), "{accepted}");
    server.assert_empty().await;
    // {fingerprint: 3 bytes, 1: 2, token}: binary and strange keys are skipped.
    let beside = [
        b"\x83\xABfingerprint\xC4\x03\x00\xFF\x01\x01\x02",
        &token_map(&token)[1..],
    ]
    .concat();
    let accepted = answer(Some(&beside)).await;
    assert!(accepted.contains("sid"), "{accepted}");
    server.assert_empty().await;

    let loads = server.loads();
    for (data, code) in [
        (None, "NO_TOKEN"),
        (Some(b"\xC0".to_vec()), "NO_TOKEN"),
        (Some(b"\x80".to_vec()), "NO_TOKEN"),
        (Some(b"\x90".to_vec()), "NO_TOKEN"),
        (Some(b"\x81\xA5token\xC0".to_vec()), "NO_TOKEN"),
        (Some(b"\x81\xA5token\x01".to_vec()), "NO_SESSION"),
        (Some(token_map("")), "NO_TOKEN"),
        (Some(token_map("forged")), "NO_SESSION"),
        (Some(nested(100)), "NO_TOKEN"),
        (Some(token_map(&"x".repeat(65_535))), "NO_SESSION"),
    ] {
        let refused = answer(data.as_deref()).await;
        assert!(
            refused.contains("message") && refused.contains(code),
            "{refused:?}"
        );
    }
    // So deep that socketioxide itself can't read the packet: it closes the transport.
    assert_eq!(answer(Some(&nested(4_000))).await, "1");
    assert_eq!(server.loads(), loads);
    server.assert_empty().await;
}
