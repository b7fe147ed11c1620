//! Percent-decoding of credentials, once and strictly.

use std::borrow::Cow;

use memchr::memchr;

use super::InvalidCredential;

/// Decodes the escapes of RFC 3986 §2.1. A `+` stays a plus, and what is encoded twice stays
/// encoded once, so that each credential has one meaning.
///
/// # Errors
///
/// When a `%` is not followed by two hexadecimal digits.
pub(crate) fn decoded(value: &[u8]) -> Result<Cow<'_, [u8]>, InvalidCredential> {
    if memchr(b'%', value).is_none() {
        return Ok(Cow::Borrowed(value));
    }
    // `percent_encoding` passes a broken escape through as it is; here it is an error.
    let strict = value.iter().enumerate().all(|(at, byte)| {
        *byte != b'%'
            || matches!(value.get(at + 1..at + 3), Some(hex) if hex.iter().all(u8::is_ascii_hexdigit))
    });
    if !strict {
        return Err(InvalidCredential::Malformed);
    }
    Ok(percent_encoding::percent_decode(value).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded_once_and_strictly() {
        let decode = |text: &'static str| decoded(text.as_bytes()).map(Cow::into_owned).ok();
        assert_eq!(decode("a-b_c+d"), Some(b"a-b_c+d".to_vec()));
        assert_eq!(decode("a%2Db%5fc%2B"), Some(b"a-b_c+".to_vec()));
        assert_eq!(decode("%252D"), Some(b"%2D".to_vec()));
        for broken in ["%", "a%", "a%2", "%zz", "%2-", "%%20", "%é"] {
            assert_eq!(decode(broken), None, "{broken}");
        }
    }
}
