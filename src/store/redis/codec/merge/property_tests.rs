//! Generated documents, read and written by generated types.

use std::{
    cell::Cell,
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
    hash::{BuildHasher as _, RandomState},
};

use proptest::{collection::vec, prelude::*};
use serde::{
    Deserialize, Deserializer, Serializer,
    de::{Error as _, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    text::{Member, elements, members, same},
    *,
};

thread_local! {
    /// The names `k0` … `k7` that the type under test knows, as bits.
    static KNOWN: Cell<u8> = const { Cell::new(0) };
    /// Of these, the ones that it also reads as `a0` … `a7`.
    static ALIASED: Cell<u8> = const { Cell::new(0) };
}

/// The field that a name stands for, if the type knows it.
fn field(name: &str) -> Option<u8> {
    let bits = match name.as_bytes().first()? {
        b'k' => KNOWN.get(),
        b'a' => KNOWN.get() & ALIASED.get(),
        _ => return None,
    };
    let bit: u8 = name.get(1..)?.parse().ok()?;
    (bits & 1 << bit != 0).then_some(bit)
}

/// A type that knows some fields of objects, at every depth, and ignores the others. It writes fields in
/// another order each time, and refuses doubled ones, as derived types do.
#[derive(Debug, Clone)]
enum Known {
    Other(String),
    Object(BTreeMap<u8, Known>),
}

impl PartialEq for Known {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Other(one), Self::Other(other)) => same(one, other),
            (Self::Object(one), Self::Object(other)) => one == other,
            _ => false,
        }
    }
}

impl<'de> Deserialize<'de> for Known {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&RawValue>::deserialize(deserializer)?.get();
        if !text.starts_with('{') {
            return Ok(Self::Other(text.to_owned()));
        }
        let mut json = serde_json::Deserializer::from_str(text);
        json.deserialize_map(Fields).map_err(D::Error::custom)
    }
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Known;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Known, A::Error> {
        let mut fields = BTreeMap::new();
        while let Some(name) = map.next_key::<String>()? {
            let Some(field) = field(&name) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if fields.insert(field, map.next_value()?).is_some() {
                return Err(A::Error::custom("duplicate field"));
            }
        }
        Ok(Known::Object(fields))
    }
}

impl Serialize for Known {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Other(text) => RawValue::from_string(text.clone())
                .unwrap()
                .serialize(serializer),
            Self::Object(fields) => {
                let mut fields: Vec<_> = fields.iter().collect();
                let order = RandomState::new();
                fields.sort_by_key(|(field, _)| order.hash_one(field));
                serializer.collect_map(fields.iter().map(|(field, v)| (format!("k{field}"), v)))
            }
        }
    }
}

fn scalar() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<u128>().prop_map(|number| number.to_string()),
        "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?",
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
        prop::sample::select(vec![
            "null",
            "true",
            "false",
            r#""\ud800""#,
            "[1,[2]]",
            "{}",
            "[]"
        ])
        .prop_map(str::to_owned),
    ]
}

/// A document with known, old and unknown names.
fn document() -> impl Strategy<Value = String> {
    let leaf = scalar().boxed();
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            1 => vec(inner.clone(), 0..4).prop_map(|list| format!("[{}]", list.join(","))),
            4 => object(inner),
        ]
    })
}

fn object(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    vec((0..24_u8, value), 0..7).prop_map(|members| {
        let mut seen = HashSet::new();
        let members = members.into_iter().filter_map(|(name, value)| {
            let (kind, number) = (["k", "a", "x"][usize::from(name / 8)], name % 8);
            // A field does not stand under both of its names.
            let is_new = seen.insert((kind == "x", number));
            is_new.then(|| format!(r#""{kind}{number}":{value}"#))
        });
        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
    })
}

fn named<'a, 'b>(members: &'b [Member<'a>], name: &str) -> Option<&'b Member<'a>> {
    members.iter().find(|member| member.name == name)
}

/// Each field that the type does not know is there to the last byte, wherever the type writes an object
/// at that place.
#[track_caller]
fn assert_theirs_kept(stored: &str, new: &str, result: &str, whole: &str) {
    let (Some(stored), Some(new)) = (members(stored), members(new)) else {
        return;
    };
    let result = members(result).unwrap();
    for member in stored {
        match field(&member.name) {
            None => {
                let kept = named(&result, &member.name).map(|kept| kept.value);
                assert_eq!(kept, Some(member.value), "{} in {whole}", member.name);
            }
            // The value under an old name goes with it.
            Some(_) if member.name.starts_with('a') => {}
            Some(_) => {
                let (new, result) = (named(&new, &member.name), named(&result, &member.name));
                if let (Some(new), Some(result)) = (new, result) {
                    assert_theirs_kept(member.value, new.value, result.value, whole);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn nothing_is_lost_and_the_result_reads_as_what_was_saved(
        known: u8,
        aliased: u8,
        stored in object(document()),
        other in object(document()),
    ) {
        KNOWN.set(known);
        ALIASED.set(aliased);
        let new: Known = serde_json::from_str(&other).unwrap();
        let text = merged(&stored, &new).unwrap().unwrap();
        let read: Known = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(&read, &new);
        assert_theirs_kept(&stored, &serde_json::to_string(&new).unwrap(), &text, &text);
    }

    #[test]
    fn a_save_without_a_change_changes_no_value(known: u8, stored in object(document())) {
        KNOWN.set(known);
        ALIASED.set(0);
        let read: Known = serde_json::from_str(&stored).unwrap();
        let text = merged(&stored, &read).unwrap().unwrap();
        prop_assert_eq!(text, stored);
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Account {
    #[serde(alias = "old_name")]
    name: String,
    #[serde(rename = "Rôles")]
    roles: HashSet<u8>,
    big: i128,
    amounts: Vec<f64>,
    homes: HashMap<String, Home>,
    #[serde(flatten)]
    address: Address,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    cart: Vec<Item>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Home {
    #[serde(alias = "zip")]
    code: u64,
    #[serde(default, skip_serializing_if = "HashSet::is_empty")]
    rooms: HashSet<(u8, bool)>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Address {
    #[serde(alias = "town")]
    city: String,
    #[serde(flatten)]
    point: Point,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Point {
    x: i32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Item {
    sku: u32,
    qty: u8,
}

prop_compose! {
    fn home()(code: u64, rooms in prop::collection::hash_set(any::<(u8, bool)>(), 0..4)) -> Home {
        Home { code, rooms }
    }
}

prop_compose! {
    fn account()(
        name: String,
        roles in prop::collection::hash_set(any::<u8>(), 0..6),
        big: i128,
        amounts in vec(prop::num::f64::NORMAL, 0..3),
        homes in prop::collection::hash_map("[a-e]", home(), 0..4),
        city: String,
        x: i32,
        note: Option<String>,
        quantities in vec(any::<u8>(), 0..5),
    ) -> Account {
        let cart = (0..).zip(quantities).map(|(sku, qty)| Item { sku, qty }).collect();
        let address = Address { city, point: Point { x } };
        Account { name, roles, big, amounts, homes, address, note, cart }
    }
}

/// Adds a field of another program to an object.
fn with_theirs(object: &str, theirs: &str) -> String {
    let comma = if object == "{}" { "" } else { "," };
    format!(r#"{{"theirs":{theirs}{comma}{}"#, &object[1..])
}

fn assert_theirs(object: &str, theirs: &str, whole: &str) {
    let members = members(object).unwrap();
    let kept = named(&members, "theirs").map(|kept| kept.value);
    assert_eq!(kept, Some(theirs), "{object} in {whole}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn derived_types_lose_nothing(
        old in account(),
        new in account(),
        // A type with flattened fields decodes the fields of others too.
        theirs in document().prop_filter("decodable", |text| {
            serde_json::from_str::<serde_json::Value>(text).is_ok()
        }),
        old_names: [bool; 3],
    ) {
        let [name, city, code] = old_names;
        let mut stored = serde_json::to_string(&old).unwrap();
        for home in old.homes.values() {
            let text = serde_json::to_string(&home).unwrap();
            for text in [text, serde_json::to_string(&home).unwrap()] {
                stored = stored.replacen(&format!(":{text}"), &format!(":{}", with_theirs(&text, &theirs)), 1);
            }
        }
        for item in &old.cart {
            let text = serde_json::to_string(item).unwrap();
            stored = stored.replacen(&text, &with_theirs(&text, &theirs), 1);
        }
        stored = with_theirs(&stored, &theirs);
        for (is_old, name, old_name) in
            [(name, "name", "old_name"), (city, "city", "town"), (code, "code", "zip")]
        {
            if is_old {
                stored = stored.replace(&format!(r#""{name}":"#), &format!(r#""{old_name}":"#));
            }
        }
        let text = merged(&stored, &new).unwrap().unwrap();
        let read: Account = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(&read, &new);

        assert_theirs(&text, &theirs, &text);
        let all = members(&text).unwrap();
        let had = members(&stored).unwrap();
        let old_homes = members(named(&had, "homes").unwrap().value).unwrap();
        for home in members(named(&all, "homes").unwrap().value).unwrap() {
            // A set in another order each time was not found by the test itself.
            let old = named(&old_homes, &home.name);
            if old.is_some_and(|old| old.value.contains("theirs")) {
                assert_theirs(home.value, &theirs, &text);
            }
        }
        let cart = elements(named(&all, "cart").unwrap().value).unwrap();
        for (nth, item) in cart.into_iter().enumerate() {
            let same = old.cart.get(nth) == new.cart.get(nth);
            if same || old.cart.len() == new.cart.len() {
                assert_theirs(item, &theirs, &text);
            }
        }
    }
}
