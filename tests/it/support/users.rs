//! All sessions of a user, as tests look at them.

use std::collections::HashSet;

use futures_util::TryStreamExt as _;
use socketioxide_session::{
    Keyring, SecretKey, Session, SessionBridge, SessionId, SessionStore, SignedCookie,
};

use super::server::User;

pub(crate) fn user(name: &str) -> User {
    User {
        name: name.into(),
        visits: 0,
    }
}

pub(crate) fn cookie() -> SignedCookie {
    let keys = Keyring::new(SecretKey::from_bytes(&[9; 32]).unwrap());
    SignedCookie::new("sid", &keys).unwrap()
}

pub(crate) fn bridge<T: Send + Sync + 'static>(
    store: impl SessionStore<Data = T>,
) -> SessionBridge<T> {
    SessionBridge::builder(cookie(), store).build().unwrap()
}

pub(crate) async fn listed<T: Send + Sync + 'static>(
    sessions: &SessionBridge<T>,
    user: &str,
) -> Vec<Session<T>> {
    sessions.sessions_of_user(user).try_collect().await.unwrap()
}

pub(crate) async fn ids<T: Send + Sync + 'static>(
    sessions: &SessionBridge<T>,
    user: &str,
) -> HashSet<SessionId> {
    let listed = listed(sessions, user).await;
    listed.iter().map(|session| session.id().clone()).collect()
}
