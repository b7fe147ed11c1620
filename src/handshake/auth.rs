//! The `auth` payload of a Socket.IO CONNECT packet.

use std::{borrow::Cow, fmt, sync::OnceLock};

use serde::Deserialize as _;
use serde_json::Value;

use super::auth_fields::{AuthFields, Content, json_field};

/// One field of the `auth` payload, as [`Handshake::auth_field`](super::Handshake::auth_field)
/// finds it.
///
/// ```
/// use socketioxide_session::extractor::{AuthField, AuthPayload};
///
/// let payload = AuthPayload::json(br#"{"token":"abc","n":1}"#);
/// let (parts, ()) = http::Request::new(()).into_parts();
/// let handshake = socketioxide_session::extractor::Handshake::from_parts(&parts).with_auth(&payload);
/// assert_eq!(handshake.auth_field("token"), AuthField::Text("abc".into()));
/// assert_eq!(handshake.auth_field("n"), AuthField::Other);
/// assert_eq!(handshake.auth_field("missing"), AuthField::Absent);
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuthField<'a> {
    /// There is no payload, it has no such field, or the field is `null`.
    Absent,
    /// The field is text.
    Text(Cow<'a, str>),
    /// The field is a number, a boolean, a list, a map or binary.
    Other,
    /// The payload is larger than [`AuthPayload::MAX_BYTES`]. It was not parsed.
    TooLarge,
    /// The payload could not be parsed.
    Malformed,
}

impl<'a> AuthField<'a> {
    fn new(content: Content<'a>) -> Self {
        match content {
            Content::Null => Self::Absent,
            Content::Text(text) => Self::Text(text),
            Content::Other => Self::Other,
        }
    }

    fn borrowed(content: &'a Content<'_>) -> Self {
        match content {
            Content::Null => Self::Absent,
            Content::Text(text) => Self::Text(Cow::Borrowed(text)),
            Content::Other => Self::Other,
        }
    }
}

// The text is a credential.
impl fmt::Debug for AuthField<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absent => "Absent",
            Self::Text(_) => "Text(..)",
            Self::Other => "Other",
            Self::TooLarge => "TooLarge",
            Self::Malformed => "Malformed",
        })
    }
}

type Decode<'a> = dyn Fn() -> Option<AuthFields> + Sync + 'a;

/// An `auth` payload, parsed only when an extractor reads a field of it.
///
/// The size is checked before anything is parsed. JSON is scanned for the one field that is read;
/// its other fields are skipped without building them. Another format is decoded once.
///
/// ```
/// use socketioxide_session::extractor::{AuthField, AuthPayload, Handshake};
///
/// let payload = AuthPayload::json(br#"{"profile":{"plan":"pro"},"token":"abc"}"#);
/// let (parts, ()) = http::Request::new(()).into_parts();
/// let handshake = Handshake::from_parts(&parts).with_namespace("/").with_auth(&payload);
/// assert_eq!(handshake.auth_field("token"), AuthField::Text("abc".into()));
/// ```
pub struct AuthPayload<'a> {
    source: Source<'a>,
    decoded: OnceLock<Option<AuthFields>>,
}

enum Source<'a> {
    Absent,
    TooLarge,
    Encoded(&'a Decode<'a>),
    Json(&'a [u8]),
    Given,
}

impl<'a> AuthPayload<'a> {
    /// Maximum size of a payload that is parsed, in bytes as they came: 64 KiB.
    pub const MAX_BYTES: usize = 64 * 1024;

    /// No payload.
    #[must_use]
    pub fn absent() -> Self {
        Self::new(Source::Absent)
    }

    /// A payload of `bytes` bytes, which `decode` parses (`None`: it can't be parsed). It is not
    /// called when the payload is larger than [`MAX_BYTES`](Self::MAX_BYTES).
    #[must_use]
    pub fn encoded(bytes: usize, decode: &'a Decode<'a>) -> Self {
        Self::sized(bytes, Source::Encoded(decode))
    }

    /// A payload of JSON, as it follows `40` in a Socket.IO packet.
    #[must_use]
    pub fn json(text: &'a [u8]) -> Self {
        Self::sized(text.len(), Source::Json(text))
    }

    fn new(source: Source<'a>) -> Self {
        Self {
            source,
            decoded: OnceLock::new(),
        }
    }

    // The size is attacker-controlled and comes first: nothing is parsed, and no string is built,
    // for what is too large.
    fn sized(bytes: usize, source: Source<'a>) -> Self {
        match bytes {
            0 => Self::new(Source::Absent),
            bytes if bytes > Self::MAX_BYTES => Self::new(Source::TooLarge),
            _ => Self::new(source),
        }
    }

    pub(super) fn field(&self, name: &str) -> AuthField<'_> {
        let decoded = match &self.source {
            Source::Absent => return AuthField::Absent,
            Source::TooLarge => return AuthField::TooLarge,
            Source::Json(text) => {
                return json_field(text, name).map_or(AuthField::Malformed, AuthField::new);
            }
            Source::Encoded(decode) => self.decoded.get_or_init(decode),
            Source::Given => self.decoded.get_or_init(|| None),
        };
        match decoded.as_ref().map(|fields| fields.get(name)) {
            None => AuthField::Malformed,
            Some(None) => AuthField::Absent,
            Some(Some(content)) => AuthField::borrowed(content),
        }
    }
}

impl From<Value> for AuthPayload<'_> {
    fn from(value: Value) -> Self {
        Self {
            source: Source::Given,
            decoded: OnceLock::from(AuthFields::deserialize(value).ok()),
        }
    }
}

// The payload holds a credential.
impl fmt::Debug for AuthPayload<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthPayload").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(text: &str) -> AuthField<'_> {
        AuthField::Text(text.into())
    }

    #[track_caller]
    fn assert_json(json: impl AsRef<[u8]>, expected: &AuthField<'_>) {
        let json = json.as_ref();
        assert_eq!(AuthPayload::json(json).field("token"), *expected);
        // The other way to read it, field by field, agrees.
        let decode = || serde_json::from_slice(json).ok();
        let decoded = AuthPayload::encoded(json.len(), &decode);
        assert_eq!(decoded.field("token"), *expected);
    }

    #[test]
    fn one_field_is_found() {
        assert_json(r#"{"token":"x"}"#, &text("x"));
        assert_json(
            r#" { "a" : [1,{"token":"y"}], "token" : "x" } "#,
            &text("x"),
        );
        assert_json(r#"{"t\u006fken":"\u0078"}"#, &text("x"));
        assert_json(r#"{"token":"x","token":"y"}"#, &text("y"));
        assert_json(r#"{"token":""}"#, &text(""));
        for absent in [
            "{}",
            "null",
            " null ",
            "[]",
            "\"token\"",
            "1",
            "-1.5",
            "true",
            r#"{"token":null}"#,
            r#"{"Token":"x","token ":"x"}"#,
            r#"[{"token":"x"}]"#,
            r#"{"a":{"token":"x"}}"#,
        ] {
            assert_json(absent, &AuthField::Absent);
        }
        for other in [
            "1",
            "-1",
            "1.5",
            "true",
            "[]",
            "{}",
            "[\"x\"]",
            "{\"a\":\"x\"}",
        ] {
            assert_json(format!(r#"{{"token":{other}}}"#), &AuthField::Other);
        }
        for malformed in [
            "{",
            "{\"token\":",
            "{\"token\":\"x\"",
            "{} {}",
            "x",
            "{\"a\":1,}",
            "{1:2}",
            "[1",
            "{\"token\":\"\\x\"}",
        ] {
            assert_json(malformed, &AuthField::Malformed);
        }
        assert_eq!(AuthPayload::json(b"").field("token"), AuthField::Absent);
    }

    #[test]
    fn depth_is_skipped_without_recursion() {
        let deep = format!("{}1{}", "[".repeat(30_000), "]".repeat(30_000));
        let beside = format!(r#"{{"a":{deep},"token":"x"}}"#);
        assert_eq!(
            AuthPayload::json(beside.as_bytes()).field("token"),
            text("x")
        );
        let inside = format!(r#"{{"token":{deep}}}"#);
        assert_eq!(
            AuthPayload::json(inside.as_bytes()).field("token"),
            AuthField::Other
        );
        assert_eq!(
            AuthPayload::json(deep.as_bytes()).field("token"),
            AuthField::Absent
        );
        let open = "[".repeat(60_000);
        assert_eq!(
            AuthPayload::json(open.as_bytes()).field("token"),
            AuthField::Malformed
        );
    }

    #[test]
    fn the_size_is_checked_before_anything_is_parsed() {
        let padded = |length: usize| {
            let json = r#"{"token":"x"}"#;
            format!("{json}{}", " ".repeat(length - json.len()))
        };
        assert_eq!(AuthPayload::MAX_BYTES, 65_536);
        assert_json(padded(65_536), &text("x"));
        assert_json(padded(65_537), &AuthField::TooLarge);
        let payload = AuthPayload::encoded(65_537, &|| panic!("decoded what is too large"));
        assert_eq!(payload.field("token"), AuthField::TooLarge);
    }

    #[test]
    fn a_value_is_read_as_what_it_would_be_on_the_wire() {
        let payload = AuthPayload::from(json!({"token": "x", "other": 1}));
        assert_eq!(payload.field("token"), text("x"));
        assert_eq!(payload.field("other"), AuthField::Other);
        assert_eq!(payload.field("none"), AuthField::Absent);
        assert_eq!(
            AuthPayload::from(json!(null)).field("token"),
            AuthField::Absent
        );
    }

    #[test]
    fn debug_shows_no_credential() {
        let payload = AuthPayload::from(json!({"token": "secret"}));
        assert!(!format!("{payload:?}{:?}", payload.field("token")).contains("secret"));
    }
}
