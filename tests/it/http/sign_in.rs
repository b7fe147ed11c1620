//! Sign-ins and sign-outs by the credentials of a request.

use axum::http::{Method, request::Parts};
use socketioxide_session::{
    Session,
    http::SignInError,
    testing::{Call, HandshakeBuilder},
};

use crate::support::server::{Server, Setup, User};

fn bob() -> User {
    User {
        name: "Bob".into(),
        visits: 0,
    }
}

/// A form that comes with the cookie of this session.
fn form(server: &Server, session: &Session<User>, origin: Option<&str>) -> Parts {
    let form = HandshakeBuilder::request("/login").method(Method::POST);
    let form = form.session_cookie(&server.cookie, session.id());
    match origin {
        Some(origin) => form.origin(origin).into_parts(),
        None => form.into_parts(),
    }
}

#[tokio::test]
async fn a_sign_in_ends_the_session_that_the_request_presented() {
    let server = Setup::new().say_why().start().await;
    let ann = server.login("Ann").await;
    let mut tab = server.connected(&ann).await;
    let parts = form(&server, &ann, None);
    let bob = server.sessions.sign_in(&parts, bob()).await.unwrap();
    assert_ne!(bob.id(), ann.id());
    assert!(ann.has_ended() && !bob.has_ended());
    assert_eq!(tab.frame().await, r#"42["ended","rotated"]"#);
    assert_eq!(tab.frame().await, "41");
    let mut late = server.client(&[("cookie", &server.pair(&ann))]).await;
    assert_eq!(late.refused("/", "").await, r#"44{"message":"NO_SESSION"}"#);
    let mut tab = server.connected(&bob).await;
    assert!(tab.ask("/", "whoami").await.contains("Bob"));
}

#[tokio::test]
async fn a_foreign_page_signs_no_user_in_or_out() {
    let server = Server::start().await;
    let ann = server.login("Ann").await;
    let mut tab = server.connected(&ann).await;
    let created = server.faults.calls(Call::Create);
    let parts = form(&server, &ann, Some("https://evil.example"));
    let signed_in = server.sessions.sign_in(&parts, bob()).await;
    assert!(matches!(signed_in, Err(SignInError::Forbidden(_))));
    let signed_out = server.sessions.sign_out(&parts).await;
    assert!(matches!(signed_out, Err(SignInError::Forbidden(_))));
    assert_eq!(server.faults.calls(Call::Create), created);
    assert_eq!(server.faults.calls(Call::Delete), 0);
    assert!(tab.ask("/", "whoami").await.contains("Ann"));
}
