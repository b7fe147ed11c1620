//! Origins that may be allowed, and the advice in the log.

use http::Method;

use super::{ForbiddenReason::*, tests::parts, *};

#[test]
fn origins_of_applications_pass_once_they_are_allowed() {
    let check = |policy: OriginPolicy, page: &str| {
        let parts = parts(Method::GET, "/", &[("host", "a.test"), ("origin", page)]);
        policy.check(&Handshake::from_parts(&parts).as_opening())
    };
    let policy = OriginPolicy::same_origin();
    for page in [
        "capacitor://localhost",
        "ionic://localhost",
        "chrome-extension://bmnlcjabgnpnenekpadlanbbkooimhnj",
        "app://-",
        "tauri://localhost",
    ] {
        assert_eq!(check(policy.clone(), page), Err(ForeignOrigin));
        let allowing = policy.clone().allow_origin(page).unwrap();
        assert_eq!(check(allowing.clone(), page), Ok(()));
        assert_eq!(
            check(allowing, &page.replace("://", "s://")),
            Err(ForeignOrigin)
        );
    }
    assert_eq!(check(policy.clone(), "file://"), Err(LocalFile));
    let local = policy.insecure_allow_local_files();
    assert_eq!(check(local.clone(), "file://"), Ok(()));
    assert_eq!(check(local.clone(), "file:///"), Ok(()));
    assert_eq!(check(local.clone(), "null"), Err(NullOrigin));
    assert_eq!(check(local, "file://evil.test"), Err(ForeignOrigin));
}

#[test]
fn what_must_not_be_allowed_is_refused_where_it_is_set() {
    for text in [
        "",
        "null",
        "*",
        "https://*",
        "https://*.a.test",
        "example.com",
        "https://a.test/x",
        "https://",
        "file://",
        "file:///",
        "FILE://",
        "file://localhost",
        "https://u@a.test",
    ] {
        let refused = OriginPolicy::same_origin().allow_origin(text);
        assert!(refused.is_err(), "{text}");
    }
}

#[test]
fn the_advice_names_the_line_to_add() {
    let advice = |page: &str| {
        let parts = parts(Method::GET, "/", &[("host", "a.test"), ("origin", page)]);
        OriginPolicy::advice(&Handshake::from_parts(&parts))
    };
    let foreign = advice("https://b.test").unwrap();
    assert!(foreign.contains(r#".allow_origin("https://b.test")"#) && foreign.contains("`Host`"));
    assert!(
        advice("http://a.test")
            .unwrap()
            .contains(".insecure_http()")
    );
    assert!(
        advice("file://")
            .unwrap()
            .contains(".insecure_allow_local_files()")
    );
    assert!(
        advice("null")
            .unwrap()
            .contains("Referrer-Policy: same-origin")
    );
    assert_eq!(advice("https://b.test/secret"), None);
    assert_eq!(advice("\"quoted\""), None);
}
