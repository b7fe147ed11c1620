//! The number of times that a document is read to find the fields that give way.

use std::{cell::Cell, collections::BTreeMap, fmt::Write as _};

use serde::{Deserialize, Deserializer};

use super::{
    tests::{Home, saved},
    *,
};

thread_local! {
    static READS: Cell<usize> = const { Cell::new(0) };
}

/// Counts how often a document is read.
#[derive(Clone, Serialize)]
#[serde(transparent)]
struct Counted<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Counted<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        READS.set(READS.get() + 1);
        T::deserialize(deserializer).map(Self)
    }
}

// Each read is linear in the bytes, so that a bounded number of them is too.

#[test]
fn one_old_name_among_thousands_of_fields_is_found_by_halving() {
    let mut stored = String::from(r#"{"zip":"1""#);
    for n in 0..5_000 {
        write!(stored, r#","k{n}":1"#).unwrap();
    }
    stored.push('}');
    READS.set(0);
    let text = saved(&stored, |new: &mut Counted<Home>| new.0.code.push('2'));
    let expected = stored
        .replace(r#""zip":"1","#, "")
        .replace('}', r#","code":"12"}"#);
    assert_eq!(text, expected);
    assert!(READS.get() < 2 * 13 + 10, "{} reads", READS.get());
}

#[test]
fn an_old_name_in_every_entry_of_a_map_is_one_culprit() {
    let entries = (0..1_000).map(|n| format!(r#""e{n}":{{"zip":"1","theirs":{n}}}"#));
    let stored = format!("{{{}}}", entries.collect::<Vec<_>>().join(","));
    READS.set(0);
    let text = saved(&stored, |homes: &mut Counted<BTreeMap<String, Home>>| {
        for home in homes.0.values_mut() {
            home.code.push('2');
        }
    });
    let read: BTreeMap<String, BTreeMap<String, serde_json::Value>> =
        serde_json::from_str(&text).unwrap();
    for n in 0..1_000 {
        let entry = &read[&format!("e{n}")];
        assert_eq!(entry["code"], "12");
        assert_eq!(entry["theirs"], n);
        assert_eq!(entry.len(), 2, "{entry:?}");
    }
    assert!(
        READS.get() <= BUDGET / text.len() + 10,
        "{} reads",
        READS.get()
    );
}
