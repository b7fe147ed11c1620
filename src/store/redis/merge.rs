//! Saves that lose nothing of other programs' fields.

use std::collections::BTreeMap;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{
    Map, Value,
    value::{RawValue, to_raw_value},
};

use super::error::encode;
use crate::store::StoreError;

/// What to store: `stored` with the changes from what it is as a `T` to `new`. `None` when `stored`
/// is no `T`, so that there is nothing to keep.
///
/// What is kept stays as it was written, to the last byte: a number that another program wrote may
/// have more digits than this one's numbers.
pub(super) fn merged<T: Serialize + DeserializeOwned>(
    stored: &[u8],
    new: &T,
) -> Result<Option<Box<RawValue>>, StoreError> {
    let (Ok(base), Ok(stored)) = (
        serde_json::from_slice::<T>(stored),
        serde_json::from_slice::<&RawValue>(stored),
    ) else {
        return Ok(None);
    };
    let base = serde_json::to_value(&base).map_err(encode)?;
    let new = serde_json::to_value(new).map_err(encode)?;
    merge(stored, &base, &new).map(Some).map_err(encode)
}

fn merge(stored: &RawValue, base: &Value, new: &Value) -> serde_json::Result<Box<RawValue>> {
    if base == new {
        return Ok(stored.to_owned());
    }
    if let (Value::Object(base), Value::Object(new)) = (base, new)
        && let Ok(fields) = serde_json::from_str(stored.get())
    {
        return merge_objects(fields, base, new);
    }
    to_raw_value(new)
}

fn merge_objects(
    mut stored: BTreeMap<String, Box<RawValue>>,
    base: &Map<String, Value>,
    new: &Map<String, Value>,
) -> serde_json::Result<Box<RawValue>> {
    for field in base.keys().filter(|field| !new.contains_key(*field)) {
        stored.remove(field);
    }
    for (field, new) in new {
        let merged = match (stored.get(field), base.get(field)) {
            (Some(stored), Some(base)) => merge(stored, base, new)?,
            _ => to_raw_value(new)?,
        };
        stored.insert(field.clone(), merged);
    }
    to_raw_value(&stored)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn assert_merged(stored: Value, base: Value, new: Value, expected: Value) {
        let stored = to_raw_value(&stored).unwrap();
        let merged = merge(&stored, &base, &new).unwrap();
        let merged: Value = serde_json::from_str(merged.get()).unwrap();
        assert_eq!(merged, expected);
    }

    #[test]
    fn unknown_fields_are_kept_and_removed_ones_stay_removed() {
        assert_merged(
            json!({"cookie": {"path": "/"}, "name": "Ann", "old": 1}),
            json!({"name": "Ann", "old": 1}),
            json!({"name": "Anna", "new": 2}),
            json!({"cookie": {"path": "/"}, "name": "Anna", "new": 2}),
        );
        assert_merged(
            json!({"user": {"name": "Ann", "theirs": true, "gone": 1}}),
            json!({"user": {"name": "Ann", "gone": 1}}),
            json!({"user": {"name": "Anna"}}),
            json!({"user": {"name": "Anna", "theirs": true}}),
        );
        assert_merged(
            json!({"list": [1, 2], "map": {"a": 1}}),
            json!({"list": [1, 2], "map": {"a": 1}}),
            json!({"list": [3], "map": {}}),
            json!({"list": [3], "map": {}}),
        );
        // What did not change is not written, with what others have in it.
        assert_merged(
            json!({"list": [{"a": 1, "theirs": 2}], "count": 1}),
            json!({"list": [{"a": 1}], "count": 1}),
            json!({"list": [{"a": 1}], "count": 2}),
            json!({"list": [{"a": 1, "theirs": 2}], "count": 2}),
        );
        // What is there for one of the two only.
        assert_merged(
            json!({"theirs": 1, "both": 1}),
            json!({}),
            json!({"default": null, "both": 2}),
            json!({"theirs": 1, "default": null, "both": 2}),
        );
        // What was no object in the store.
        assert_merged(
            json!({"a": "text"}),
            json!({"a": {"from": "text"}}),
            json!({"a": {"from": "more"}}),
            json!({"a": {"from": "more"}}),
        );
    }

    #[test]
    fn what_is_kept_is_kept_to_the_last_byte() {
        for theirs in [
            "1e400",
            "0.30000000000000004",
            "123456789012345678901234567890",
            r#""\ud800""#,
            &format!("{}{}", "[".repeat(1000), "]".repeat(1000)),
        ] {
            let stored =
                format!(r#"{{"a":{{"theirs":{theirs},"x":1}},"theirs":{theirs},"y":1.0}}"#);
            let stored: &RawValue = serde_json::from_str(&stored).unwrap();
            let merged = merge(
                stored,
                &json!({"a": {"x": 1}, "y": 1.0}),
                &json!({"a": {"x": 2}, "y": 1.0}),
            );
            assert_eq!(
                merged.unwrap().get(),
                stored.get().replace(r#""x":1"#, r#""x":2"#)
            );
        }
    }
}
