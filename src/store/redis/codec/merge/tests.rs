use std::{
    cell::Cell,
    collections::{BTreeMap, HashMap, HashSet},
    fmt::Write as _,
    sync::atomic::{AtomicU64, Ordering},
};

use serde::{Deserialize, Deserializer, Serializer};
use serde_json::value::RawValue;

use super::*;
use crate::store::StoreErrorKind;

#[track_caller]
fn saved<T: Serialize + DeserializeOwned>(stored: &str, change: impl Fn(&mut T)) -> String {
    let mut new: T = serde_json::from_str(stored).unwrap();
    change(&mut new);
    merged(stored, &new).unwrap().unwrap()
}

#[track_caller]
fn assert_saved<T: Serialize + DeserializeOwned>(
    stored: &str,
    change: impl Fn(&mut T),
    expected: &str,
) {
    assert_eq!(saved(stored, change), expected);
}

#[derive(Clone, Serialize, Deserialize)]
struct Renamed {
    #[serde(alias = "name")]
    user_name: String,
    visits: u128,
    #[serde(alias = "house", default, skip_serializing_if = "Home::is_empty")]
    home: Home,
}

#[derive(Clone, Default, Serialize, Deserialize)]
struct Home {
    #[serde(alias = "zip", default)]
    code: String,
}

impl Home {
    fn is_empty(&self) -> bool {
        self.code.is_empty()
    }
}

#[test]
fn what_is_kept_is_kept_to_the_last_byte_and_in_its_place() {
    for theirs in [
        "1e400",
        "0.30000000000000004",
        "123456789012345678901234567890",
        r#""\ud800""#,
        r#"{"\ud800":[1, 2]}"#,
        &format!("{}{}", "[".repeat(1000), "]".repeat(1000)),
    ] {
        let stored = format!(
            r#"{{"a":{theirs},"user_name":"Ann","home":{{"b":{theirs},"code":"1"}},"visits":0,"c":{theirs}}}"#
        );
        let expected = stored.replace(r#""code":"1""#, r#""code":"2""#);
        assert_saved(
            &stored,
            |new: &mut Renamed| new.home.code = "2".into(),
            &expected,
        );
    }
}

#[test]
fn a_field_under_its_old_name_gives_way_and_nothing_else_does() {
    assert_saved(
        r#"{"name":"Ann","theirs":1e400,"visits":0}"#,
        |new: &mut Renamed| new.visits = u128::MAX,
        r#"{"theirs":1e400,"visits":340282366920938463463374607431768211455,"user_name":"Ann"}"#,
    );
    assert_saved(
        r#"{"home":{"zip":"1","theirs":1},"theirs":1,"user_name":"Ann","visits":0}"#,
        |new: &mut Renamed| new.home.code = "2".into(),
        r#"{"home":{"theirs":1,"code":"2"},"theirs":1,"user_name":"Ann","visits":0}"#,
    );
    assert_saved(
        r#"{"other":{"code":"2"},"house":{"zip":"1","theirs":[1.0]},"user_name":"Ann","visits":0}"#,
        |new: &mut Renamed| new.home.code = "2".into(),
        r#"{"other":{"code":"2"},"user_name":"Ann","visits":0,"home":{"theirs":[1.0],"code":"2"}}"#,
    );
    // A name that is old in one object is another program's in another.
    assert_saved(
        r#"{"home":{"zip":"1","name":1},"zip":"theirs","user_name":"Ann","visits":0}"#,
        |new: &mut Renamed| new.visits = 1,
        r#"{"home":{"name":1,"code":"1"},"zip":"theirs","user_name":"Ann","visits":1}"#,
    );
}

#[test]
fn what_a_type_leaves_out_keeps_the_fields_of_others() {
    assert_saved(
        r#"{"user_name":"Ann","home":{"code":"1","theirs":1},"visits":0}"#,
        |new: &mut Renamed| new.home.code.clear(),
        r#"{"user_name":"Ann","home":{"theirs":1},"visits":0}"#,
    );
    assert_saved(
        r#"{"user_name":"Ann","home":{"theirs":1},"visits":0}"#,
        |new: &mut Renamed| new.home.code = "1".into(),
        r#"{"user_name":"Ann","home":{"theirs":1,"code":"1"},"visits":0}"#,
    );
}

#[derive(Clone, Serialize, Deserialize)]
struct Flat {
    name: String,
    #[serde(flatten)]
    address: Address,
    #[serde(default)]
    partner: Option<Home>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Address {
    #[serde(alias = "town")]
    city: String,
}

#[test]
fn flattened_fields_are_the_types_own() {
    assert_saved(
        r#"{"cookie":{"path":"/"},"name":"Ann","town":"Bonn","partner":{"code":"1","theirs":1}}"#,
        |new: &mut Flat| new.partner = None,
        r#"{"cookie":{"path":"/"},"name":"Ann","partner":null,"city":"Bonn"}"#,
    );
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Tagged {
    Guest {
        visits: u32,
    },
    Member {
        visits: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        level: Option<u32>,
    },
}

#[test]
fn a_field_that_the_new_variant_would_take_for_its_own_gives_way() {
    let guest = |new: &mut Tagged| *new = Tagged::Guest { visits: 2 };
    let member = |new: &mut Tagged| {
        *new = Tagged::Member {
            visits: 2,
            level: None,
        }
    };
    assert_saved(
        r#"{"cookie":1,"kind":"Member","visits":1,"level":3}"#,
        guest,
        r#"{"cookie":1,"kind":"Guest","visits":2}"#,
    );
    assert_saved(
        r#"{"cookie":1,"kind":"Guest","visits":1,"level":3}"#,
        member,
        r#"{"cookie":1,"kind":"Member","visits":2}"#,
    );
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Entry {
    Home {
        #[serde(alias = "zip")]
        code: String,
        floor: u8,
    },
    Shop {
        opens: u8,
    },
}

#[test]
fn an_old_name_in_one_entry_is_another_programs_in_the_next() {
    assert_saved(
        r#"{"a":{"zip":"1","floor":1},"b":{"zip":"theirs","opens":1},"c":{"zip":"2","floor":1}}"#,
        |entries: &mut BTreeMap<String, Entry>| {
            for entry in entries.values_mut() {
                match entry {
                    Entry::Home { floor, .. } => *floor = 2,
                    Entry::Shop { opens } => *opens = 2,
                }
            }
        },
        r#"{"a":{"floor":2,"code":"1"},"b":{"zip":"theirs","opens":2},"c":{"floor":2,"code":"2"}}"#,
    );
}

#[derive(Clone, Serialize, Deserialize)]
struct WithSets {
    roles: HashSet<String>,
    #[serde(with = "pairs")]
    limits: HashMap<u32, Limit>,
    names: HashMap<String, Home>,
    visits: u32,
}

#[derive(Clone, Serialize, Deserialize)]
struct Limit {
    max: u64,
}

/// A map as a list of pairs, in another order each time.
mod pairs {
    use super::*;

    pub(super) fn serialize<S: Serializer>(
        map: &HashMap<u32, Limit>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(map)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<HashMap<u32, Limit>, D::Error> {
        let pairs = Vec::<(u32, Limit)>::deserialize(deserializer)?;
        Ok(pairs.into_iter().collect())
    }
}

#[test]
fn sets_and_maps_of_any_order_cost_no_field_of_another_program() {
    let stored = r#"{"cookie":{"originalMaxAge":1,"path":"/"},"roles":["a","b","c","d","e"],"limits":[[1,{"max":1,"theirs":11}],[2,{"max":2,"theirs":12}],[3,{"max":3,"theirs":13}]],"names":{"a":{"code":"1","theirs":1},"b":{"code":"2","theirs":2}},"visits":0}"#;
    for _ in 0..100 {
        let text = saved(stored, |new: &mut WithSets| {
            new.visits += 1;
            new.roles.insert("f".into());
            new.limits.get_mut(&2).unwrap().max = 20;
            new.names.get_mut("b").unwrap().code = "3".into();
        });
        let sorted = |text: &str| canonical(text, Lists::Sorted);
        let expected = r#"{"cookie":{"originalMaxAge":1,"path":"/"},"roles":["a","b","c","d","e","f"],"limits":[[1,{"max":1,"theirs":11}],[2,{"max":20,"theirs":12}],[3,{"max":3,"theirs":13}]],"names":{"a":{"code":"1","theirs":1},"b":{"code":"3","theirs":2}},"visits":1}"#;
        assert_eq!(sorted(&text), sorted(expected));
    }
}

#[derive(Clone, Serialize, Deserialize)]
struct Cart {
    items: Vec<Item>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Item {
    sku: String,
    #[serde(alias = "quantity")]
    qty: u32,
}

#[test]
fn elements_of_a_list_keep_the_fields_of_others() {
    let stored =
        r#"{"items":[{"sku":"a","qty":1,"price":1.50},{"sku":"b","quantity":2,"price":9.99}]}"#;
    assert_saved(
        stored,
        |cart: &mut Cart| {
            cart.items.push(Item {
                sku: "c".into(),
                qty: 1,
            });
        },
        r#"{"items":[{"sku":"a","qty":1,"price":1.50},{"sku":"b","price":9.99,"qty":2},{"sku":"c","qty":1}]}"#,
    );
    assert_saved(
        stored,
        |cart: &mut Cart| drop(cart.items.remove(0)),
        r#"{"items":[{"sku":"b","price":9.99,"qty":2}]}"#,
    );
    assert_saved(
        stored,
        |cart: &mut Cart| cart.items.swap(0, 1),
        r#"{"items":[{"sku":"b","price":9.99,"qty":2},{"sku":"a","qty":1,"price":1.50}]}"#,
    );
    assert_saved(
        stored,
        |cart: &mut Cart| cart.items[0].qty = 5,
        r#"{"items":[{"sku":"a","qty":5,"price":1.50},{"sku":"b","price":9.99,"qty":2}]}"#,
    );
}

#[derive(Clone, Serialize, Deserialize)]
struct Numbers {
    big: u128,
    list: Vec<u128>,
    raw: Box<RawValue>,
}

#[test]
fn a_change_of_any_digit_or_order_is_a_change() {
    let stored = r#"{"big":1180591620717411303424,"list":[1,2],"raw":0.10000000000000000001}"#;
    assert_saved(
        stored,
        |new: &mut Numbers| {
            new.big += 1;
            new.list.swap(0, 1);
            new.raw = RawValue::from_string("0.10000000000000000002".into()).unwrap();
        },
        r#"{"big":1180591620717411303425,"list":[2,1],"raw":0.10000000000000000002}"#,
    );
}

#[derive(Clone, Serialize, Deserialize)]
struct Float {
    f: f64,
    #[serde(skip_serializing)]
    _theirs: u32,
}

#[test]
fn what_would_not_read_back_is_an_encode_error() {
    let mut new = Float {
        f: f64::NAN,
        _theirs: 1,
    };
    let error = merged(r#"{"f":1.0,"_theirs":1}"#, &new).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Encode);
    assert_eq!(
        written(&f64::INFINITY).unwrap_err().kind(),
        StoreErrorKind::Encode
    );
    // What the type reads and never writes is there to be read.
    new.f = 2.0;
    let text = merged(r#"{"f":1.0,"_theirs":1}"#, &new).unwrap().unwrap();
    assert_eq!(text, r#"{"f":2.0,"_theirs":1}"#);
    assert_eq!(written(&new).unwrap_err().kind(), StoreErrorKind::Encode);
}

/// Writes another number each time.
#[derive(Clone, Deserialize)]
struct Unstable {
    #[serde(alias = "old")]
    name: String,
}

impl Serialize for Unstable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        static WRITTEN: AtomicU64 = AtomicU64::new(0);
        let written = WRITTEN.fetch_add(1, Ordering::Relaxed);
        let map = BTreeMap::from([
            ("name", self.name.clone()),
            ("written", written.to_string()),
        ]);
        map.serialize(serializer)
    }
}

#[test]
fn a_type_that_never_writes_the_same_twice_costs_no_field_of_another_program() {
    let text = saved(r#"{"cookie":1,"name":"Ann"}"#, |new: &mut Unstable| {
        new.name = "Bob".into();
    });
    assert!(
        text.starts_with(r#"{"cookie":1,"name":"Bob","written":""#),
        "{text}"
    );
    let text = saved(r#"{"cookie":1,"old":"Ann"}"#, |new: &mut Unstable| {
        new.name = "Bob".into();
    });
    assert!(
        text.starts_with(r#"{"cookie":1,"name":"Bob","written":""#),
        "{text}"
    );
}

/// Writes another number after some time.
#[derive(Clone, Deserialize)]
struct Clock {
    #[serde(alias = "old")]
    name: String,
}

thread_local! {
    static WRITTEN: Cell<usize> = const { Cell::new(0) };
    static TICKS_AT: Cell<usize> = const { Cell::new(0) };
}

impl Serialize for Clock {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        WRITTEN.set(WRITTEN.get() + 1);
        let has_ticked = WRITTEN.get() >= TICKS_AT.get();
        let map = BTreeMap::from([("name", self.name.clone()), ("t", has_ticked.to_string())]);
        map.serialize(serializer)
    }
}

#[test]
fn a_type_that_writes_the_time_costs_no_field_of_another_program() {
    for ticks_at in 0..30 {
        TICKS_AT.set(ticks_at);
        WRITTEN.set(0);
        let text = saved(r#"{"a":1,"old":"Ann","b":2}"#, |new: &mut Clock| {
            new.name = "Bob".into();
        });
        assert!(
            text.starts_with(r#"{"a":1,"b":2,"name":"Bob","t":"#),
            "{text}"
        );
    }
}

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
