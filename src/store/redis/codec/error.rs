//! Errors of records, which tell where and what kind, and never quote data.

use std::fmt::{Display, Write as _};

use serde::{Deserializer, de::DeserializeSeed};
use serde_path_to_error::{Path, Segment, Track};

use crate::store::{StoreError, StoreErrorKind};

/// Maximum length of a key that is shown.
const MAX_KEY: usize = 40;
/// Maximum number of segments of a path that are shown.
const MAX_SEGMENTS: usize = 16;

/// A segment that the deserializer does not name.
const UNKNOWN: &str = "?";

/// The beginnings of serde's own errors, and whether the expected type follows.
const MISMATCHES: [(&str, bool); 7] = [
    ("invalid type", true),
    ("invalid value", true),
    ("invalid length", true),
    ("unknown variant", true),
    ("unknown field", true),
    ("missing field", false),
    ("duplicate field", false),
];
/// The names of the found value in a mismatch, before the value itself.
const FOUND: [&str; 17] = [
    "boolean",
    "integer",
    "floating point",
    "character",
    "string",
    "byte array",
    "unit value",
    "null",
    "Option value",
    "newtype struct",
    "sequence",
    "map",
    "enum",
    "unit variant",
    "newtype variant",
    "tuple variant",
    "struct variant",
];

/// Reads a record for the second time, after it could not be read, to tell where and why.
///
/// `at` are the names of the fields that the seed itself looks up, which it does not show to the
/// tracker. The error holds the path of the field, what kind of value was found and expected there, and the
/// `position` of the deserializer's error. The message of serde, or of a type's own `Deserialize`, is
/// never quoted as a whole, because it may contain the data: ``unknown variant `secret` ``.
pub(in crate::store::redis) fn unreadable<'de, S, D>(
    at: &[String],
    seed: S,
    deserializer: D,
    position: impl FnOnce(&D::Error) -> Option<String>,
) -> StoreError
where
    S: DeserializeSeed<'de>,
    D: Deserializer<'de>,
{
    let mut track = Track::new();
    let tracked = serde_path_to_error::Deserializer::new(deserializer, &mut track);
    let Err(error) = seed.deserialize(tracked) else {
        return decode("the record is followed by something else");
    };
    let mut why = mismatch(&error.to_string());
    let path = shown(at, &track.path());
    if !path.is_empty() && path != UNKNOWN {
        let _ = write!(why, " at {path}");
    }
    if let Some(position) = position(&error) {
        let _ = write!(why, ", {position}");
    }
    decode(why)
}

/// A record as text.
pub(super) fn utf8(stored: &[u8]) -> Result<&str, StoreError> {
    std::str::from_utf8(stored)
        .map_err(|error| decode(format!("not UTF-8, at byte {}", error.valid_up_to())))
}

/// The line and the column of an error in JSON.
pub(super) fn position(error: &serde_json::Error) -> Option<String> {
    let (line, column) = (error.line(), error.column());
    (line > 0).then(|| format!("line {line}, column {column}"))
}

fn decode(why: impl Into<String>) -> StoreError {
    StoreError::new(StoreErrorKind::Decode, why.into())
}

/// The type's own words may quote the data.
pub(super) fn encode(error: serde_json::Error) -> StoreError {
    let why = mismatch(&error.to_string());
    StoreError::new(StoreErrorKind::Encode, why)
}

pub(super) fn not_readable() -> StoreError {
    let why = "the data would not read back as what it is (a number that is not finite, perhaps)";
    StoreError::new(StoreErrorKind::Encode, why)
}

pub(super) fn not_encodable(why: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Encode, why)
}

/// serde's message without the data in it.
fn mismatch(message: &str) -> String {
    let Some((prefix, expects)) = MISMATCHES.iter().find(|(p, _)| message.starts_with(p)) else {
        return if is_syntax(message) {
            "not valid JSON".to_owned()
        } else {
            "rejected by the type".to_owned()
        };
    };
    let mut text = (*prefix).to_owned();
    let rest = message[prefix.len()..].trim_start_matches(": ");
    if let Some(found) = FOUND.iter().find(|found| rest.starts_with(**found)) {
        let _ = write!(text, ": {found}");
    }
    if *expects {
        // The last one, as data may contain these words too.
        if let Some((_, expected)) = rest.rsplit_once(", expected ") {
            let _ = write!(text, ", expected {}", without_position(expected));
        }
    } else {
        // The name of the type's own field.
        let field = without_position(rest).trim_matches([' ', '`']);
        if is_name(field) {
            let _ = write!(text, " `{field}`");
        }
    }
    text
}

/// `serde_json` adds its position to a message.
fn without_position(text: &str) -> &str {
    text.rfind(" at line ").map_or(text, |at| &text[..at])
}

/// The words of `serde_json` for what is not JSON; they contain no data.
fn is_syntax(message: &str) -> bool {
    const SYNTAX: [&str; 14] = [
        "EOF while parsing",
        "expected `",
        "expected ident",
        "expected value",
        "invalid escape",
        "invalid number",
        "number out of range",
        "invalid unicode code point",
        "control character",
        "key must be",
        "lone leading surrogate",
        "trailing c",
        "unexpected end of hex escape",
        "recursion limit exceeded",
    ];
    SYNTAX.iter().any(|syntax| message.starts_with(syntax))
}

/// A path without keys that look like data: only names as programs write them.
fn shown(at: &[String], path: &Path) -> String {
    let mut out = String::new();
    for (nth, segment) in path.iter().take(MAX_SEGMENTS).enumerate() {
        let (dot, name): (_, &dyn Display) = match segment {
            Segment::Seq { index } => {
                let _ = write!(out, "[{index}]");
                continue;
            }
            Segment::Map { key } if is_name(key) => (".", key),
            Segment::Enum { variant } if is_name(variant) => (".", variant),
            Segment::Map { .. } | Segment::Enum { .. } => (".", &"…"),
            Segment::Unknown => match at.get(nth) {
                Some(name) => (".", name),
                None => (".", &UNKNOWN),
            },
        };
        let _ = write!(out, "{}{name}", if out.is_empty() { "" } else { dot });
    }
    out
}

fn is_name(key: &str) -> bool {
    let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.$".contains(&byte);
    key.len() <= MAX_KEY && !key.is_empty() && key.bytes().all(is_name_byte)
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, error::Error as _, marker::PhantomData};

    use serde::{Deserialize, de::DeserializeOwned};

    use super::*;

    #[derive(Deserialize)]
    #[allow(dead_code, reason = "only read")]
    struct Data {
        user: User,
        #[serde(default)]
        homes: HashMap<String, Vec<u8>>,
        #[serde(default)]
        role: Role,
        #[serde(default)]
        address: Option<std::net::IpAddr>,
        #[serde(default)]
        any: Option<Any>,
    }

    #[derive(Deserialize)]
    #[allow(dead_code, reason = "only read")]
    struct User {
        id: u8,
    }

    #[derive(Default, Deserialize)]
    enum Role {
        #[default]
        Guest,
        Admin {
            #[allow(dead_code, reason = "only read")]
            level: u8,
        },
    }

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Any {
        #[allow(dead_code, reason = "only read")]
        Number(u8),
    }

    fn why<T: DeserializeOwned>(text: &str) -> String {
        let mut json = serde_json::Deserializer::from_str(text);
        let error = unreadable(&[], PhantomData::<T>, &mut json, position);
        assert_eq!(error.kind(), StoreErrorKind::Decode);
        error.source().unwrap().to_string()
    }

    #[test]
    fn a_mismatch_names_the_field_and_never_the_value() {
        for (text, expected) in [
            (
                r#"{"user":{"id":"SECRET"}}"#,
                "invalid type: string, expected u8 at user.id, line 1, column 22",
            ),
            (
                r#"{"user":{"id":"a, expected SECRET"}}"#,
                "invalid type: string, expected u8 at user.id, line 1, column 34",
            ),
            (
                r#"{"user":{"id":31337}}"#,
                "invalid value: integer, expected u8 at user.id, line 1, column 19",
            ),
            (
                r#"{"user":{}}"#,
                "missing field `id` at user, line 1, column 10",
            ),
            (
                r#"{"user":{"id":1,"id":2}}"#,
                "duplicate field `id` at user, line 1, column 20",
            ),
            (
                r#"{"user":{"id":1},"homes":{"a":[1,"SECRET"]}}"#,
                "invalid type: string, expected u8 at homes.a[1], line 1, column 41",
            ),
            (
                r#"{"user":{"id":1},"homes":{"SECRET@example.com":[null]}}"#,
                "invalid type: null, expected u8 at homes.…[0], line 1, column 52",
            ),
            (
                r#"{"user":{"id":1},"role":"SECRET`, expected SECRET"}"#,
                "unknown variant, expected `Guest` or `Admin` at role, line 1, column 50",
            ),
            (
                r#"{"user":{"id":1},"role":{"Admin":{"level":-31337}}}"#,
                "invalid value: integer, expected u8 at role.Admin.level, line 1, column 48",
            ),
            (
                r#"{"user":{"id":1},"address":"SECRET"}"#,
                "rejected by the type at address, line 1, column 35",
            ),
            (
                r#"{"user":{"id":1},"any":"SECRET"}"#,
                "rejected by the type at any, line 1, column 32",
            ),
            (
                r#""SECRET""#,
                "invalid type: string, expected struct Data, line 1, column 8",
            ),
            (
                r#"{"user":{"id":1},"x":SECRET}"#,
                "not valid JSON at x, line 1, column 22",
            ),
            (r#"{"user":{"id":1}"#, "not valid JSON, line 1, column 16"),
            (
                r#"{"user":{"id":1}} SECRET"#,
                "the record is followed by something else",
            ),
        ] {
            let why = why::<Data>(text);
            assert!(!why.contains("SECRET") && !why.contains("31337"), "{why}");
            assert_eq!(why, expected, "{text}");
        }
    }

    #[test]
    fn no_message_of_a_type_is_quoted() {
        for message in [
            "SECRET",
            "invalid character: expected a digit, found `SECRET` at 1",
            "invalid type: SECRET",
            "unknown field `SECRET`, there are no fields",
            "invalid length SECRET",
            "invalid type: string \"SECRET\"",
            "missing field of the SECRET",
        ] {
            assert!(!mismatch(message).contains("SECRET"), "{message}");
        }
        let encoded = encode(serde::ser::Error::custom("SECRET"));
        assert!(!format!("{encoded:?}{:?}", encoded.source()).contains("SECRET"));
    }

    #[test]
    fn long_paths_are_cut() {
        #[derive(Deserialize)]
        #[serde(transparent)]
        struct Nested(#[allow(dead_code, reason = "only read")] Vec<Nested>);

        let text = format!("{}7{}", "[".repeat(100), "]".repeat(100));
        let why = why::<Nested>(&text);
        assert!(why.contains(&"[0]".repeat(MAX_SEGMENTS)), "{why}");
        assert!(why.len() < 200, "{why}");
    }
}
