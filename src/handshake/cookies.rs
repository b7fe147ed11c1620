//! The one place that looks for a cookie in a request.

use http::{HeaderMap, header::COOKIE};

/// All `Cookie` header fields together may have this many bytes.
const MAX_HEADER_BYTES: usize = 16 * 1024;
/// And this many pairs.
const MAX_PAIRS: usize = 128;
/// So many values of one name are kept; that there were more is remembered.
const MAX_VALUES: usize = 4;

/// The values of one cookie name in a request, as the raw bytes that came.
///
/// At most four are kept; [`exceeded`](Self::exceeded) says that more came.
#[derive(Debug, Clone, Copy, Default)]
pub struct CookieValues<'a> {
    values: [&'a [u8]; MAX_VALUES],
    count: usize,
}

impl<'a> CookieValues<'a> {
    /// The values, in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let kept = self.count.min(MAX_VALUES);
        self.values.into_iter().take(kept)
    }

    /// No cookie of this name came.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// More cookies of this name came than anybody should verify.
    #[must_use]
    pub fn exceeded(&self) -> bool {
        self.count > MAX_VALUES
    }
}

/// The `Cookie` header fields have more than 16 KiB or 128 pairs, so nobody looks into them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the Cookie header is too large")]
#[non_exhaustive]
pub struct CookieHeaderTooLarge;

/// Finds the cookies called `name` byte by byte.
///
/// Browsers send what RFC 6265 §5.4 says: pairs of a name, `=` and a value, separated by `;`. So
/// only that is looked at: split at `;`, trim space and tab (never Unicode white space, which would
/// let `\u{2000}__Host-sid` pass for `__Host-sid`), cut at the first `=`, and compare the name byte
/// for byte. Names are not decoded. Bytes that are no ASCII spoil only the pair that they are in.
pub(super) fn find<'a>(
    headers: &'a HeaderMap,
    name: &str,
) -> Result<CookieValues<'a>, CookieHeaderTooLarge> {
    let mut found = CookieValues::default();
    let (mut bytes, mut pairs) = (0, 0);
    for field in headers.get_all(COOKIE) {
        let field = field.as_bytes();
        bytes += field.len();
        if bytes > MAX_HEADER_BYTES {
            return Err(CookieHeaderTooLarge);
        }
        for pair in field.split(|byte| *byte == b';') {
            pairs += 1;
            if pairs > MAX_PAIRS {
                return Err(CookieHeaderTooLarge);
            }
            let Some(value) = value_of(pair, name.as_bytes()) else {
                continue;
            };
            if let Some(slot) = found.values.get_mut(found.count) {
                *slot = value;
            }
            found.count += 1;
        }
    }
    Ok(found)
}

fn value_of<'a>(pair: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let rest = trim(pair).strip_prefix(name)?;
    // White space before the `=` belongs to the name in RFC 6265 §5.4, but servers trim it.
    let rest = trim_start(rest).strip_prefix(b"=")?;
    Some(trim(rest))
}

fn trim(bytes: &[u8]) -> &[u8] {
    let bytes = trim_start(bytes);
    let end = bytes
        .iter()
        .rposition(|byte| !is_blank(*byte))
        .map_or(0, |last| last + 1);
    &bytes[..end]
}

fn trim_start(bytes: &[u8]) -> &[u8] {
    let start = bytes
        .iter()
        .position(|byte| !is_blank(*byte))
        .unwrap_or(bytes.len());
    &bytes[start..]
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(fields: &[&[u8]]) -> HeaderMap {
        fields
            .iter()
            .map(|field| (COOKIE, HeaderValue::from_bytes(field).unwrap()))
            .collect()
    }

    #[track_caller]
    fn assert_found(fields: &[&[u8]], name: &str, expected: &[&[u8]]) {
        let headers = headers(fields);
        let found = find(&headers, name).unwrap();
        assert_eq!(found.iter().collect::<Vec<_>>(), expected);
        assert_eq!(found.is_empty(), expected.is_empty());
    }

    #[test]
    fn only_the_exact_name_is_found() {
        assert_found(&[b"sid=x"], "sid", &[b"x"]);
        assert_found(&[b"a=1; sid=x=y ;b=2"], "sid", &[b"x=y"]);
        assert_found(&[b"a=1;\tsid=\tx"], "sid", &[b"x"]);
        assert_found(&[b"sid="], "sid", &[b""]);
        assert_found(&[b"sid"], "sid", &[]);
        assert_found(&[b"=sid=x"], "sid", &[]);
        assert_found(&[b"SID=x; sidx=1; xsid=2; s%69d=3"], "sid", &[]);
        assert_found(&[b"__host-sid=x; %5F%5FHost-sid=y"], "__Host-sid", &[]);
        assert_found(&["\u{2000}__Host-sid=x".as_bytes()], "__Host-sid", &[]);
        assert_found(&[b"\xA0__Host-sid=x"], "__Host-sid", &[]);
    }

    #[test]
    fn all_fields_are_read_and_a_strange_byte_spoils_only_its_pair() {
        assert_found(&[b"a=1", b"sid=x"], "sid", &[b"x"]);
        assert_found(&[b"a=\xFF; sid=x"], "sid", &[b"x"]);
        assert_found(&[b"sid=x; sid=y", b"sid=z"], "sid", &[b"x", b"y", b"z"]);
    }

    #[test]
    fn the_work_is_bounded() {
        let many = headers(&[b"sid=1; sid=2; sid=3; sid=4; sid=5"]);
        let found = find(&many, "sid").unwrap();
        assert!(found.exceeded());
        assert_eq!(found.iter().count(), 4);

        let pairs = "a=1;".repeat(127) + "sid=x";
        assert_found(&[pairs.as_bytes()], "sid", &[b"x"]);
        let pairs = headers(&[("a=1;".repeat(128) + "sid=x").as_bytes()]);
        assert!(find(&pairs, "sid").is_err());

        let fits = format!("sid={}", "x".repeat(MAX_HEADER_BYTES - 4));
        assert!(find(&headers(&[fits.as_bytes()]), "sid").is_ok());
        assert!(find(&headers(&[fits.as_bytes(), b"a"]), "sid").is_err());
    }
}
