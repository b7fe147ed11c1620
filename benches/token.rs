//! Opening and issuing a token, beside the bare cipher.

#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that can't go on is to stop"
)]
#![allow(missing_docs, reason = "criterion's macros make public items")]

mod support;

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use socketioxide_session::{EncryptedToken, SessionIdExtractor as _, extractor::Handshake};
use xaes_256_gcm::{
    Xaes256Gcm,
    aead::{AeadInOut as _, KeyInit as _},
};

use self::support::{KEY, id, keys, parts};

fn tokens(c: &mut Criterion) {
    let mut group = c.benchmark_group("encrypted token");
    let xaes = Xaes256Gcm::new(&KEY.into());
    // As long as a token's own: two times, no namespace, 22 characters of id; and what it names.
    let (plaintext, associated, nonce) = ([1_u8; 40], [2_u8; 90], [3_u8; 24]);
    let mut sealed = plaintext;
    let tag = xaes
        .encrypt_inout_detached(&nonce.into(), &associated, (&mut sealed[..]).into())
        .unwrap();
    group.bench_function("baseline: XAES-256-GCM open", |b| {
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
    let uri = format!("/socket.io/?EIO=4&transport=websocket&token={text}");
    let parts = parts(&uri, "a=b");
    let handshake = Handshake::from_parts(&parts).with_namespace("/");
    group.bench_function("open", |b| {
        b.iter(|| token.extract(black_box(&handshake)).unwrap());
    });
    group.bench_function("baseline: XAES-256-GCM seal", |b| {
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

criterion_group!(benches, tokens);
criterion_main!(benches);
