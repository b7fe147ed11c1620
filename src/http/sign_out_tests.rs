//! Requests that can't sign a user out.

use std::time::Duration;

use http::{Request, request::Parts};

use super::SignInError;
use crate::{
    bridge::SessionBridge,
    extractor::{ExtractError, Handshake, SessionIdExtractor, SignedCookie},
    id::SessionId,
    key::{Keyring, SecretKey},
    store::{Created, MemoryStore, SessionStore as _},
    testing::cookie_header,
};

/// An extractor without a check of the origin, for which each query is a bad token.
struct TokenInQuery;

impl SessionIdExtractor for TokenInQuery {
    fn extract(&self, handshake: &Handshake<'_>) -> Result<SessionId, ExtractError> {
        match handshake.parts().uri.query() {
            None => Err(ExtractError::NoToken),
            Some(_) => Err(ExtractError::invalid("a bad token")),
        }
    }
}

#[tokio::test]
async fn a_form_of_a_foreign_page_with_a_bad_token_signs_no_user_out() {
    let keys = Keyring::new(SecretKey::generate().unwrap());
    let cookie = SignedCookie::new("sid", &keys).unwrap();
    let (store, id) = (MemoryStore::new(), "an-id".parse().unwrap());
    let ann = "Ann".to_owned();
    let created = store.create(&id, &ann, Duration::from_hours(1)).await;
    assert!(matches!(created, Ok(Created::Created(_))));
    let extractor = TokenInQuery.or(cookie.clone());
    let sessions = SessionBridge::builder(extractor, store.clone())
        .build()
        .unwrap();
    let form_to = |target: &str| -> Parts {
        let request = Request::post(target)
            .header("host", "app.example")
            .header("origin", "https://evil.example")
            .header("cookie", cookie_header(&cookie, &id));
        request.body(()).unwrap().into_parts().0
    };
    for target in ["/logout", "/logout?jwt=x"] {
        let signed_out = sessions.sign_out(&form_to(target)).await;
        assert!(
            matches!(signed_out, Err(SignInError::Forbidden(_))),
            "{target}: {signed_out:?}"
        );
        assert!(store.load(&id).await.unwrap().is_some(), "{target}");
    }
}
