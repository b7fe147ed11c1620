//! Records that tower-sessions has written, and what it reads after ours.

use std::collections::HashMap;

use proptest::{
    collection::{hash_map, vec},
    prelude::*,
};
use serde::Deserialize;
use serde_json::json;

use super::*;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct User {
    user_id: u64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    role: Option<String>,
}

fn record(data: Value) -> Vec<u8> {
    let expires = OffsetDateTime::now_utc();
    messagepack::written(7, data.as_object().unwrap(), expires).unwrap()
}

fn data(record: &[u8]) -> Value {
    Value::Object(RecordBytes::parse(record).unwrap().data().unwrap())
}

#[test]
fn an_update_keeps_what_the_type_does_not_know() {
    let codec = TowerSessionsRecords::field("axum-login.data");
    let stored = record(json!({
        "axum-login.data": {"user_id": 7, "auth_hash": [1, 2, 255]},
        "cart": [1.5, "x"],
    }));
    let mut user: User = codec.decode(&stored).unwrap().unwrap();
    user.role = Some("admin".into());
    let updated = codec.update(&stored, &user).unwrap();
    let expected = json!({
        "axum-login.data": {"user_id": 7, "auth_hash": [1, 2, 255], "role": "admin"},
        "cart": [1.5, "x"],
    });
    assert_eq!(data(&updated), expected);
    assert_eq!(codec.decode(&updated).unwrap(), Some(user));
}

/// Data of another part of the program, beside the user.
fn any_data() -> impl Strategy<Value = HashMap<String, Value>> {
    let value = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1e300f64..1e300).prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        vec(any::<i16>(), 0..6).prop_map(Value::from),
        hash_map(".{0,6}", any::<i32>(), 0..6).prop_map(|map| json!(map)),
    ];
    hash_map("[a-e.]{0,4}", value, 0..20)
}

fn any_user() -> impl Strategy<Value = User> {
    let role = proptest::option::of(".{0,10}");
    (any::<u64>(), role).prop_map(|(user_id, role)| User { user_id, role })
}

/// The property, with the record of one version of tower-sessions.
macro_rules! update_keeps_all_else {
    ($version:ident, $core:ident) => {
        mod $version {
            use $core::session::{Id, Record};

            use super::*;

            proptest! {
                #[test]
                fn tower_sessions_reads_everything_it_had_after_an_update(
                    data in any_data(), of_user in any_data(), old in any_user(), new in any_user(),
                ) {
                    let with_user = |user: &User| {
                        let mut fields = json!(of_user);
                        fields["user_id"] = json!(user.user_id);
                        fields["role"] = json!(user.role);
                        let mut data = data.clone();
                        data.insert("app".into(), json!({"user": fields, "other": of_user}));
                        data
                    };
                    let mut record = Record {
                        id: Id(7),
                        data: with_user(&old),
                        expiry_date: OffsetDateTime::now_utc(),
                    };
                    let stored = rmp_serde::to_vec(&record).unwrap();
                    let codec = TowerSessionsRecords::field("app.user");
                    prop_assert_eq!(codec.decode(&stored).unwrap(), Some(old.clone()));

                    let updated = codec.update(&stored, &new).unwrap();
                    prop_assert_eq!(codec.decode(&updated).unwrap(), Some(new.clone()));
                    let mut read: Record = rmp_serde::from_slice(&updated).unwrap();
                    record.data = with_user(&new);
                    // A role that is not serialized is removed, or null as it was.
                    for data in [&mut read.data, &mut record.data] {
                        let user = data.get_mut("app").and_then(|app| app["user"].as_object_mut());
                        user.unwrap().retain(|name, value| name != "role" || !value.is_null());
                    }
                    prop_assert_eq!(read, record);
                }
            }
        }
    };
}

#[cfg(feature = "tower-sessions-0-14")]
update_keeps_all_else!(v0_14, tower_sessions_core_0_14);
#[cfg(feature = "tower-sessions-0-15")]
update_keeps_all_else!(v0_15, tower_sessions_core_0_15);

#[test]
fn a_new_record_reads_back() {
    let id = SessionId::generate().unwrap();
    let user = User {
        user_id: 7,
        role: None,
    };
    for codec in [
        TowerSessionsRecords::field("app.user"),
        TowerSessionsRecords::whole_data(),
    ] {
        let written = codec.create(&id, &user, Duration::from_mins(1)).unwrap();
        assert_eq!(codec.decode(&written).unwrap(), Some(user.clone()));
        assert_eq!(
            RecordBytes::parse(&written).unwrap().id(),
            raw_id::of(&id).unwrap()
        );
        let new = SessionId::generate().unwrap();
        let renamed = Codec::<User>::renamed(&codec, &written, &new).unwrap();
        assert_eq!(
            RecordBytes::parse(&renamed).unwrap().id(),
            raw_id::of(&new).unwrap()
        );
        assert_eq!(data(&renamed), data(&written));
    }
    let other: SessionId = "no-id-of-tower-sessions".parse().unwrap();
    let codec = TowerSessionsRecords::whole_data();
    let error = codec.create(&other, &user, Duration::ZERO).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Encode);
}

#[test]
fn what_is_no_login_and_what_does_not_fit() {
    let codec = TowerSessionsRecords::field("app.user");
    for anonymous in [json!({}), json!({"app": {}}), json!({"app.user": null})] {
        assert_eq!(
            Codec::<User>::decode(&codec, &record(anonymous)).unwrap(),
            None
        );
    }
    let wrong = record(json!({"app": {"user": {"user_id": "secret"}}}));
    let user = User {
        user_id: 7,
        role: None,
    };
    let errors = [
        Codec::<User>::decode(&codec, &wrong).unwrap_err(),
        codec.update(&wrong, &user).unwrap_err(),
        Codec::<User>::decode(&codec, b"{\"json\":1}").unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), StoreErrorKind::Decode);
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    }
    let null = codec.update(&record(json!({"app.user": 1})), &Value::Null);
    assert_eq!(null.unwrap_err().kind(), StoreErrorKind::Encode);
}
