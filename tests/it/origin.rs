//! Where a client may come from.

use socketioxide_session::extractor::OriginPolicy;

use crate::support::{
    check::Brings,
    polling::Http,
    server::{DynExtractor, Server, Setup},
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
