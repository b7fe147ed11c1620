//! The place of a type in a record.

use std::{fmt, marker::PhantomData, sync::Arc};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::merge::text::members;

/// Maximum number of names in a path.
const MAX_NAMES: usize = 16;

/// The names of the fields that lead to a value, from the outermost to the innermost. Without any, it
/// is the whole record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FieldPath(Arc<[String]>);

impl FieldPath {
    /// Parses a path whose names are separated by dots.
    ///
    /// # Errors
    ///
    /// When a name is empty, or there are more than 16.
    pub(crate) fn dotted(path: &str) -> Result<Self, FieldPathError> {
        Self::new(path.split('.'))
    }

    /// A path of these names, which may contain dots.
    ///
    /// # Errors
    ///
    /// When a name is empty, or there are more than 16.
    pub(crate) fn new<'a>(
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, FieldPathError> {
        let names: Arc<[String]> = names.into_iter().map(str::to_owned).collect();
        if names.len() > MAX_NAMES || names.iter().any(String::is_empty) {
            return Err(FieldPathError(()));
        }
        Ok(Self(names))
    }

    pub(crate) fn names(&self) -> &[String] {
        &self.0
    }

    /// Reads what stands at this path of a record: `None` when nothing does, or null.
    pub(crate) fn read<T>(&self) -> At<'_, T> {
        At {
            path: &self.0,
            data: PhantomData,
        }
    }
}

/// A path has an empty name, or too many.
///
/// ```
/// use socketioxide_session::interop::express::{ExpressRecords, ExpressRecordsError};
///
/// let refused = ExpressRecords::new().field("passport..user");
/// assert!(matches!(refused, Err(ExpressRecordsError::Field(_))));
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[error("the path of a field is 1 to {MAX_NAMES} names, separated by dots")]
pub struct FieldPathError(());

/// The text of the value at this path of a JSON record. Of a doubled key, the last one counts, as it
/// does in JavaScript.
pub(super) fn find<'a>(text: &'a str, path: &[impl AsRef<str>]) -> Option<&'a str> {
    path.iter().try_fold(text, |text, name| {
        let members = members(text)?;
        let found = members
            .iter()
            .rfind(|member| member.name == name.as_ref())?;
        Some(found.value)
    })
}

/// A JSON record with another value at this path; objects that are missing on the way are added.
/// Everything else stays as it is, to the last byte.
pub(super) fn replaced(text: &str, path: &[impl AsRef<str>], value: &str) -> String {
    let [name, rest @ ..] = path else {
        return value.to_owned();
    };
    let name = name.as_ref();
    let members = members(text).unwrap_or_default();
    let found = members.iter().rposition(|member| member.name == name);
    let mut written: Vec<String> = members
        .iter()
        .enumerate()
        .map(|(nth, member)| {
            if Some(nth) == found {
                format!("{}:{}", member.key, replaced(member.value, rest, value))
            } else {
                format!("{}:{}", member.key, member.value)
            }
        })
        .collect();
    if found.is_none() {
        let key = serde_json::Value::from(name);
        written.push(format!("{key}:{}", replaced("{}", rest, value)));
    }
    format!("{{{}}}", written.join(","))
}

/// Reads a value at a path, without building what stands beside it.
pub(crate) struct At<'p, T> {
    path: &'p [String],
    data: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for At<'_, T> {
    type Value = Option<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<T>, D::Error> {
        if self.path.is_empty() {
            Option::deserialize(deserializer)
        } else {
            deserializer.deserialize_any(self)
        }
    }
}

/// A value that is no object has no fields, so the path is absent.
impl<'de, T: Deserialize<'de>> Visitor<'de> for At<'_, T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<T>, A::Error> {
        let [name, rest @ ..] = self.path else {
            return Ok(None);
        };
        let mut found = None;
        while let Some(is_it) = map.next_key_seed(IsName(name))? {
            if is_it {
                let (path, data) = (rest, PhantomData);
                found = map.next_value_seed(At { path, data })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Option<T>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_unit<E: Error>(self) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Option<T>, E> {
        Ok(None)
    }
}

/// Compares a key as bytes, because one that JavaScript wrote may hold a lone surrogate.
struct IsName<'p>(&'p str);

impl<'de> DeserializeSeed<'de> for IsName<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_bytes(self)
    }
}

impl Visitor<'_> for IsName<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_bytes<E: Error>(self, key: &[u8]) -> Result<bool, E> {
        Ok(key == self.0.as_bytes())
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.0)
    }
}
