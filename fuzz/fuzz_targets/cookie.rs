//! The cookie finder, against another way to say the same, and the verification behind it.
//!
//! Each line of the input is one header field.

#![no_main]

use http::{HeaderValue, Request, header::COOKIE};
use libfuzzer_sys::fuzz_target;
use socketioxide_session::{
    Keyring, SecretKey, SessionIdExtractor, SignedCookie, extractor::Handshake,
};

fuzz_target!(|bytes: &[u8]| {
    let (mut parts, ()) = Request::new(()).into_parts();
    for line in bytes.split(|byte| *byte == b'\n') {
        if let Ok(field) = HeaderValue::from_bytes(line) {
            parts.headers.append(COOKIE, field);
        }
    }
    let handshake = Handshake::from_parts(&parts);
    let fields: Vec<&[u8]> = parts
        .headers
        .get_all(COOKIE)
        .iter()
        .map(|f| f.as_bytes())
        .collect();
    match handshake.cookies("sid") {
        Ok(found) => {
            let expected = expected(&fields);
            assert_eq!(
                found.iter().collect::<Vec<_>>(),
                expected[..expected.len().min(8)]
            );
            assert_eq!(found.is_empty(), expected.is_empty());
            assert_eq!(found.exceeded(), expected.len() > 8);
        }
        Err(error) => {
            let length: usize = fields.iter().map(|field| field.len()).sum();
            assert_eq!(error.bytes, length);
            assert!(length > 64 * 1024);
        }
    }
    let keys = Keyring::new(SecretKey::from_bytes(&[7; 32]).unwrap());
    let cookie = SignedCookie::new("sid", &keys).unwrap();
    assert!(cookie.extract(&handshake).is_err());
    assert!(cookie.presented(&handshake).is_empty());
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
                let trimmed = value.trim_matches(blank);
                let length = trimmed.chars().count();
                let quoted = length > 1 && trimmed.starts_with('"') && trimmed.ends_with('"');
                let quote = usize::from(quoted);
                let (from, to) = (at + before + quote, at + before + length - quote);
                if name.trim_matches(blank) == "sid" && from < to {
                    found.push(&field[from..to]);
                }
            }
            start += length + 1;
        }
        assert_eq!(start, chars.len() + 1);
    }
    found
}
