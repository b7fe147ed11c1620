//! Saves that lose nothing of other programs' fields.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::error::{decode, encode};
use crate::store::StoreError;

/// What to store: `stored` with the changes from what it is as a `T` to `new`. `None` when `stored`
/// is no `T`, so that there is nothing to keep.
pub(super) fn merged<T: Serialize + DeserializeOwned>(
    stored: &[u8],
    new: &T,
) -> Result<Option<Value>, StoreError> {
    let Ok(base) = serde_json::from_slice::<T>(stored) else {
        return Ok(None);
    };
    let mut merged: Value = serde_json::from_slice(stored).map_err(decode)?;
    let base = serde_json::to_value(&base).map_err(encode)?;
    let new = serde_json::to_value(new).map_err(encode)?;
    merge(&mut merged, &base, new);
    Ok(Some(merged))
}

fn merge(stored: &mut Value, base: &Value, new: Value) {
    match (stored, base, new) {
        (Value::Object(stored), Value::Object(base), Value::Object(new)) => {
            merge_objects(stored, base, new);
        }
        (stored, _, new) => *stored = new,
    }
}

fn merge_objects(
    stored: &mut Map<String, Value>,
    base: &Map<String, Value>,
    new: Map<String, Value>,
) {
    for field in base.keys().filter(|field| !new.contains_key(*field)) {
        stored.remove(field);
    }
    for (field, new) in new {
        match (stored.get_mut(&field), base.get(&field)) {
            (Some(stored), Some(base)) => merge(stored, base, new),
            _ => {
                stored.insert(field, new);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn assert_merged(stored: Value, base: Value, new: Value, expected: Value) {
        let mut merged = stored;
        merge(&mut merged, &base, new);
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
        // What this type shows otherwise than it is stored, as a default, is written as it is now.
        assert_merged(
            json!({"theirs": 1}),
            json!({"default": null}),
            json!({"default": null}),
            json!({"theirs": 1, "default": null}),
        );
    }
}
