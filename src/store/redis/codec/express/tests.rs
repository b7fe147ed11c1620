use std::collections::{BTreeSet, HashMap, HashSet};

use proptest::{collection::vec, prelude::*};
use serde::Deserialize;
use serde_json::{Value, json};

use super::*;
use crate::store::StoreErrorKind;

/// A moment whose timestamps are not in any record.
const NOW: Duration = Duration::from_millis(1_800_000_000_123);
const NOW_AND_AN_HOUR: &str = r#""2027-01-15T09:00:00.123Z""#;

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + NOW
}

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    events: Vec<Event>,
}

#[derive(Deserialize)]
struct Event {
    step: String,
    redis: Vec<Key>,
}

#[derive(Deserialize)]
struct Key {
    value_utf8: String,
}

fn golden() -> Vec<Case> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/golden/connect-redis.json"
    );
    let text = std::fs::read_to_string(path).unwrap();
    let golden: Golden = serde_json::from_str(&text).unwrap();
    golden.cases
}

/// Every record that Express wrote, with the name of its step.
fn records() -> Vec<(String, String)> {
    let events = golden().into_iter().flat_map(|case| {
        let Case { name, events } = case;
        events.into_iter().map(move |event| (name.clone(), event))
    });
    let records = events.flat_map(|(case, event)| {
        let name = format!("{case}: {}", event.step);
        event
            .redis
            .into_iter()
            .map(move |key| (name.clone(), key.value_utf8))
    });
    let records: Vec<_> = records.collect();
    assert!(records.len() > 25, "{} records", records.len());
    records
}

fn record(case: &str, step: &str) -> String {
    let name = format!("{case}: {step}");
    let found = records().into_iter().find(|(found, _)| *found == name);
    found.expect("there is such a record").1
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct User {
    #[serde(rename = "user", skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(rename = "userId", skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    n: Option<u64>,
    /// In another order each time.
    #[serde(default, skip_serializing_if = "HashSet::is_empty")]
    roles: HashSet<u8>,
}

fn expires(text: &str) -> Option<&str> {
    find(text, &["cookie", "expires"])
}

/// `stored` as it is when nothing but `cookie.expires` has changed.
fn with_expires_of(stored: &str, updated: &str) -> String {
    match expires(updated) {
        Some(expires) => replaced(stored, &["cookie", "expires"], expires),
        None => stored.to_owned(),
    }
}

#[test]
fn every_record_of_express_is_read_and_kept() {
    let whole = ExpressRecords::new();
    for (name, stored) in records() {
        let read: User = whole.decode(stored.as_bytes()).unwrap().unwrap();
        if !name.starts_with("passport") {
            assert_eq!(
                (read.name.as_deref(), read.id),
                (Some("ann"), Some(42)),
                "{name}"
            );
        }
        let same = whole.updated(&stored, &read, now()).unwrap();
        assert_eq!(same, with_expires_of(&stored, &same), "{name}");
        let max_age = find(&stored, &["cookie", "originalMaxAge"]).unwrap();
        match max_age {
            "null" => assert_eq!(same, stored, "{name}"),
            "3600000" => assert_eq!(expires(&same), Some(NOW_AND_AN_HOUR), "{name}"),
            "3000" => assert_eq!(
                expires(&same),
                Some(r#""2027-01-15T08:00:03.123Z""#),
                "{name}"
            ),
            other => panic!("{other} in {name}"),
        }

        let mut changed = read.clone();
        changed.roles = HashSet::from([1, 2, 3, 4]);
        let text = whole.updated(&stored, &changed, now()).unwrap();
        let again: User = whole.decode(text.as_bytes()).unwrap().unwrap();
        assert_eq!(again, changed, "{name}");
        let (kept, roles) = text.split_once(r#","roles":["#).unwrap();
        assert!(roles.ends_with("]}"), "{name}");
        assert_eq!(format!("{kept}}}"), same, "{name}");
    }
}

#[test]
fn an_update_writes_the_bytes_that_express_writes() {
    let case = "default options, session cookie";
    let (stored, expected) = (record(case, "POST /login"), record(case, "POST /bump"));
    let whole = ExpressRecords::new();
    let mut user: User = whole.decode(stored.as_bytes()).unwrap().unwrap();
    user.n = Some(1);
    assert_eq!(whole.updated(&stored, &user, now()).unwrap(), expected);
}

/// The moment at which Express wrote this record.
fn written_at(record: &str, max_age: Duration) -> SystemTime {
    let expires = expires(record).unwrap();
    let second: u64 = 1_795_385_064 - 24;
    let millis: u64 = expires[21..24].parse().unwrap();
    let seconds: u64 = expires[18..20].parse().unwrap();
    assert!(expires.starts_with(r#""2026-11-22T22:04:"#), "{expires}");
    SystemTime::UNIX_EPOCH + Duration::from_millis((second + seconds) * 1000 + millis) - max_age
}

#[test]
fn a_new_record_has_the_bytes_that_express_writes() {
    const HOUR: Duration = Duration::from_hours(1);
    let data = json!({"user": "ann", "userId": 42});
    let plain = ExpressRecords::new();
    let expected = record("default options, session cookie", "POST /login");
    assert_eq!(plain.created(&data, now()).unwrap(), expected);

    let expected = record("maxAge 1h", "POST /login");
    let created = plain
        .max_age(HOUR)
        .created(&data, written_at(&expected, HOUR))
        .unwrap();
    assert_eq!(created, expected);

    let all = ExpressRecords::new()
        .max_age(HOUR)
        .domain("example.com")
        .same_site(SameSite::Lax);
    let expected = record("all cookie attributes", "POST /login");
    let created = all
        .clone()
        .created(&data, written_at(&expected, HOUR))
        .unwrap();
    // `priority` is not among the options.
    assert_eq!(created, expected.replace(r#""priority":"high","#, ""));

    let created = all
        .secure(true)
        .http_only(false)
        .path("/a\"b")
        .created(&data, now())
        .unwrap();
    let expected = format!(
        r#"{{"originalMaxAge":3600000,"expires":{NOW_AND_AN_HOUR},"secure":true,"httpOnly":false,"domain":"example.com","path":"/a\"b","sameSite":"lax"}}"#
    );
    assert_eq!(find(&created, &["cookie"]), Some(&*expected));

    let passport = ExpressRecords::new().field("passport.user").unwrap();
    assert_eq!(
        passport.created(&"64f0c0ffee".to_owned(), now()).unwrap(),
        r#"{"cookie":{"originalMaxAge":null,"expires":null,"httpOnly":true,"path":"/"},"passport":{"user":"64f0c0ffee"}}"#
    );
}

#[test]
fn a_type_with_its_own_cookie_gets_what_it_leaves_out() {
    let data = json!({"a": 1, "cookie": {"path": "/chat", "mine": 2}});
    assert_eq!(
        ExpressRecords::new().created(&data, now()).unwrap(),
        r#"{"cookie":{"originalMaxAge":null,"expires":null,"httpOnly":true,"path":"/chat","mine":2},"a":1}"#
    );
}

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
fn what_express_could_not_read_is_an_encode_error() {
    let kind = |result: Result<String, StoreError>| result.unwrap_err().kind();
    let whole = ExpressRecords::new();
    let passport = ExpressRecords::new().field("passport.user").unwrap();
    let stored = r#"{"cookie":{"path":"/"},"passport":{"user":1}}"#;
    assert_eq!(kind(whole.created(&vec![1], now())), StoreErrorKind::Encode);
    assert_eq!(
        kind(passport.created(&Some(f64::NAN), now())),
        StoreErrorKind::Encode
    );
    assert_eq!(
        kind(passport.created(&None::<u8>, now())),
        StoreErrorKind::Encode
    );
    assert_eq!(
        kind(passport.updated(stored, &None::<u8>, now())),
        StoreErrorKind::Encode
    );
    // A type that knows the cookie, and takes it away.
    assert_eq!(
        kind(whole.updated(stored, &json!({"a": 1}), now())),
        StoreErrorKind::Encode
    );
    assert_eq!(
        kind(whole.updated(stored, &json!({"cookie": 1}), now())),
        StoreErrorKind::Encode
    );
}

#[test]
fn an_expiry_that_can_not_be_written_stays() {
    let whole = ExpressRecords::new();
    for max_age in ["null", "1e400", "-5", "\"1\"", "9e15", "[1]"] {
        let stored = format!(r#"{{"cookie":{{"originalMaxAge":{max_age},"expires":"x"}},"n":1}}"#);
        let read: Option<User> = whole.decode(stored.as_bytes()).unwrap();
        assert_eq!(
            whole.updated(&stored, &read.unwrap(), now()).unwrap(),
            stored
        );
    }
}

#[test]
fn a_record_that_is_no_json_is_a_decode_error_and_not_overwritten() {
    let passport = ExpressRecords::new().field("passport.user").unwrap();
    for stored in [
        &b""[..],
        b"{",
        b"{}x",
        b"\xff{}",
        b"{\"passport\":{\"user\":1}} 2",
    ] {
        let read = Codec::<u8>::decode(&passport, stored);
        assert_eq!(
            read.unwrap_err().kind(),
            StoreErrorKind::Decode,
            "{stored:?}"
        );
        let updated = passport.update(stored, &1_u8);
        assert_eq!(
            updated.unwrap_err().kind(),
            StoreErrorKind::Decode,
            "{stored:?}"
        );
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
