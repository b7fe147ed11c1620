use std::collections::HashSet;

use serde::Deserialize;
use serde_json::json;

use super::*;
use crate::store::StoreErrorKind;

/// A moment whose timestamps are not in any record.
const NOW: Duration = Duration::from_millis(1_800_000_000_123);
const NOW_AND_AN_HOUR: &str = r#""2027-01-15T09:00:00.123Z""#;

pub(super) fn now() -> SystemTime {
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
pub(super) fn records() -> Vec<(String, String)> {
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

pub(super) fn record(case: &str, step: &str) -> String {
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

pub(super) fn expires(text: &str) -> Option<&str> {
    find(text, &["cookie", "expires"])
}

/// `stored` as it is when nothing but `cookie.expires` has changed.
pub(super) fn with_expires_of(stored: &str, updated: &str) -> String {
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
