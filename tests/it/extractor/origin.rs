//! The origins of clients.

use socketioxide::{extract::SocketRef, handler::ConnectHandler as _};
use socketioxide_session::{MaybeSession, extractor::OriginPolicy};

use crate::support::{
    check::Brings,
    polling::Http,
    server::{DynExtractor, Server, Setup, User},
};

async fn server() -> Server {
    let allow = |cookie: &socketioxide_session::SignedCookie| {
        let policy = OriginPolicy::same_origin().allow_origin("https://app.example.com");
        DynExtractor::new(cookie.clone().origin_policy(policy.unwrap()))
    };
    Setup::new()
        .extractor(move |cookie, _| allow(cookie))
        .start()
        .await
}

#[tokio::test]
async fn a_foreign_origin_is_forbidden_with_and_without_the_cookie() {
    let server = server().await;
    let ann = server.login("Ann").await;
    let cookie = server.pair(&ann);
    let port = server.address.port();
    for origin in [
        "https://evil.example".to_owned(),
        "null".into(),
        format!("http://127.0.0.1:{port}.evil.example"),
        format!("http://x127.0.0.1:{port}"),
        "http://127.0.0.1:1".into(),
        "http://127.0.0.1".into(),
        "http://app.example.com".into(),
        "https://app.example.com:444".into(),
        "https://app.example.com.evil.example".into(),
        "app.example.com".into(),
        format!("evil-app://127.0.0.1:{port}"),
        "capacitor://localhost".into(),
        "file://".into(),
        String::new(),
    ] {
        for brings in [
            Brings::nothing().cookie(&cookie),
            Brings::nothing(),
            Brings::nothing().cookie("sid=forged"),
        ] {
            let brings = brings.field("origin", &origin);
            server.refuses_unasked(&origin, &brings, "FORBIDDEN").await;
        }
    }
    let own = format!("http://127.0.0.1:{port}");
    let two = Brings::nothing()
        .cookie(&cookie)
        .field("origin", &own)
        .field("origin", &own);
    server
        .refuses_unasked("two origins", &two, "FORBIDDEN")
        .await;
}

#[tokio::test]
async fn the_own_origin_an_allowed_one_and_none_pass() {
    let server = server().await;
    let ann = server.login("Ann").await;
    let brings = Brings::nothing().cookie(server.pair(&ann));
    server.admits("no origin", &brings).await;
    let own = format!("http://127.0.0.1:{}", server.address.port());
    server
        .admits("own", &brings.clone().field("origin", own))
        .await;
    let allowed = brings
        .clone()
        .field("origin", "https://APP.example.com:443");
    server.admits("allowed", &allowed).await;
    let site = brings.clone().field("sec-fetch-site", "same-origin");
    server.admits("same-origin", &site).await;
    let site = brings.field("sec-fetch-site", "cross-site");
    server
        .refuses_unasked("cross-site", &site, "FORBIDDEN")
        .await;
}

#[tokio::test]
async fn a_link_to_a_page_passes_and_a_form_of_another_site_does_not() {
    let server = server().await;
    let ann = server.login("Ann").await;
    let cookie = server.pair(&ann);
    let from_elsewhere: [(&str, &[u8]); 3] = [
        ("cookie", cookie.as_bytes()),
        ("sec-fetch-site", b"cross-site"),
        ("sec-fetch-mode", b"navigate"),
    ];
    let mut http = Http::open(server.address).await;
    let link = http.send("GET", "/me", &from_elsewhere, "").await;
    assert_eq!(
        (link.status, &*link.body),
        (200, r#"{"name":"Ann","visits":0}"#)
    );
    let loads = server.loads();
    let form = http.send("POST", "/me", &from_elsewhere, "").await;
    assert_eq!(
        (form.status, &*form.body),
        (403, r#"{"error":"FORBIDDEN"}"#)
    );
    assert_eq!(server.loads(), loads);
}

/// A polling client with these header fields connects; what the server answers.
async fn polls(server: &Server, fields: &[(&str, &str)]) -> String {
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, value)| (*name, value.as_bytes()))
        .collect();
    server.http().await.connect("", &fields, "40").await
}

const FORBIDDEN: &str = r#"44{"message":"FORBIDDEN"}"#;

/// Native WebSocket clients send the URL that they connect to as their `Origin`.
#[tokio::test]
async fn native_clients_are_let_in_behind_a_proxy_that_ends_tls() {
    let server = server().await;
    let ann = server.login("Ann").await;
    let cookie = server.pair(&ann);
    for (host, origin) in [
        ("host.example:443", "wss://host.example"), // iOS
        ("host.example", "https://host.example/"),  // React Native on Android
        ("host.example", "https://host.example:443"),
    ] {
        let fields = [("cookie", &*cookie), ("host", host), ("origin", origin)];
        let answer = polls(&server, &fields).await;
        assert!(answer.starts_with("40{"), "{origin}: {answer}");
    }
    for (host, origin) in [
        ("host.example:443", "ws://host.example"),
        ("host.example:8443", "wss://host.example"),
        ("host.example", "wss://host.example.evil.example"),
        ("host.example", "https://host.example//"),
        ("host.example", "https://host.example/@evil.example"),
    ] {
        let fields = [("cookie", &*cookie), ("host", host), ("origin", origin)];
        assert_eq!(polls(&server, &fields).await, FORBIDDEN, "{origin}");
    }
}

#[tokio::test]
async fn applications_are_let_in_once_their_origin_is_allowed() {
    let setup = Setup::new().extractor(|cookie, _| {
        let policy = OriginPolicy::same_origin()
            .allow_origin("capacitor://localhost")
            .unwrap()
            .allow_origin("chrome-extension://bmnlcjabgnpnenekpadlanbbkooimhnj")
            .unwrap()
            .insecure_allow_local_files();
        DynExtractor::new(cookie.clone().origin_policy(policy))
    });
    let server = setup.start().await;
    let ann = server.login("Ann").await;
    let brings = Brings::nothing().cookie(server.pair(&ann));
    for origin in [
        "capacitor://localhost",
        "chrome-extension://bmnlcjabgnpnenekpadlanbbkooimhnj",
        "file://",
    ] {
        server
            .admits(origin, &brings.clone().field("origin", origin))
            .await;
    }
    for origin in [
        "ionic://localhost",
        "capacitor://localhost:1",
        "chrome-extension://aaaacjabgnpnenekpadlanbbkooimhnj",
        "null",
    ] {
        let foreign = brings.clone().field("origin", origin);
        server.refuses_unasked(origin, &foreign, "FORBIDDEN").await;
    }
}

/// A login form of the site itself under `Referrer-Policy: no-referrer`, and behind a proxy that
/// rewrites `Host`.
#[tokio::test]
async fn what_the_browser_says_is_same_origin_passes_whatever_a_proxy_does() {
    let server = server().await;
    let ann = server.login("Ann").await;
    let cookie = server.pair(&ann);
    let same_origin = ("sec-fetch-site", "same-origin");
    for (host, origin) in [
        ("backend:8080", "https://shop.example"),
        ("shop.example", "null"),
    ] {
        let from = [("cookie", &*cookie), ("host", host), ("origin", origin)];
        let fields: Vec<_> = from.into_iter().chain([same_origin]).collect();
        let mut http = server.http().await;
        let bytes: Vec<_> = fields
            .iter()
            .map(|(name, value)| (*name, value.as_bytes()))
            .collect();
        let form = http.send("POST", "/me", &bytes, "").await;
        assert_eq!(form.status, 200, "{origin}: {form:?}");
        assert!(polls(&server, &fields).await.starts_with("40{"), "{origin}");

        // The attacker's page can't send that field, or only another value of it.
        for site in [
            None,
            Some("cross-site"),
            Some("same-site"),
            Some("none"),
            Some("Same-Origin"),
        ] {
            let site = site.map(|site| ("sec-fetch-site", site));
            let fields: Vec<_> = from.into_iter().chain(site).collect();
            let bytes: Vec<_> = fields
                .iter()
                .map(|(name, value)| (*name, value.as_bytes()))
                .collect();
            let form = http.send("POST", "/me", &bytes, "").await;
            assert_eq!(form.status, 403, "{origin}, {site:?}");
            assert_eq!(
                polls(&server, &fields).await,
                FORBIDDEN,
                "{origin}, {site:?}"
            );
        }
        let twice: Vec<_> = fields.iter().copied().chain([same_origin]).collect();
        assert_eq!(polls(&server, &twice).await, FORBIDDEN, "{origin}, twice");
    }
}

/// Its page can send requests in no-cors mode, with the victim's cookies and without an `Origin`.
#[tokio::test]
async fn a_sibling_page_may_not_poll_in_the_users_place() {
    let server = server().await;
    let ann = server.login("Ann").await;
    let cookie = server.pair(&ann);
    let sibling = [("cookie", &*cookie), ("sec-fetch-site", "same-site")];
    assert_eq!(polls(&server, &sibling).await, FORBIDDEN);
    let allowed = [
        sibling[0],
        sibling[1],
        ("origin", "https://app.example.com"),
    ];
    assert!(polls(&server, &allowed).await.starts_with("40{"));
}

#[tokio::test]
async fn a_foreign_page_may_not_open_the_applications_own_websocket() {
    let server = server().await;
    let ann = server.login("Ann").await;
    let cookie = server.pair(&ann);
    let own = format!("http://{}", server.address);
    let upgrade = [
        ("cookie", &*cookie),
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    for (origin, status) in [(&*own, 200), ("https://evil.example", 403), ("null", 403)] {
        let fields: Vec<_> = upgrade.into_iter().chain([("origin", origin)]).collect();
        let mut http = server.http().await;
        let loads = server.loads();
        let answer = http.get("/me", &fields).await;
        assert_eq!(answer.status, status, "{origin}: {answer:?}");
        assert_eq!(server.loads() > loads, status == 200);
    }
}

#[tokio::test]
async fn a_token_passes_from_anywhere() {
    for token_first in [true, false] {
        let server = Setup::new()
            .extractor(move |cookie, token| {
                use socketioxide_session::SessionIdExtractor as _;
                match token_first {
                    true => DynExtractor::new(token.clone().or(cookie.clone())),
                    false => DynExtractor::new(cookie.clone().or(token.clone())),
                }
            })
            .start()
            .await;
        let ann = server.login("Ann").await;
        let token = server.token.issue(ann.id()).unwrap();
        let foreign = Brings::nothing().field("origin", "https://evil.example");
        let by_query = foreign.clone().query("token", &token);
        server.admits("a token in the query", &by_query).await;
        let with_cookie = foreign.cookie(server.pair(&ann));
        server
            .refuses_unasked("a cookie only", &with_cookie, "FORBIDDEN")
            .await;
        let both = with_cookie.auth(format!(r#"{{"token":"{token}"}}"#));
        server.admits("both", &both).await;
    }
}

/// Where a session is optional, a foreign page is anonymous, or refused by `own_origins_only`.
#[tokio::test]
async fn where_a_session_is_optional_a_foreign_page_never_has_the_users_session() {
    let setup = Setup::new().namespace(|io, sessions| {
        let on_connect = async |socket: SocketRef, MaybeSession(session): MaybeSession<User>| {
            let name = session.map(|session| session.data().name.clone());
            socket.emit("session", &name).ok();
        };
        io.ns("/guests", on_connect.with(sessions.optional()));
        let own_only = sessions.optional().own_origins_only();
        io.ns("/intranet", on_connect.with(own_only));
    });
    let server = setup.start().await;
    let ann = server.login("Ann").await;
    let cookie = server.pair(&ann);
    let own = format!("http://{}", server.address);
    for (cookie, name) in [
        (&*cookie, r#"["session","Ann"]"#),
        ("a=b", r#"["session",null]"#),
    ] {
        for namespace in ["/guests", "/intranet"] {
            let mut page = server.client(&[("cookie", cookie), ("origin", &own)]).await;
            page.send(&format!("40{namespace},")).await;
            let frame = page.frame_of(&format!("42{namespace},")).await;
            assert!(frame.ends_with(name), "{namespace} {cookie}: {frame}");
        }
        let foreign = [("cookie", cookie), ("origin", "https://evil.example")];
        let mut page = server.client(&foreign).await;
        page.send("40/guests,").await;
        let frame = page.frame_of("42/guests,").await;
        assert!(frame.ends_with(r#"["session",null]"#), "{cookie}: {frame}");
        let mut page = server.client(&foreign).await;
        let refused = page.refused("/intranet", "").await;
        assert_eq!(
            refused, r#"44/intranet,{"message":"FORBIDDEN"}"#,
            "{cookie}"
        );
    }
}
