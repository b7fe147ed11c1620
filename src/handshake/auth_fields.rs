//! Finds text fields in an `auth` payload, and skips everything else without building it.

use std::{borrow::Cow, fmt};

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

/// The value of a field of an `auth` payload.
pub(super) enum Content<'a> {
    Null,
    Text(Cow<'a, str>),
    Other,
}

/// Finds one field of a JSON object. JSON that is no object has no fields; of a repeated field, the
/// last one counts, as in JavaScript.
///
/// Attacker-controlled text. What is skipped is scanned without recursion, so depth costs nothing.
pub(super) fn json_field<'a>(json: &'a [u8], name: &str) -> serde_json::Result<Content<'a>> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let is_object = json.trim_ascii_start().starts_with(b"{");
    let content = if is_object {
        (&mut deserializer).deserialize_map(OneField { name })?
    } else {
        IgnoredAny::deserialize(&mut deserializer)?;
        Content::Null
    };
    deserializer.end()?;
    Ok(content)
}

/// The text fields of an `auth` payload that came in another format than JSON.
///
/// Implements [`Deserialize`] for any self-describing format. A payload that is no map has no
/// fields, and values other than text are skipped, binary ones included.
///
/// ```
/// use socketioxide_session::extractor::{AuthField, AuthFields, AuthPayload, Handshake};
///
/// let decode = || serde_json::from_str::<AuthFields>(r#"{"token":"abc","theme":[1,2]}"#).ok();
/// let payload = AuthPayload::encoded(29, &decode);
/// let (parts, ()) = http::Request::new(()).into_parts();
/// let handshake = Handshake::from_parts(&parts).with_auth(&payload);
/// assert_eq!(handshake.auth_field("token"), AuthField::Text("abc".into()));
/// assert_eq!(handshake.auth_field("theme"), AuthField::Other);
/// ```
#[derive(Default)]
pub struct AuthFields(Vec<(String, Content<'static>)>);

impl AuthFields {
    pub(super) fn get(&self, name: &str) -> Option<&Content<'static>> {
        let named = self.0.iter().rev().find(|(key, _)| key == name);
        named.map(|(_, content)| content)
    }
}

impl<'de> Deserialize<'de> for AuthFields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AllFields)
    }
}

// The fields hold a credential.
impl fmt::Debug for AuthFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthFields").finish_non_exhaustive()
    }
}

/// The visits of values that are skipped.
macro_rules! skip {
    ($skipped:expr; $($visit:ident: $type:ty),+ $(,)?) => {
        $(fn $visit<E>(self, _: $type) -> Result<Self::Value, E> {
            Ok($skipped)
        })+

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            Ok($skipped)
        }

        fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<Self::Value, D::Error> {
            inner.deserialize_any(self)
        }

        fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Self::Value, D::Error> {
            IgnoredAny::deserialize(inner)?;
            Ok($skipped)
        }
    };
}

struct OneField<'n> {
    name: &'n str,
}

impl<'de> Visitor<'de> for OneField<'_> {
    type Value = Content<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = Content::Null;
        while let Some(is_named) = map.next_key_seed(IsName(self.name))? {
            if is_named {
                found = map.next_value_seed(ContentSeed)?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// Compares a key without building it.
struct IsName<'n>(&'n str);

impl<'de> DeserializeSeed<'de> for IsName<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for IsName<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.0)
    }
}

struct ContentSeed;

impl<'de> DeserializeSeed<'de> for ContentSeed {
    type Value = Content<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ContentSeed {
    type Value = Content<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Content::Null)
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(Content::Null)
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Content::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Content::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Content::Other)
    }

    skip! { Content::Other;
        visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_bytes: &[u8],
    }
}

struct AllFields;

impl<'de> Visitor<'de> for AllFields {
    type Value = AuthFields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an auth payload")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = AuthFields::default();
        while let Some(key) = map.next_key_seed(ContentSeed)? {
            let content = match map.next_value_seed(ContentSeed)? {
                Content::Null => Content::Null,
                Content::Text(text) => Content::Text(Cow::Owned(text.into_owned())),
                Content::Other => Content::Other,
            };
            if let Content::Text(key) = key {
                fields.0.push((key.into_owned(), content));
            }
        }
        Ok(fields)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(AuthFields::default())
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(AuthFields::default())
    }

    skip! { AuthFields::default();
        visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_bytes: &[u8],
        visit_str: &str,
    }
}
