//! Types that write another text than the one they have read.

use std::{
    cell::Cell,
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use serde::{Deserialize, Serializer};
use serde_json::value::RawValue;

use super::{
    tests::{assert_saved, saved},
    *,
};
use crate::store::StoreErrorKind;

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
    // Fields that the type reads and never writes are still there.
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
