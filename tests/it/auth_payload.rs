//! What a client can send as its `auth` payload, with both parsers.

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
        "{\"other\":1}",
    ] {
        let brings = Brings::nothing().auth(auth);
        server.refuses_unasked(auth, &brings, "NO_TOKEN").await;
    }
    for auth in [
        "{\"token\":1}",
        "{\"token\":{}}",
        "{\"token\":[]}",
        "{\"token\":\"\"}",
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
async fn payloads_that_are_not_parsed() {
    let server = server().await;
    let ann = server.login("Ann").await;
    let token = server.token.issue(ann.id()).unwrap();
    let padded = |length: usize| {
        let auth = format!(r#"{{"token":"{token}"}}"#);
        format!("{auth}{}", " ".repeat(length - auth.len()))
    };
    server
        .admits("4 KiB", &Brings::nothing().auth(padded(4096)))
        .await;
    let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
    for (what, auth) in [
        ("4 KiB and a byte", padded(4097)),
        ("1,000 levels deep", deep),
        ("broken", "{\"token\":".to_owned()),
        ("two values", "{} {}".to_owned()),
    ] {
        server
            .refuses_unasked(what, &Brings::nothing().auth(auth), "NO_SESSION")
            .await;
    }
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

    let loads = server.loads();
    for (data, code) in [
        (None, "NO_TOKEN"),
        (Some(b"\xC0".to_vec()), "NO_TOKEN"),
        (Some(b"\x80".to_vec()), "NO_TOKEN"),
        (Some(b"\x90".to_vec()), "NO_TOKEN"),
        (Some(b"\x81\xA5token\xC0".to_vec()), "NO_TOKEN"),
        (Some(b"\x81\xA5token\x01".to_vec()), "NO_SESSION"),
        (Some(token_map("forged")), "NO_SESSION"),
        (Some(nested(100)), "NO_TOKEN"),
        (Some(token_map(&"x".repeat(4097))), "NO_SESSION"),
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
