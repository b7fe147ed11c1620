//! The cookie finder, against another way to say the same, and the verification behind it.
//!
//! Each line of the input is one header field.

#![no_main]

use http::{HeaderValue, Request, header::COOKIE};
use libfuzzer_sys::fuzz_target;
use socketioxide_session::{Keyring, SecretKey, SessionIdExtractor, SignedCookie, extractor::Handshake};

fuzz_target!(|bytes: &[u8]| {
    let (mut parts, ()) = Request::new(()).into_parts();
    for line in bytes.split(|byte| *byte == b'\n') {
        if let Ok(field) = HeaderValue::from_bytes(line) {
            parts.headers.append(COOKIE, field);
        }
    }
    let handshake = Handshake::from_parts(&parts);
    let fields: Vec<&[u8]> = parts.headers.get_all(COOKIE).iter().map(|f| f.as_bytes()).collect();
    match handshake.cookies("sid") {
        Ok(found) => {
            let expected = expected(&fields);
            assert_eq!(found.iter().collect::<Vec<_>>(), expected[..expected.len().min(4)]);
            assert_eq!(found.is_empty(), expected.is_empty());
            assert_eq!(found.exceeded(), expected.len() > 4);
        }
        Err(_) => {
            let length: usize = fields.iter().map(|field| field.len()).sum();
            let pairs: usize = fields.iter().map(|f| f.split(|b| *b == b';').count()).sum();
            assert!(length > 16 * 1024 || pairs > 128);
        }
    }
    let keys = Keyring::new(SecretKey::from_bytes(&[7; 32]).unwrap());
    let cookie = SignedCookie::new("sid", &keys).unwrap();
    assert!(cookie.extract(&handshake).is_err());
});

/// The same rules on strings: each byte is one character.
fn expected<'a>(fields: &[&'a [u8]]) -> Vec<&'a [u8]> {
    let blank = |c: char| c == ' ' || c == '\t';
    let mut found = Vec::new();
    for field in fields {
        let text: String = field.iter().map(|byte| char::from(*byte)).collect();
        let chars: Vec<char> = text.chars().collect();
        let mut start = 0;
        for pair in text.split(';') {
            let length = pair.chars().count();
            if let Some((name, value)) = pair.split_once('=') {
                let at = start + name.chars().count() + 1;
                let before = value.chars().take_while(|c| blank(*c)).count();
                let trimmed = value.trim_matches(blank).chars().count();
                let from = if trimmed == 0 { at } else { at + before };
                if name.trim_matches(blank) == "sid" {
                    found.push(&field[from..from + trimmed]);
                }
            }
            start += length + 1;
        }
        assert_eq!(start, chars.len() + 1);
    }
    found
}
