//! Saves that lose nothing of other programs' fields.

use std::collections::BTreeMap;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{
    Value,
    value::{RawValue, to_raw_value},
};

use super::error::encode;
use crate::store::StoreError;

type Fields = BTreeMap<String, Box<RawValue>>;

/// What to store: `stored` with the changes from what it is as a `T` to `new`. `None` when `stored`
/// is no `T`, so that there is nothing to keep.
///
/// What is kept stays as it was written, to the last byte: a number that another program wrote may
/// have more digits than this one's numbers. And what comes out reads as `new`: a kept field that
/// would be in the way, as the old name of one that has an alias, is not kept.
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
    let base = to_raw_value(&base).map_err(encode)?;
    let new = to_raw_value(new).map_err(encode)?;
    let merged = merge(stored, &base, &new).map_err(encode)?;
    let Some(expected) = as_read_again::<T>(&new) else {
        // Nothing reads as this, whatever is stored.
        return Ok(Some(merged));
    };
    let reads_as_new =
        |text: &RawValue| as_read_again::<T>(text).is_some_and(|read| same(&read, &expected));
    if reads_as_new(&merged) {
        return Ok(Some(merged));
    }
    without_what_is_in_the_way(&merged, new, reads_as_new).map_err(encode)
}

/// `new` with as many fields of `merged` as can be.
fn without_what_is_in_the_way(
    merged: &RawValue,
    new: Box<RawValue>,
    reads_as_new: impl Fn(&RawValue) -> bool,
) -> serde_json::Result<Option<Box<RawValue>>> {
    let (Some(merged), Some(mut fields)) = (fields(merged), fields(&new)) else {
        return Ok(Some(new));
    };
    let mut best = new;
    for (field, value) in merged {
        let before = fields.insert(field.clone(), value);
        let candidate = to_raw_value(&fields)?;
        if reads_as_new(&candidate) {
            best = candidate;
        } else if let Some(before) = before {
            fields.insert(field, before);
        } else {
            fields.remove(&field);
        }
    }
    Ok(Some(best))
}

/// What this text is as a `T`, written again.
fn as_read_again<T: Serialize + DeserializeOwned>(text: &RawValue) -> Option<Box<RawValue>> {
    let read: T = serde_json::from_str(text.get()).ok()?;
    to_raw_value(&read).ok()
}

/// The order of fields does not matter: a hash map has another one each time.
fn same(one: &RawValue, other: &RawValue) -> bool {
    let value = |text: &RawValue| serde_json::from_str::<Value>(text.get());
    one.get() == other.get()
        || matches!((value(one), value(other)), (Ok(one), Ok(other)) if one == other)
}

fn fields(text: &RawValue) -> Option<Fields> {
    serde_json::from_str(text.get()).ok()
}

fn merge(stored: &RawValue, base: &RawValue, new: &RawValue) -> serde_json::Result<Box<RawValue>> {
    if same(base, new) {
        return Ok(stored.to_owned());
    }
    match (fields(stored), fields(base), fields(new)) {
        (Some(stored), Some(base), Some(new)) => merge_fields(stored, &base, new),
        _ => Ok(new.to_owned()),
    }
}

fn merge_fields(
    mut stored: Fields,
    base: &Fields,
    new: Fields,
) -> serde_json::Result<Box<RawValue>> {
    for field in base.keys().filter(|field| !new.contains_key(*field)) {
        stored.remove(field);
    }
    for (field, new) in new {
        let merged = match (stored.get(&field), base.get(&field)) {
            (Some(stored), Some(base)) => merge(stored, base, &new)?,
            _ => new,
        };
        stored.insert(field, merged);
    }
    to_raw_value(&stored)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn assert_merged(stored: Value, base: Value, new: Value, expected: Value) {
        let [stored, base, new] = [stored, base, new].map(|json| to_raw_value(&json).unwrap());
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
            let base = to_raw_value(&json!({"a": {"x": 1}, "y": 1.0})).unwrap();
            let new = to_raw_value(&json!({"a": {"x": 2}, "y": 1.0})).unwrap();
            assert_eq!(
                merge(stored, &base, &new).unwrap().get(),
                stored.get().replace(r#""x":1"#, r#""x":2"#)
            );
        }
    }

    #[derive(Serialize, serde::Deserialize)]
    struct Renamed {
        #[serde(alias = "name")]
        user_name: String,
        visits: u128,
        #[serde(default)]
        home: Home,
    }

    #[derive(Default, Serialize, serde::Deserialize)]
    struct Home {
        #[serde(alias = "zip")]
        code: String,
    }

    #[track_caller]
    fn assert_saved(stored: &str, change: impl Fn(&mut Renamed), expected: &str) {
        let mut new: Renamed = serde_json::from_str(stored).unwrap();
        change(&mut new);
        let merged = merged(stored.as_bytes(), &new).unwrap().unwrap();
        assert_eq!(merged.get(), expected);
        let read: Renamed = serde_json::from_str(merged.get()).unwrap();
        assert_eq!(read.visits, new.visits);
    }

    #[test]
    fn what_is_stored_reads_as_what_was_saved() {
        assert_saved(
            r#"{"name":"Ann","theirs":1e400,"visits":0}"#,
            |new| new.visits = u128::MAX,
            r#"{"home":{"code":""},"theirs":1e400,"user_name":"Ann","visits":340282366920938463463374607431768211455}"#,
        );
        assert_saved(
            r#"{"home":{"zip":"1","theirs":1},"theirs":1,"user_name":"Ann","visits":0}"#,
            |new| new.visits = 1,
            r#"{"home":{"zip":"1","theirs":1},"theirs":1,"user_name":"Ann","visits":1}"#,
        );
        assert_saved(
            r#"{"home":{"zip":"1","theirs":1},"theirs":1,"user_name":"Ann","visits":0}"#,
            |new| new.home.code = "2".into(),
            r#"{"home":{"code":"2"},"theirs":1,"user_name":"Ann","visits":0}"#,
        );
    }
}
