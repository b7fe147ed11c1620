//! The part of a record that a program wants, typed.

use std::{collections::HashMap, fmt};

use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::store::{Revision, StoreError, StoreErrorKind};

/// The data of a tower-sessions record.
pub(crate) type Data = HashMap<String, Value>;

/// Reads a `T` at `path`, or from the whole data without a path. `None` when nothing is there, or
/// null.
///
/// The revision is a hash of what is there, so that it holds nothing secret.
pub(crate) fn decode<T: DeserializeOwned>(
    data: Data,
    path: Option<&str>,
) -> Result<Option<(T, Revision)>, StoreError> {
    let whole;
    let value = if let Some(path) = path {
        find(&|key| data.get(key), path)
    } else {
        whole = in_order(data);
        Some(&whole)
    };
    let Some(value) = value else {
        return Ok(None);
    };
    match read(value, path)? {
        Some(data) => Ok(Some((data, revision(value)?))),
        None => Ok(None),
    }
}

/// Reads a `T` from the value at `path`; `None` when it is null.
pub(crate) fn read<T: DeserializeOwned>(
    value: &Value,
    path: Option<&str>,
) -> Result<Option<T>, StoreError> {
    if value.is_null() {
        return Ok(None);
    }
    let read = serde_path_to_error::deserialize(value);
    read.map(Some).map_err(|error| {
        let unfit = DoesNotFit::new(path, error.path());
        StoreError::new(StoreErrorKind::Decode, unfit)
    })
}

/// Finds the value at a path. A key may hold dots itself, as `axum-login.data` does, so the longest
/// key that exists is taken at each level.
fn find<'a>(get: &dyn Fn(&str) -> Option<&'a Value>, path: &str) -> Option<&'a Value> {
    get(path).or_else(|| {
        path.rmatch_indices('.').find_map(|(dot, _)| {
            let inner = get(&path[..dot])?.as_object()?;
            find(&|key| inner.get(key), &path[dot + 1..])
        })
    })
}

/// The order of a `HashMap` changes from load to load, and would change the revision.
fn in_order(data: Data) -> Value {
    let mut fields: Vec<_> = data.into_iter().collect();
    fields.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    Value::Object(fields.into_iter().collect())
}

fn revision(value: &Value) -> Result<Revision, StoreError> {
    let bytes = serde_json::to_vec(value)
        .map_err(|error| StoreError::new(StoreErrorKind::Decode, error))?;
    Ok(Revision::from(Sha256::digest(bytes).to_vec()))
}

/// Names the place in the record that is not as the type wants it. serde's own message is left out,
/// because it quotes the value.
#[derive(Debug)]
struct DoesNotFit {
    path: String,
}

impl DoesNotFit {
    fn new(path: Option<&str>, inner: &serde_path_to_error::Path) -> Self {
        let inner = Some(inner.to_string()).filter(|inner| inner != ".");
        let segments: Vec<&str> = path.into_iter().chain(inner.as_deref()).collect();
        Self {
            path: segments.join("."),
        }
    }
}

impl fmt::Display for DoesNotFit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.path {
            "" => f.write_str("the record's data does not fit the type"),
            path => write!(
                f,
                "the value at `{path}` of the record does not fit the type"
            ),
        }
    }
}

impl std::error::Error for DoesNotFit {}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct User {
        id: u64,
        roles: Vec<u8>,
    }

    fn data(value: Value) -> Data {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn the_longest_key_is_taken_at_each_level() {
        let data = data(json!({
            "axum-login.data": 1,
            "axum-login": {"data": 2, "other": 3},
            "a": {"b.c": {"d": 4}, "b": {"c": {"e": 5}, "c.d": 6}},
            "list": [7],
        }));
        let found = |path| find(&|key| data.get(key), path).and_then(Value::as_u64);
        assert_eq!(found("axum-login.data"), Some(1));
        assert_eq!(found("axum-login.other"), Some(3));
        assert_eq!(found("a.b.c.d"), Some(4));
        assert_eq!(found("a.b.c.e"), Some(5));
        for missing in [
            "",
            ".",
            "a",
            "a.",
            "a.b.c",
            "a.b.c.d.e",
            "list.0",
            "axum-login.data.x",
        ] {
            assert_eq!(found(missing), None, "{missing}");
        }
    }

    #[test]
    fn absent_and_null_is_nothing() {
        for value in [
            json!({}),
            json!({"app": null}),
            json!({"app": {"user": null}}),
        ] {
            let decoded = decode::<User>(data(value), Some("app.user")).unwrap();
            assert_eq!(decoded.map(|(user, _)| user), None);
        }
    }

    #[test]
    fn what_does_not_fit_is_named_and_not_quoted() {
        let wrong = json!({"app": {"user": {"id": 1, "roles": [1, "secret"]}}});
        let error = decode::<User>(data(wrong.clone()), Some("app.user")).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Decode);
        let source = error.source().unwrap();
        let text = "the value at `app.user.roles[1]` of the record does not fit the type";
        assert_eq!(source.to_string(), text);
        assert!(!format!("{error:?}").contains("secret"));

        let error = decode::<User>(data(json!({"app.user": "secret"})), Some("app.user"));
        let text = "the value at `app.user` of the record does not fit the type";
        assert_eq!(error.unwrap_err().source().unwrap().to_string(), text);

        let error = decode::<User>(data(wrong), None).unwrap_err();
        let text = "the record's data does not fit the type";
        assert_eq!(error.source().unwrap().to_string(), text);
    }

    #[test]
    fn the_revision_changes_with_the_value_alone() {
        let of = |value: Value, path| decode::<Value>(data(value), path).unwrap().unwrap().1;
        let many: serde_json::Map<_, _> = (0..50).map(|n| (n.to_string(), json!(n))).collect();
        let same = || Value::Object(many.clone());
        assert!(of(same(), None) == of(same(), None));
        let mut other = many.clone();
        other.insert("7".into(), json!(8));
        assert!(of(same(), None) != of(Value::Object(other.clone()), None));
        assert!(of(same(), Some("1")) == of(Value::Object(other), Some("1")));
    }
}
