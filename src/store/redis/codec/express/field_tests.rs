//! Data at a path of the record.

use std::collections::{BTreeSet, HashMap, HashSet};

use proptest::{collection::vec, prelude::*};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    tests::{expires, now, record, records, with_expires_of},
    *,
};
use crate::store::StoreErrorKind;

#[test]
fn data_at_a_path_is_read_and_written_there_only() {
    let passport = ExpressRecords::new().field("passport.user").unwrap();
    let stored = record("passport style, unicode and nesting", "POST /login");
    let id: Option<String> = passport.decode(stored.as_bytes()).unwrap();
    assert_eq!(id.as_deref(), Some("64f0c0ffee"));
    let updated = passport.updated(&stored, &"é".to_owned(), now()).unwrap();
    assert_eq!(updated, stored.replace("64f0c0ffee", "é"));

    let stored = r#"{"cookie":{"x":1e400},"\ud800":1,"passport":{"strategy":"a","user":{"id":1,"theirs":0.10}},"z":1}"#;
    let updated = passport
        .updated(stored, &json!({"id": 2, "theirs": 0.1}), now())
        .unwrap();
    assert_eq!(updated, stored.replace(r#""id":1"#, r#""id":2"#));
}

#[test]
fn nothing_at_the_path_is_not_signed_in() {
    let passport = ExpressRecords::new().field("passport.user").unwrap();
    for stored in [
        r#"{"cookie":{"path":"/"}}"#,
        r#"{"cookie":{},"passport":{}}"#,
        r#"{"cookie":{},"passport":{"user":null}}"#,
        r#"{"cookie":{},"passport":null}"#,
        r#"{"cookie":{},"passport":"user"}"#,
        r#"{"cookie":{},"passport":[{"user":1}]}"#,
        r#"{"cookie":{},"passport":true}"#,
        r#"{"cookie":{},"passport":-1}"#,
        r#"{"cookie":{},"passport":1.5}"#,
        r#"{"cookie":{},"passport.user":{"id":1}}"#,
        r#"{"passport":{"user":{"id":1}},"passport":{}}"#,
        "null",
        "[]",
    ] {
        let read: Option<Value> = passport.decode(stored.as_bytes()).unwrap();
        assert_eq!(read, None, "{stored}");
    }
    // Two records of connect-redis that a logout of passport leaves.
    for (name, stored) in records() {
        let read: Option<Value> = passport.decode(stored.as_bytes()).unwrap();
        assert_eq!(read.is_some(), name.starts_with("passport"), "{name}");
    }
}

#[test]
fn an_update_where_nothing_was_adds_what_is_missing() {
    let passport = ExpressRecords::new().field("passport.user").unwrap();
    for (stored, expected) in [
        (r#"{"cookie":{}}"#, r#"{"cookie":{},"passport":{"user":7}}"#),
        (
            r#"{"passport":{"a":1},"cookie":{}}"#,
            r#"{"passport":{"a":1,"user":7},"cookie":{}}"#,
        ),
        (
            r#"{"passport":{"user":null}}"#,
            r#"{"passport":{"user":7}}"#,
        ),
    ] {
        assert_eq!(passport.updated(stored, &7_u8, now()).unwrap(), expected);
    }
}

#[test]
fn the_error_of_a_record_that_does_not_fit_names_the_whole_path() {
    use std::error::Error as _;

    let passport = ExpressRecords::new().field("passport.user").unwrap();
    let stored = r#"{"cookie":{},"passport":{"user":{"id":"secret"}}}"#;
    let error = Codec::<Passport>::decode(&passport, stored.as_bytes()).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Decode);
    assert_eq!(
        error.source().unwrap().to_string(),
        "invalid type: string, expected u64 at passport.user.id, line 1, column 46"
    );
}

#[test]
fn a_path_that_leads_nowhere_is_refused() {
    let many = ["a"; 17].join(".");
    for path in [
        "",
        ".",
        "a..b",
        "a.",
        many.as_str(),
        "cookie",
        "cookie.path",
    ] {
        ExpressRecords::new().field(path).unwrap_err();
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Passport {
    id: u64,
    #[serde(default)]
    roles: BTreeSet<u8>,
    #[serde(default)]
    seen: HashMap<String, HashSet<u8>>,
}

fn json_value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        any::<f64>().prop_map(|number| json!(number).to_string()),
        any::<u128>().prop_map(|number| number.to_string()),
        any::<String>().prop_map(|text| json!(text).to_string()),
        Just(r#""\udead""#.to_owned()),
        Just("null".to_owned()),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        let member = |(name, value)| format!("{}:{value}", json!(name));
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(|list| format!("[{}]", list.join(","))),
            vec(("[a-z]{3}", inner), 0..3).prop_map(move |members| {
                let members: Vec<String> = members.into_iter().map(member).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Of what Express wrote, an update changes `cookie.expires` and the data, and nothing else.
    #[test]
    fn an_update_changes_the_data_and_the_expiry_only(
        theirs in vec(json_value(), 4),
        max_age: Option<u32>,
        id: u64,
        roles: BTreeSet<u8>,
        seen in prop::collection::hash_map("[a-z]", prop::collection::hash_set(any::<u8>(), 0..4), 0..4),
    ) {
        let max_age = json!(max_age);
        let [a, b, c, d] = &theirs[..] else { unreachable!() };
        let stored = format!(
            r#"{{"cookie":{{"originalMaxAge":{max_age},"expires":null,"httpOnly":true,"t":{a}}},"flash":{b},"passport":{{"u":{c},"user":{{"id":1,"roles":[],"seen":{{}},"theirs":{d}}}}},"z":{a}}}"#
        );
        let passport = ExpressRecords::new().field("passport.user").unwrap();
        let _: Passport = passport.decode(stored.as_bytes()).unwrap().unwrap();
        let new = Passport { id, roles, seen };
        let updated = passport.updated(&stored, &new, now()).unwrap();
        let read: Passport = passport.decode(updated.as_bytes()).unwrap().unwrap();
        prop_assert_eq!(&read, &new);

        let user = ["passport", "user"];
        let written = find(&updated, &user).unwrap();
        prop_assert_eq!(find(written, &["theirs"]), Some(d.as_str()));
        let expected = with_expires_of(&replaced(&stored, &user, written), &updated);
        prop_assert_eq!(&updated, &expected);
        prop_assert_eq!(expires(&updated) == Some("null"), max_age.is_null());
    }
}
