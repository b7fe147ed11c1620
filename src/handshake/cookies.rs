//! The one place that looks for a cookie in a request.

use http::{HeaderMap, header::COOKIE};

use crate::split::split;

/// Maximum size of all `Cookie` header fields together, in bytes.
const MAX_HEADER_BYTES: usize = 64 * 1024;
/// Maximum number of values of one name that are kept.
const MAX_VALUES: usize = 8;

/// The values of one cookie name in a request: the bytes that came, without surrounding quotes.
///
/// At most eight are kept; [`exceeded`](Self::exceeded) is true when more came. An empty value
/// counts as absent.
///
/// ```
/// use socketioxide_session::testing::HandshakeBuilder;
///
/// let handshake = HandshakeBuilder::socket("/").header("cookie", r#"a=1; sid="x"; sid=; sid=y"#);
/// handshake.with(|handshake| {
///     let values = handshake.cookies("sid").unwrap();
///     assert_eq!(values.iter().collect::<Vec<_>>(), [b"x", b"y"]);
/// });
/// ```
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

    /// Whether the request carries no cookie of this name.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether the request carries more cookies of this name than an extractor should verify.
    #[must_use]
    pub fn exceeded(&self) -> bool {
        self.count > MAX_VALUES
    }
}

/// The `Cookie` header fields are larger than 64 KiB and are not searched.
///
/// ```
/// use socketioxide_session::testing::HandshakeBuilder;
///
/// let handshake = HandshakeBuilder::request("/").cookie("other", &"x".repeat(70_000));
/// let error = handshake.with(|handshake| handshake.cookies("sid").unwrap_err());
/// assert!(error.bytes > 70_000);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the Cookie header has {bytes} bytes; at most {MAX_HEADER_BYTES} are searched")]
#[non_exhaustive]
pub struct CookieHeaderTooLarge {
    /// The size of all `Cookie` header fields together, in bytes.
    pub bytes: usize,
}

/// Finds the cookies called `name` byte by byte.
///
/// Browsers send pairs of a name, `=` and a value, separated by `;` (RFC 6265 §5.4). So only that
/// is parsed: split at `;`, trim space and tab (never Unicode white space, which would let
/// `\u{2000}__Host-sid` pass for `__Host-sid`), cut at the first `=`, and compare the name byte for
/// byte. Names are not decoded. Bytes outside of ASCII affect only their own pair. The attributes
/// of RFC 2965 (`$Version="1"; sid="…"; $Path="/"`), which Java clients send, are other pairs.
///
/// The work is linear in the size, which is checked first; the number of pairs does not matter.
pub(super) fn find<'a>(
    headers: &'a HeaderMap,
    name: &str,
) -> Result<CookieValues<'a>, CookieHeaderTooLarge> {
    let fields = headers.get_all(COOKIE);
    let bytes = fields.iter().map(http::HeaderValue::len).sum();
    if bytes > MAX_HEADER_BYTES {
        return Err(CookieHeaderTooLarge { bytes });
    }
    let mut found = CookieValues::default();
    for field in fields {
        for pair in split(field.as_bytes(), b';') {
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

/// The value of a pair with this name, unless it is empty.
fn value_of<'a>(pair: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let rest = trim_start(pair).strip_prefix(name)?;
    // White space before the `=` belongs to the name in RFC 6265 §5.4, but servers trim it.
    let rest = trim_start(rest).strip_prefix(b"=")?;
    let value = unquoted(trim(rest));
    (!value.is_empty()).then_some(value)
}

/// Removes one pair of quotes, which a value may have around it (RFC 6265 §4.1.1). Python's and
/// Java's cookie jars send them. A value is verified afterwards, so this accepts no other ids.
fn unquoted(value: &[u8]) -> &[u8] {
    let inner = value.strip_prefix(b"\"");
    let inner = inner.and_then(|value| value.strip_suffix(b"\""));
    inner.unwrap_or(value)
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
        assert_found(&[b"sid"], "sid", &[]);
        assert_found(&[b"=sid=x"], "sid", &[]);
        assert_found(&[b"SID=x; sidx=1; xsid=2; s%69d=3"], "sid", &[]);
        assert_found(&[b"__host-sid=x; %5F%5FHost-sid=y"], "__Host-sid", &[]);
        assert_found(&["\u{2000}__Host-sid=x".as_bytes()], "__Host-sid", &[]);
        assert_found(&[b"\xA0__Host-sid=x"], "__Host-sid", &[]);
    }

    #[test]
    fn one_pair_of_quotes_is_removed() {
        assert_found(&[b"sid=\"x\""], "sid", &[b"x"]);
        assert_found(&[b"sid= \"x\" ; b=\"y\""], "sid", &[b"x"]);
        assert_found(&[b"sid=\"\"x\"\""], "sid", &[b"\"x\""]);
        assert_found(&[b"sid=\"x"], "sid", &[b"\"x"]);
        assert_found(&[b"sid=x\""], "sid", &[b"x\""]);
        assert_found(&[b"sid=\""], "sid", &[b"\""]);
        assert_found(&[b"sid=\"'x'\""], "sid", &[b"'x'"]);
        let java = b"$Version=\"1\"; sid=\"x\";$Path=\"/\";$Domain=\"a.test\"";
        assert_found(&[java], "sid", &[b"x"]);
        assert_found(&[b"\"sid\"=x; \"sid=x\""], "sid", &[]);
    }

    #[test]
    fn an_empty_value_counts_as_absent() {
        assert_found(&[b"sid="], "sid", &[]);
        assert_found(&[b"sid=\"\"; sid= ;sid=\t"], "sid", &[]);
        assert_found(&[b"sid=; sid=x; sid=\"\""], "sid", &[b"x"]);
        let many = "sid=; ".repeat(20) + "sid=x";
        assert_found(&[many.as_bytes()], "sid", &[b"x"]);
    }

    #[test]
    fn all_fields_are_read_and_a_strange_byte_spoils_only_its_pair() {
        assert_found(&[b"a=1", b"sid=x"], "sid", &[b"x"]);
        assert_found(&[b"a=\xFF; sid=x"], "sid", &[b"x"]);
        assert_found(&[b"sid=x; sid=y", b"sid=z"], "sid", &[b"x", b"y", b"z"]);
    }

    #[test]
    fn the_work_is_bounded_by_the_size_and_not_by_the_number_of_pairs() {
        let header = "sid=1;".repeat(9);
        let many = headers(&[header.as_bytes()]);
        let found = find(&many, "sid").unwrap();
        assert!(found.exceeded());
        assert_eq!(found.iter().count(), 8);
        let eight = headers(&[&header.as_bytes()[..header.len() - 6]]);
        assert!(!find(&eight, "sid").unwrap().exceeded());

        let pairs = "a=123;".repeat(10_000) + "sid=x";
        assert_found(&[pairs.as_bytes()], "sid", &[b"x"]);

        let fits = format!("sid={}", "x".repeat(MAX_HEADER_BYTES - 4));
        assert!(find(&headers(&[fits.as_bytes()]), "sid").is_ok());
        let error = find(&headers(&[fits.as_bytes(), b"a"]), "sid").unwrap_err();
        assert_eq!(error.bytes, 65_537);
        assert!(error.to_string().contains("65537 bytes"));
    }
}
