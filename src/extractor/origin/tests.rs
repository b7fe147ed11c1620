use http::{Method, Request, request::Parts};

use super::{ForbiddenReason::*, *};

pub(super) fn parts(method: Method, uri: &str, fields: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

type Answer = Result<(), ForbiddenReason>;

/// Checks a Socket.IO request to `example.com`, for a cookie that is not `Secure`.
#[track_caller]
fn assert_check(fields: &[(&str, &str)], expected: Answer) {
    let policy = OriginPolicy::same_origin()
        .allow_origin("https://app.example.com")
        .unwrap();
    let own_host = [("host", "example.com")];
    let has_host = fields.iter().any(|(name, _)| *name == "host");
    let fields = [if has_host { &[][..] } else { &own_host }, fields].concat();
    let parts = parts(Method::GET, "/socket.io/?EIO=4", &fields);
    let handshake = Handshake::from_parts(&parts);
    let namespace = policy.check_cookie(&handshake.with_namespace("/"), false);
    assert_eq!(namespace, expected, "{fields:?}");
    let opening = policy.check_cookie(&handshake.as_opening(), false);
    assert_eq!(opening, expected, "{fields:?}");
    assert_eq!(policy.check(&handshake), Ok(()), "a page is not checked");
}

fn origin(origin: &str) -> (&str, &str) {
    ("origin", origin)
}

fn site(site: &str) -> (&str, &str) {
    ("sec-fetch-site", site)
}

#[test]
fn rule_1_several_origins_are_refused() {
    let own = origin("http://example.com");
    assert_check(&[own, own], Err(SeveralOrigins));
    let allowed = origin("https://app.example.com");
    assert_check(&[allowed, allowed], Err(SeveralOrigins));
    assert_check(&[own, own, site("same-origin")], Err(SeveralOrigins));
}

#[test]
fn rule_2_an_allowed_origin_passes_before_all_else() {
    for allowed in [
        "https://app.example.com",
        "https://APP.example.com:443",
        "https://app.example.com/",
        "wss://app.example.com",
    ] {
        assert_check(&[origin(allowed)], Ok(()));
        assert_check(&[origin(allowed), site("cross-site")], Ok(()));
    }
    for look_alike in [
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://app.example.com.evil.net",
        "https://xapp.example.com",
        "https://app.example.com.",
        "app.example.com://https",
        "evil-app://app.example.com",
    ] {
        assert_check(&[origin(look_alike)], Err(ForeignOrigin));
    }
}

#[test]
fn rule_3_exactly_same_origin_passes_with_any_origin_and_host() {
    for any in ["null", "https://rewritten.example", "file://", "", "x y"] {
        assert_check(&[origin(any), site("same-origin")], Ok(()));
    }
    assert_check(&[("host", "backend:8080"), site("same-origin")], Ok(()));
    let null = origin("null");
    // An attacker that adds a field of its own, or spells it otherwise, gains nothing.
    for other in [
        "Same-Origin",
        "same-origin ,same-origin",
        "same-origin2",
        "none",
        "same-site",
    ] {
        assert_check(&[null, site(other)], Err(NullOrigin));
    }
    let twice = [null, site("same-origin"), site("same-origin")];
    assert_check(&twice, Err(NullOrigin));
    let both = [null, site("same-origin"), site("cross-site")];
    assert_check(&both, Err(CrossSite));
}

#[test]
fn rule_4_cross_site_is_refused_also_with_the_own_origin() {
    assert_check(&[site("cross-site")], Err(CrossSite));
    assert_check(&[site("Cross-Site")], Err(CrossSite));
    let own = origin("http://example.com");
    assert_check(&[own, site("cross-site")], Err(CrossSite));
}

#[test]
fn rule_5_no_origin_passes_but_for_a_sibling_that_polls() {
    assert_check(&[], Ok(()));
    assert_check(&[site("none")], Ok(()));
    assert_check(&[site("same-site")], Err(SameSiteWithoutOrigin));
    assert_check(
        &[site("same-site"), site("none")],
        Err(SameSiteWithoutOrigin),
    );
    // The sibling's honest request names its origin, and is judged by that.
    let sibling = origin("https://app.example.com");
    assert_check(&[sibling, site("same-site")], Ok(()));
    // An ordinary POST without Origin comes from no browser's page of another origin.
    let policy = OriginPolicy::same_origin();
    let post = parts(Method::POST, "/", &[("host", "a.test"), site("same-site")]);
    assert_eq!(policy.check(&Handshake::from_parts(&post)), Ok(()));
}

#[test]
fn rule_6_the_own_authority_passes() {
    for own in [
        "http://example.com",
        "http://EXAMPLE.com",
        "http://example.com:80",
        "https://example.com:443",
        "https://example.com/",
        "ws://example.com",
        "wss://example.com",
    ] {
        assert_check(&[origin(own)], Ok(()));
    }
    for (host, own) in [
        ("127.0.0.1:3000", "http://127.0.0.1:3000"),
        ("[::1]:3000", "http://[::1]:3000"),
        // iOS, behind a proxy that ends TLS.
        ("example.com:443", "wss://example.com"),
        ("example.com:443", "https://example.com"),
        ("example.com:80", "http://example.com"),
        ("example.com", "https://example.com:443"),
    ] {
        assert_check(&[("host", host), origin(own)], Ok(()));
    }
    for (host, foreign) in [
        // The default port of another scheme is not dropped.
        ("example.com:80", "https://example.com"),
        ("example.com:443", "http://example.com"),
        ("example.com:3000", "http://example.com"),
        ("", "http://example.com"),
        ("user@example.com", "http://example.com"),
    ] {
        assert_check(&[("host", host), origin(foreign)], Err(ForeignOrigin));
    }
    let host = ("host", "example.com");
    assert_check(
        &[host, host, origin("http://example.com")],
        Err(ForeignOrigin),
    );
}

#[test]
fn rule_7_everything_else_is_refused() {
    for foreign in [
        "http://example.com.evil.net",
        "http://evilexample.com",
        "http://example.com:3000",
        "https://example.com:80",
        "http://example.com.",
        "capacitor://localhost",
        "evil-app://example.com",
        "chrome-extension://example.com",
    ] {
        assert_check(&[origin(foreign)], Err(ForeignOrigin));
    }
    for malformed in [
        "",
        "example.com",
        "http://example.com//",
        "http://example.com/path",
        "http://user@example.com",
        "http://example.com:",
        "http://example.com:99999",
        "http://",
        "NULL",
        "http://example.com http://example.com",
    ] {
        assert_check(&[origin(malformed)], Err(MalformedOrigin));
    }
    assert_check(&[origin("null")], Err(NullOrigin));
    assert_check(&[origin("file://")], Err(LocalFile));
}

#[test]
fn plain_http_may_not_use_what_belongs_to_https() {
    let policy = OriginPolicy::same_origin();
    let check = |uri: &str, host: &str, page: &str, secure| {
        let parts = parts(Method::GET, uri, &[("host", host), ("origin", page)]);
        policy.check_cookie(&Handshake::from_parts(&parts).as_opening(), secure)
    };
    // A `Secure` cookie: TLS ended at a proxy.
    assert_eq!(check("/", "a.test", "https://a.test", true), Ok(()));
    assert_eq!(check("/", "a.test", "wss://a.test", true), Ok(()));
    for page in ["http://a.test", "ws://a.test"] {
        assert_eq!(check("/", "a.test", page, true), Err(InsecureOrigin));
        assert_eq!(check("/", "a.test", page, false), Ok(()));
        // The request is known to be https, whatever the cookie.
        let known = check("https://a.test/", "a.test", page, false);
        assert_eq!(known, Err(InsecureOrigin));
    }
    let strange = check("https://a.test/", "a.test", "evil-app://a.test", true);
    assert_eq!(strange, Err(ForeignOrigin));
    for local in ["localhost", "shop.localhost", "127.0.0.1", "[::1]"] {
        let page = format!("http://{local}:3000");
        assert_eq!(check("/", &format!("{local}:3000"), &page, true), Ok(()));
    }
    let look_alike = check("/", "localhost.a.test", "http://localhost.a.test", true);
    assert_eq!(look_alike, Err(InsecureOrigin));
    // A policy by itself is strict, too.
    let parts = parts(
        Method::POST,
        "/",
        &[("host", "a.test"), ("origin", "http://a.test")],
    );
    let handshake = Handshake::from_parts(&parts);
    assert_eq!(policy.check(&handshake), Err(InsecureOrigin));
    assert_eq!(policy.clone().insecure_http().check(&handshake), Ok(()));
}

#[test]
fn http2_compares_with_the_uri() {
    let policy = OriginPolicy::same_origin();
    let check = |uri, origin| {
        let parts = parts(Method::GET, uri, &[("origin", origin), ("host", "b.test")]);
        policy.check(&Handshake::from_parts(&parts).as_opening())
    };
    assert_eq!(check("https://a.test/", "https://a.test"), Ok(()));
    assert_eq!(
        check("https://a.test/", "https://b.test"),
        Err(ForeignOrigin)
    );
    assert_eq!(
        check("https://u@a.test/", "https://a.test"),
        Err(ForeignOrigin)
    );
}

#[test]
fn pages_pass_and_forms_and_websockets_are_checked() {
    let policy = OriginPolicy::same_origin();
    let check = |method: &Method, fields: &[(&str, &str)]| {
        let foreign = [&[("host", "a.test"), origin("https://evil.test")], fields].concat();
        let parts = parts(method.clone(), "/", &foreign);
        policy.check(&Handshake::from_parts(&parts))
    };
    for safe in [Method::GET, Method::HEAD, Method::OPTIONS] {
        assert_eq!(check(&safe, &[site("cross-site")]), Ok(()));
        assert_eq!(check(&safe, &[("upgrade", "h2c")]), Ok(()));
        for websocket in [
            ("upgrade", "websocket"),
            ("upgrade", "h2c, WebSocket/13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("sec-fetch-mode", "websocket"),
        ] {
            assert_eq!(check(&safe, &[websocket]), Err(ForeignOrigin));
        }
    }
    for other in [Method::POST, Method::PUT, Method::DELETE, Method::CONNECT] {
        assert_eq!(check(&other, &[]), Err(ForeignOrigin));
        assert_eq!(check(&other, &[site("cross-site")]), Err(CrossSite));
    }
}
