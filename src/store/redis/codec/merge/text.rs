//! JSON texts, taken apart one level at a time. No value is decoded, so that what is copied stays the
//! same to the last byte, and numbers keep all their digits.

use std::{borrow::Cow, fmt};

use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Maximum depth at which texts are taken apart; deeper ones count as one value. It bounds the
/// recursion, and is the limit of `serde_json` for values that are decoded.
pub(in crate::store::redis::codec) const MAX_DEPTH: usize = 128;

/// A member of an object.
pub(in crate::store::redis::codec) struct Member<'a> {
    /// The key as it was written, in quotes.
    pub(in crate::store::redis::codec) key: &'a str,
    /// The key without quotes and escapes.
    pub(in crate::store::redis::codec) name: Cow<'a, str>,
    pub(in crate::store::redis::codec) value: &'a str,
}

/// The members of an object, in their order; `None` for every other value.
pub(in crate::store::redis::codec) fn members(text: &str) -> Option<Vec<Member<'_>>> {
    if !text.starts_with('{') {
        return None;
    }
    serde_json::Deserializer::from_str(text)
        .deserialize_map(Members)
        .ok()
}

/// The elements of an array; `None` for every other value.
pub(in crate::store::redis::codec) fn elements(text: &str) -> Option<Vec<&str>> {
    if !text.starts_with('[') {
        return None;
    }
    let elements: Vec<&RawValue> = serde_json::from_str(text).ok()?;
    Some(elements.into_iter().map(RawValue::get).collect())
}

pub(super) fn is_container(text: &str) -> bool {
    text.starts_with(['{', '['])
}

/// Whether two texts are the same value: the order of members and the spelling of strings don't
/// matter, every digit of a number does.
pub(super) fn same(one: &str, other: &str) -> bool {
    one == other || canonical(one, Lists::Ordered) == canonical(other, Lists::Ordered)
}

/// The order of lists in [`canonical`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Lists {
    /// As they are.
    Ordered,
    /// Sorted, because a set is written in another order each time.
    Sorted,
}

/// One text for all spellings of a value.
pub(super) fn canonical(text: &str, lists: Lists) -> String {
    let mut out = String::with_capacity(text.len());
    write_canonical(text, lists, MAX_DEPTH, &mut out);
    out
}

fn write_canonical(text: &str, lists: Lists, depth: usize, out: &mut String) {
    if depth == 0 {
        return out.push_str(text);
    }
    if let Some(mut members) = members(text) {
        members.sort_by(|one, other| one.name.cmp(&other.name));
        out.push('{');
        for member in members {
            write_string(member.key, out);
            out.push(':');
            write_canonical(member.value, lists, depth - 1, out);
            out.push(',');
        }
        out.push('}');
    } else if let Some(elements) = elements(text) {
        let written = elements.into_iter().map(|element| {
            let mut out = String::new();
            write_canonical(element, lists, depth - 1, &mut out);
            out
        });
        let mut written: Vec<String> = written.collect();
        if lists == Lists::Sorted {
            written.sort_unstable();
        }
        out.push('[');
        for element in written {
            out.push_str(&element);
            out.push(',');
        }
        out.push(']');
    } else if text.starts_with('"') {
        write_string(text, out);
    } else {
        out.push_str(text);
    }
}

/// A string without needless escapes. One that is no Unicode (JavaScript writes lone surrogates)
/// stays as it is.
fn write_string(text: &str, out: &mut String) {
    if text.contains('\\')
        && let Ok(string) = serde_json::from_str::<String>(text)
        && let Ok(text) = serde_json::to_string(&string)
    {
        return out.push_str(&text);
    }
    out.push_str(text);
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<Member<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some((key, value)) = map.next_entry::<&RawValue, &RawValue>()? {
            let (key, value) = (key.get(), value.get());
            let name = name(key);
            members.push(Member { key, name, value });
        }
        Ok(members)
    }
}

fn name(key: &str) -> Cow<'_, str> {
    if key.contains('\\')
        && let Ok(name) = serde_json::from_str(key)
    {
        return Cow::Owned(name);
    }
    Cow::Borrowed(&key[1..key.len() - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_value_are_the_same() {
        for (one, other) in [
            (
                r#"{"a":1,"b":[1,{"c":2,"d":3}]}"#,
                r#" {"b":[1, {"d":3,"c":2}], "a": 1}"#,
            ),
            (r#""\u00e9""#, r#""é""#),
            (r#"{"\u0061":1}"#, r#"{"a":1}"#),
        ] {
            assert!(same(one.trim(), other.trim()), "{one} {other}");
        }
    }

    #[test]
    fn every_digit_and_every_order_of_a_list_matters() {
        for (one, other) in [
            ("1180591620717411303424", "1180591620717411303425"),
            ("0.10000000000000000001", "0.10000000000000000002"),
            ("1", "1.0"),
            ("[1,2]", "[2,1]"),
            ("[1,2]", "[12]"),
            (r#""\ud800""#, r#""\ud801""#),
            (r#"{"a":1}"#, r#"{"a":1,"b":1}"#),
            ("{}", "[]"),
            ("null", r#""null""#),
        ] {
            assert!(!same(one, other), "{one} {other}");
        }
        let sorted = |text| canonical(text, Lists::Sorted);
        assert_eq!(sorted("[[1,2],3]"), sorted("[3,[2,1]]"));
        assert_ne!(sorted("[1,1,2]"), sorted("[1,2,2]"));
    }

    #[test]
    fn any_depth_is_compared_without_overflowing_the_stack() {
        let deep = |inner: &str| format!("{}{inner}{}", "[".repeat(50_000), "]".repeat(50_000));
        assert!(same(&deep("1"), &deep("1")));
        assert!(!same(&deep("1"), &deep("2")));
    }

    #[test]
    fn keys_keep_their_spelling() {
        let text = r#"{ "\u0061" : 1 , "\ud800":2, "\\\"":3}"#;
        let members = members(text).unwrap();
        let seen: Vec<_> = members.iter().map(|m| (m.key, &*m.name, m.value)).collect();
        assert_eq!(
            seen,
            [
                (r#""\u0061""#, "a", "1"),
                (r#""\ud800""#, r"\ud800", "2"),
                (r#""\\\"""#, r#"\""#, "3"),
            ]
        );
    }
}
