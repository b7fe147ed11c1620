//! Finding and verifying a signed cookie, beside the bare HMAC and beside cookie-rs' jar.

#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that can't go on is to stop"
)]
#![allow(missing_docs, reason = "criterion's macros make public items")]

mod support;

use std::hint::black_box;

use cookie::{Cookie, CookieJar, Key};
use criterion::{Criterion, criterion_group, criterion_main};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::request::Parts;
use sha2::Sha256;
use socketioxide_session::{SessionIdExtractor as _, SignedCookie, extractor::Handshake};

use self::support::{KEY, id, parts};

/// Ours among five cookies, in a header of 163 bytes.
fn five_cookies(cookie: &SignedCookie) -> Parts {
    let value = cookie.issue(&id()).value().to_owned();
    let header =
        format!("_ga=GA1.1.1234567890.12; theme=dark; lang=en-GB; sid={value}; consent=yes1");
    let padding = "x".repeat(163_usize.saturating_sub(header.len()));
    let header = format!("{header}{padding}");
    assert_eq!(header.len(), 163);
    parts("/", &header)
}

/// As axum-extra and tower-cookies do it: all cookies into a jar, then the signed one out of it.
fn through_a_jar<'a>(header: &'a str, key: &Key) -> Cookie<'a> {
    let mut jar = CookieJar::new();
    for cookie in Cookie::split_parse(header.to_owned()).flatten() {
        jar.add_original(cookie);
    }
    jar.signed(key).get("sid").unwrap()
}

fn cookies(c: &mut Criterion) {
    let mut group = c.benchmark_group("signed cookie among five");
    let key = Hmac::<Sha256>::new_from_slice(&KEY).unwrap();
    let id = b"Gd2XNkT6kXzJVCtBcU9S1A";
    let tag = key.clone().chain_update(id).finalize().into_bytes();
    group.bench_function("baseline: keyed HMAC-SHA256", |b| {
        b.iter(|| {
            let mac = key.clone().chain_update(black_box(id));
            mac.verify_slice(black_box(&tag)).unwrap();
        });
    });
    let cookie = support::cookie();
    let parts = five_cookies(&cookie);
    let header = parts.headers["cookie"].to_str().unwrap();
    group.bench_function("baseline: cookie-rs' jar", |b| {
        b.iter(|| through_a_jar(black_box(header), cookie.key()));
    });
    let handshake = Handshake::from_parts(&parts);
    group.bench_function("find and verify", |b| {
        b.iter(|| cookie.extract(black_box(&handshake)).unwrap());
    });
    let connect = handshake.with_namespace("/");
    group.bench_function("check origin, find and verify", |b| {
        b.iter(|| cookie.extract(black_box(&connect)).unwrap());
    });
    group.bench_function("issue", |b| {
        b.iter(|| cookie.issue(black_box(&support::id())));
    });
    group.finish();
}

criterion_group!(benches, cookies);
criterion_main!(benches);
