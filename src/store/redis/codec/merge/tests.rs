use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Deserializer, Serializer};

use super::*;

#[track_caller]
pub(super) fn saved<T: Serialize + DeserializeOwned>(
    stored: &str,
    change: impl Fn(&mut T),
) -> String {
    let mut new: T = serde_json::from_str(stored).unwrap();
    change(&mut new);
    merged(stored, &new).unwrap().unwrap()
}

#[track_caller]
pub(super) fn assert_saved<T: Serialize + DeserializeOwned>(
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
pub(super) struct Home {
    #[serde(alias = "zip", default)]
    pub(super) code: String,
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
