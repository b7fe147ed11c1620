//! Tokens that a client can send. (Their content is tested beside its code.)

use socketioxide_session::{EncryptedToken, SessionIdExtractor as _, extractor::TokenOptions};

use crate::support::{
    check::Brings,
    log,
    polling::Http,
    server::{DynExtractor, Server, Setup, keyring},
};

async fn server() -> Server {
    let setup = Setup::new().extractor(|_, token| DynExtractor::new(token.clone()));
    setup.start().await
}

fn by_query(token: &str) -> Brings {
    Brings::nothing().query("token", token)
}

fn by_auth(token: &str) -> Brings {
    Brings::nothing().auth(serde_json::json!({ "token": token }).to_string())
}

#[tokio::test]
async fn a_good_token_is_let_in_by_auth_and_by_query() {
    let server = server().await;
    let ann = server.login("Ann").await;
    let token = server.token.issue(ann.id()).unwrap();
    server.admits("auth", &by_auth(&token)).await;
    server.admits("query", &by_query(&token)).await;
    assert!(!log::captured().contains(&token));
}

#[tokio::test]
async fn texts_that_are_no_token() {
    let server = server().await;
    server
        .refuses_unasked("none", &Brings::nothing(), "NO_TOKEN")
        .await;
    let ann = server.login("Ann").await;
    let token = server.token.issue(ann.id()).unwrap();
    let doubled = by_query(&token).query("token", &token);
    server
        .refuses_unasked("doubled", &doubled, "NO_SESSION")
        .await;
    for (what, text) in [
        (
            "escaped twice",
            format!("%25{:02X}{}", token.as_bytes()[0], &token[1..]),
        ),
        ("a broken escape", format!("%zz{token}")),
        ("a plus", format!("+{token}")),
        ("padding", format!("{token}=")),
        ("too long", "A".repeat(5_000)),
        ("version 2", format!("Ag{}", &token[2..])),
    ] {
        server
            .refuses_unasked(what, &by_query(&text), "NO_SESSION")
            .await;
    }
    for (what, text) in [
        ("white space", format!("{token} ")),
        ("a line", format!("{token}\n")),
    ] {
        server
            .refuses_unasked(what, &by_auth(&text), "NO_SESSION")
            .await;
    }
    assert!(!log::captured().contains(&token));
}

/// A C++ client escapes `-` and `_`; a JavaScript client without a token sends what is empty.
#[tokio::test]
async fn an_escaped_token_is_let_in_and_an_empty_one_is_absent() {
    let server = server().await;
    let ann = server.login("Ann").await;
    let token = server.token.issue(ann.id()).unwrap();
    let escaped = token.replace('-', "%2D").replace('_', "%5f");
    server.admits("escaped", &by_query(&escaped)).await;
    let first = format!("%{:02X}{}", token.as_bytes()[0], &token[1..]);
    server.admits("one character", &by_query(&first)).await;
    let beside = by_query("").query("token", &token).query("token", "null");
    server.admits("beside empty ones", &beside).await;
    for empty in ["", "null"] {
        server
            .refuses_unasked(empty, &by_query(empty), "NO_TOKEN")
            .await;
        server
            .refuses_unasked(empty, &by_auth(empty), "NO_TOKEN")
            .await;
    }
}

#[tokio::test]
async fn a_bearer_token_is_let_in_when_it_is_ours() {
    let server = Server::start().await;
    let ann = server.login("Ann").await;
    let token = server.token.issue(ann.id()).unwrap();
    let bearer = |token: &str| Brings::nothing().field("authorization", format!("Bearer {token}"));
    server.admits("ours", &bearer(&token)).await;
    // Of another system, or of another keyring: as if it weren't there.
    let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U";
    let other_key = EncryptedToken::new("token", &keyring(9, &[])).unwrap();
    for absent in [
        jwt,
        &other_key.issue(ann.id()).unwrap(),
        &format!("{token}="),
    ] {
        server
            .refuses_unasked(absent, &bearer(absent), "NO_COOKIE")
            .await;
        let with_cookie = bearer(absent).cookie(server.pair(&ann));
        server.admits("beside a cookie", &with_cookie).await;
    }
    // It names our key, and is forged: no cookie makes up for it.
    let (head, last) = token.split_at(token.len() - 4);
    let forged = format!("{head}{}", if last == "AAAA" { "BBBB" } else { "AAAA" });
    let forged = bearer(&forged).cookie(server.pair(&ann));
    server
        .refuses_unasked("forged", &forged, "NO_SESSION")
        .await;
    let two = bearer(&token).field("authorization", "Basic eA==");
    server
        .refuses_unasked("two fields", &two, "NO_SESSION")
        .await;
    // On ordinary HTTP it is as if it weren't there.
    let mut http = server.http().await;
    let authorization = format!("Bearer {token}");
    let me = http.get("/me", &[("authorization", &authorization)]).await;
    assert_eq!((me.status, &*me.body), (401, r#"{"error":"NO_COOKIE"}"#));
    assert!(!log::captured().contains(&token));
}

#[tokio::test]
async fn tokens_of_others() {
    let server = server().await;
    let ann = server.login("Ann").await;
    let issue = |token: EncryptedToken| token.issue(ann.id()).unwrap();
    let keys = keyring(1, &[]);
    let other_name = issue(EncryptedToken::new("other", &keys).unwrap());
    let other_key = issue(EncryptedToken::new("token", &keyring(9, &[])).unwrap());
    let audience = issue(
        EncryptedToken::new("token", &keys)
            .unwrap()
            .audience("chat"),
    );
    for (what, token) in [
        ("another name", other_name),
        ("another key", other_key),
        ("another audience", audience),
    ] {
        server
            .refuses_unasked(what, &by_query(&token), "NO_SESSION")
            .await;
        server
            .refuses_unasked(what, &by_auth(&token), "NO_SESSION")
            .await;
    }
    let elsewhere = server
        .token
        .issue_with(ann.id(), TokenOptions::new().namespace("/elsewhere"))
        .unwrap();
    server
        .refuses_unasked("namespace", &by_auth(&elsewhere), "NO_SESSION")
        .await;
    let here = server
        .token
        .issue_with(ann.id(), TokenOptions::new().namespace("/"));
    server
        .admits("the same namespace", &by_auth(&here.unwrap()))
        .await;
}

#[tokio::test]
async fn nodes_in_the_middle_of_a_rotation_accept_each_others() {
    let with = |keys| {
        Setup::new()
            .keys(keys)
            .extractor(|_, token| DynExtractor::new(token.clone()))
    };
    let before = with(keyring(1, &[2])).start().await;
    let after = with(keyring(2, &[1])).start().await;
    for (issuer, verifier) in [(&before, &after), (&after, &before)] {
        let ann = verifier.login("Ann").await;
        let token = issuer.token.issue(ann.id()).unwrap();
        verifier.admits("of the other node", &by_auth(&token)).await;
    }
    let done = with(keyring(2, &[])).start().await;
    let ann = done.login("Ann").await;
    let token = before.token.issue(ann.id()).unwrap();
    done.refuses_unasked("retired", &by_auth(&token), "NO_SESSION")
        .await;
}

#[tokio::test]
async fn on_ordinary_http_a_token_is_as_if_it_were_not_there() {
    let server = Server::start().await;
    let ann = server.login("Ann").await;
    let token = server.token.issue(ann.id()).unwrap();
    let mut http = Http::open(server.address).await;
    for method in ["GET", "POST"] {
        let target = format!("/me?token={token}");
        let answer = http.send(method, &target, &[], "").await;
        assert_eq!(
            (answer.status, &*answer.body),
            (401, r#"{"error":"NO_COOKIE"}"#)
        );
    }
    assert_eq!(server.loads(), 0);
}

#[tokio::test]
async fn cookie_or_token_and_token_or_cookie() {
    for token_first in [true, false] {
        let server = Setup::new()
            .extractor(move |cookie, token| match token_first {
                true => DynExtractor::new(token.clone().or(cookie.clone())),
                false => DynExtractor::new(cookie.clone().or(token.clone())),
            })
            .start()
            .await;
        let nothing = if token_first { "NO_COOKIE" } else { "NO_TOKEN" };
        server
            .refuses_unasked("nothing", &Brings::nothing(), nothing)
            .await;
        let ann = server.login("Ann").await;
        let token = server.token.issue(ann.id()).unwrap();
        let cookie = server.pair(&ann);
        server.admits("token only", &by_auth(&token)).await;
        server
            .admits("cookie only", &Brings::nothing().cookie(&cookie))
            .await;
        let (bad_first, good_second) = match token_first {
            true => (by_auth("bad"), by_auth("bad").cookie(&cookie)),
            false => (
                Brings::nothing().cookie("sid=bad"),
                by_auth(&token).cookie("sid=bad"),
            ),
        };
        server
            .refuses_unasked("a bad one", &bad_first, "NO_SESSION")
            .await;
        server
            .refuses_unasked("a bad one, then a good one", &good_second, "NO_SESSION")
            .await;
    }
}
