//! What reading a credential costs, beside the bare cryptography in it, in the same run.

#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that can't go on is to stop"
)]
#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use hmac::{Hmac, Mac as _};
use http::{Request, request::Parts};
use sha2::Sha256;
use socketioxide_session::{
    EncryptedToken, Keyring, MemoryStore, SecretKey, SessionBridge, SessionId,
    SessionIdExtractor as _, SignedCookie, extractor::Handshake,
};
use xaes_256_gcm::{
    Xaes256Gcm,
    aead::{AeadInOut as _, KeyInit as _},
};

fn keys() -> Keyring {
    Keyring::new(SecretKey::from_bytes(&[7; 32]).unwrap())
}

fn id() -> SessionId {
    "Gd2XNkT6kXzJVCtBcU9S1A".parse().unwrap()
}

fn parts(uri: &str, cookie: &str) -> Parts {
    let request = Request::get(uri)
        .header("host", "example.com")
        .header("cookie", cookie);
    request.body(()).unwrap().into_parts().0
}

/// Ours among five cookies, in a header of 163 bytes.
fn five_cookies(cookie: &SignedCookie) -> Parts {
    let value = cookie.issue(&id()).value().to_owned();
    let header =
        format!("_ga=GA1.1.1234567890.12; theme=dark; lang=en-GB; sid={value}; consent=yes1");
    let header = format!(
        "{header}{}",
        "x".repeat(163_usize.saturating_sub(header.len()))
    );
    assert_eq!(header.len(), 163);
    parts("/", &header)
}

fn cookies(c: &mut Criterion) {
    let mut group = c.benchmark_group("signed cookie among five");
    let key = Hmac::<Sha256>::new_from_slice(&[7; 32]).unwrap();
    let tag = key
        .clone()
        .chain_update(id().expose())
        .finalize()
        .into_bytes();
    group.bench_function("bare keyed HMAC-SHA256", |b| {
        b.iter(|| {
            let mac = key.clone().chain_update(black_box(id_bytes()));
            mac.verify_slice(black_box(&tag)).unwrap();
        });
    });
    let cookie = SignedCookie::new("sid", &keys()).unwrap();
    let parts = five_cookies(&cookie);
    let handshake = Handshake::from_parts(&parts);
    group.bench_function("find and verify", |b| {
        b.iter(|| cookie.extract(black_box(&handshake)).unwrap());
    });
    let connect = handshake.with_namespace("/");
    group.bench_function("check origin, find and verify", |b| {
        b.iter(|| cookie.extract(black_box(&connect)).unwrap());
    });
    group.bench_function("issue", |b| b.iter(|| cookie.issue(black_box(&id()))));
    group.finish();
}

fn id_bytes() -> &'static [u8] {
    b"Gd2XNkT6kXzJVCtBcU9S1A"
}

fn tokens(c: &mut Criterion) {
    let mut group = c.benchmark_group("encrypted token");
    let xaes = Xaes256Gcm::new(&[7; 32].into());
    // As long as a token's own: two times, no namespace, 22 characters of id; and what it names.
    let (plaintext, associated, nonce) = ([1_u8; 40], [2_u8; 90], [3_u8; 24]);
    let mut sealed = plaintext;
    let tag = xaes
        .encrypt_inout_detached(&nonce.into(), &associated, (&mut sealed[..]).into())
        .unwrap();
    group.bench_function("bare XAES-256-GCM open", |b| {
        b.iter(|| {
            let mut message = black_box(sealed);
            let nonce = black_box(nonce).into();
            xaes.decrypt_inout_detached(&nonce, &associated, (&mut message[..]).into(), &tag)
                .unwrap();
            message
        });
    });
    let token = EncryptedToken::new("token", &keys()).unwrap();
    let text = token.issue(&id()).unwrap();
    let parts = parts(
        &format!("/socket.io/?EIO=4&transport=websocket&token={text}"),
        "a=b",
    );
    let handshake = Handshake::from_parts(&parts).with_namespace("/");
    group.bench_function("open", |b| {
        b.iter(|| token.extract(black_box(&handshake)).unwrap());
    });
    group.bench_function("bare XAES-256-GCM seal", |b| {
        b.iter(|| {
            let mut nonce = [0; 24];
            getrandom::fill(&mut nonce).unwrap();
            let mut message = black_box(plaintext);
            let nonce = nonce.into();
            let tag = xaes.encrypt_inout_detached(&nonce, &associated, (&mut message[..]).into());
            (message, tag.unwrap())
        });
    });
    group.bench_function("issue", |b| {
        b.iter(|| token.issue(black_box(&id())).unwrap());
    });
    group.finish();
}

fn resolve(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let cookie = SignedCookie::new("sid", &keys()).unwrap();
    let sessions = SessionBridge::builder(cookie.clone(), MemoryStore::new())
        .build()
        .unwrap();
    let session = runtime.block_on(sessions.create("Ann".to_owned())).unwrap();
    let issued = cookie.issue(session.id());
    let parts = parts("/", &format!("{}={}", issued.name(), issued.value()));
    let handshake = Handshake::from_parts(&parts);
    let mut group = c.benchmark_group("resolve, signed cookie and memory store");
    group.bench_function("extract only", |b| {
        b.iter(|| cookie.extract(black_box(&handshake)).unwrap());
    });
    group.bench_function("resolve", |b| {
        b.to_async(&runtime)
            .iter(|| async { sessions.resolve(black_box(&handshake)).await.unwrap() });
    });
    group.finish();
}

criterion_group!(benches, cookies, tokens, resolve);
criterion_main!(benches);
