//! Against what the real crates write and read.

use std::collections::HashMap;

use cookie::time::OffsetDateTime;
use proptest::{collection::hash_map, prelude::*};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{super::raw_id, NoRecord, RecordBytes, written as new_record};

#[derive(Deserialize)]
struct Golden {
    redis: Vec<Written>,
}

/// Record of the real Redis store.
#[derive(Deserialize)]
struct Written {
    name: String,
    data: Map<String, Value>,
    expiry_unix_nanos: String,
    redis_key: String,
    redis_expiretime: i64,
    value_hex: String,
    decodes_as_tower_sessions_0_15_record: bool,
    /// `None`: the order of several keys is another one each time.
    same_bytes_from_0_15: Option<bool>,
}

impl Written {
    fn bytes(&self) -> Vec<u8> {
        (0..self.value_hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&self.value_hex[at..at + 2], 16).unwrap())
            .collect()
    }
}

fn written() -> Vec<Written> {
    let text = include_str!("../../../../tests/golden/tower-sessions.json");
    serde_json::from_str::<Golden>(text).unwrap().redis
}

#[test]
fn what_the_redis_store_wrote_is_read() {
    for written in written() {
        let bytes = written.bytes();
        let record = RecordBytes::parse(&bytes).expect(&written.name);
        assert_eq!(
            Some(record.id()),
            raw_id::parse(written.redis_key.as_bytes())
        );
        assert_eq!(record.data().unwrap(), written.data, "{}", written.name);
        let nanos = record.expires().unwrap().unix_timestamp_nanos();
        assert_eq!(nanos.to_string(), written.expiry_unix_nanos);
        // The key expires in the same second.
        let seconds = record.expires().unwrap().unix_timestamp();
        assert_eq!(seconds, written.redis_expiretime, "{}", written.name);
        // One format for both versions.
        assert!(written.decodes_as_tower_sessions_0_15_record);
        assert_ne!(written.same_bytes_from_0_15, Some(false));
    }
}

#[test]
fn a_change_to_the_same_changes_no_byte() {
    for written in written() {
        let bytes = written.bytes();
        let record = RecordBytes::parse(&bytes).unwrap();
        assert_eq!(record.with_id(record.id()), bytes);
        assert_eq!(record.with_data(&written.data).unwrap(), bytes);
        for (key, value) in &written.data {
            assert_eq!(record.with_field(key, value).unwrap(), bytes, "{key}");
            assert_eq!(record.field(key).as_ref(), Some(value), "{key}");
        }
        assert_eq!(record.with_field("no such field", &json!(1)), None);
        assert_eq!(record.field("no such field"), None);
    }
}

#[test]
fn what_is_no_record_is_refused_whole() {
    for written in written() {
        let bytes = written.bytes();
        for end in 0..bytes.len() {
            let cut = RecordBytes::parse(&bytes[..end]);
            assert_eq!(cut.err(), Some(NoRecord), "{} cut at {end}", written.name);
        }
        let longer = [&bytes[..], &[0xc0]].concat();
        assert!(RecordBytes::parse(&longer).is_err());
    }
    let numbered_keys = [
        &[0x93, 0xc4, 16][..],
        &[0; 16],
        &[0x81, 1, 2, 0x99],
        &[0; 9],
    ]
    .concat();
    assert!(RecordBytes::parse(&numbered_keys).is_err());
    let day_zero = [&[0x93, 0xc4, 16][..], &[0; 16], &[0x80, 0x99], &[0; 9]].concat();
    assert!(RecordBytes::parse(&day_zero).is_err());
    let nil = [
        &[0x93, 0xc4, 16][..],
        &[0; 16],
        &[0xc0, 0x99],
        &[0, 1],
        &[0; 7],
    ]
    .concat();
    assert!(RecordBytes::parse(&nil).is_err());
    let empty = [
        &[0x93, 0xc4, 16][..],
        &[0; 16],
        &[0x80, 0x99],
        &[0, 1],
        &[0; 7],
    ]
    .concat();
    assert!(RecordBytes::parse(&empty).is_ok());
    // The header of an array of 4,294,967,295 elements, without them.
    let bomb = [&[0x93, 0xc4, 16][..], &[0; 16], &[0xdd, 255, 255, 255, 255]].concat();
    assert!(RecordBytes::parse(&bomb).is_err());
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1e300f64..1e300).prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        "[a-z]{256,260}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            hash_map(any_key(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn any_key() -> impl Strategy<Value = String> {
    prop_oneof!["[a-c.]{0,4}", ".{0,10}"]
}

fn any_data() -> impl Strategy<Value = HashMap<String, Value>> {
    // 16 entries and more have another header.
    hash_map(any_key(), any_json(), 0..20)
}

fn any_time() -> impl Strategy<Value = OffsetDateTime> {
    (0..10_000_000_000i64, 0..1_000_000_000i64).prop_map(|(seconds, nanos)| {
        OffsetDateTime::from_unix_timestamp(seconds).unwrap()
            + cookie::time::Duration::nanoseconds(nanos)
    })
}

/// The properties, with the record of one version of tower-sessions.
macro_rules! properties {
    ($version:ident, $core:ident) => {
        mod $version {
            use $core::session::{Id, Record};

            use super::*;

            fn read(bytes: &[u8]) -> Record {
                rmp_serde::from_slice(bytes).expect("a record of tower-sessions")
            }

            proptest! {
                #![proptest_config(ProptestConfig::with_cases(48))]

                #[test]
                fn all_that_tower_sessions_writes_is_read(
                    id in any::<i128>(), data in any_data(), expiry_date in any_time(),
                ) {
                    let written = Record { id: Id(id), data, expiry_date };
                    let bytes = rmp_serde::to_vec(&written).unwrap();
                    let record = RecordBytes::parse(&bytes).unwrap();
                    prop_assert_eq!(record.id(), id);
                    prop_assert_eq!(record.expires(), Some(expiry_date));
                    let data: HashMap<_, _> = record.data().unwrap().into_iter().collect();
                    prop_assert_eq!(&data, &written.data);
                    let same = new_record(id, &record.data().unwrap(), expiry_date).unwrap();
                    prop_assert_eq!(&read(&same), &written);
                    let text = written.id.to_string();
                    prop_assert_eq!(text, raw_id::session_id(id).expose().to_owned());
                }

                #[test]
                fn tower_sessions_reads_all_that_was_not_changed(
                    data in any_data(), key in any_key(), old in any_json(), new in any_json(),
                    id in any::<i128>(), later in any_time(),
                ) {
                    let mut written = Record {
                        id: Id(1),
                        data,
                        expiry_date: later,
                    };
                    written.data.insert(key.clone(), old);
                    let bytes = rmp_serde::to_vec(&written).unwrap();

                    let bytes = RecordBytes::parse(&bytes).unwrap().with_field(&key, &new).unwrap();
                    written.data.insert(key, new.clone());
                    prop_assert_eq!(&read(&bytes), &written);

                    let bytes = RecordBytes::parse(&bytes).unwrap().with_id(id);
                    written.id = Id(id);
                    prop_assert_eq!(&read(&bytes), &written);

                }

                #[test]
                fn tower_sessions_reads_the_data_that_replaced_another(
                    old in any_data(), new in any_data(), kept in any_data(),
                ) {
                    let with_kept = |mut data: HashMap<_, _>| {
                        data.extend(kept.clone());
                        data
                    };
                    let mut written = Record {
                        id: Id(1),
                        data: with_kept(old),
                        expiry_date: OffsetDateTime::UNIX_EPOCH,
                    };
                    let bytes = rmp_serde::to_vec(&written).unwrap();
                    written.data = with_kept(new);
                    let data = written.data.clone().into_iter().collect();
                    let bytes = RecordBytes::parse(&bytes).unwrap().with_data(&data).unwrap();
                    prop_assert_eq!(&read(&bytes), &written);
                }

                #[test]
                fn a_nested_field_is_changed_where_it_is(new in any_json()) {
                    let mut written = Record {
                        id: Id(1),
                        data: HashMap::from([
                            ("app".to_owned(), json!({"before": 1, "user": {"id": 1}, "z": [2]})),
                            ("other.user".to_owned(), json!(true)),
                        ]),
                        expiry_date: OffsetDateTime::UNIX_EPOCH,
                    };
                    let bytes = rmp_serde::to_vec(&written).unwrap();
                    let record = RecordBytes::parse(&bytes).unwrap();
                    let bytes = record.with_field("app.user", &new).unwrap();
                    written.data.get_mut("app").unwrap()["user"] = new;
                    prop_assert_eq!(&read(&bytes), &written);
                }
            }
        }
    };
}

#[cfg(feature = "tower-sessions-0-14")]
properties!(v0_14, tower_sessions_core_0_14);
#[cfg(feature = "tower-sessions-0-15")]
properties!(v0_15, tower_sessions_core_0_15);

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = RecordBytes::parse(&bytes);
        let record = [&[0x93, 0xc4, 16][..], &[0; 16], &bytes].concat();
        if let Ok(record) = RecordBytes::parse(&record) {
            let _ = record.with_field("a.b", &json!(1));
            let _ = record.with_data(&Map::new());
        }
    }

    #[test]
    fn flipped_bits_do_not_panic(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        for written in written() {
            let mut bytes = written.bytes();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            if let Ok(record) = RecordBytes::parse(&bytes) {
                let data = record.data().unwrap();
                let same = record.with_data(&data).unwrap();
                prop_assert_eq!(RecordBytes::parse(&same).unwrap().data().unwrap(), data);
            }
        }
    }
}
