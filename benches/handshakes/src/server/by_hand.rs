//! socketioxide with tower-sessions, by hand: a connect middleware reads the session that
//! tower-sessions' layer has put into the request. The cookie is signed, as in the other servers. A
//! logout does not end the socket.

use std::sync::Arc;

use axum::Router;
use fred::{clients::Client, interfaces::ClientLike as _, types::config::Config};
use socketioxide::{SocketIo, extract::SocketRef, handler::ConnectHandler as _};
use tower_sessions::{
    Expiry, MemoryStore, Session, SessionManagerLayer, SessionStore,
    cookie::{Cookie, CookieJar, Key},
};
use tower_sessions_redis_store::RedisStore;

use super::{App, user::User};
use crate::Failure;

pub(super) async fn memory(sessions: usize) -> Result<App, Failure> {
    app(MemoryStore::default(), sessions).await
}

pub(super) async fn redis(url: &str, sessions: usize) -> Result<App, Failure> {
    let client = Client::new(Config::from_url(url)?, None, None, None);
    client.init().await?;
    app(RedisStore::new(client), sessions).await
}

async fn app<S: SessionStore + Clone>(store: S, sessions: usize) -> Result<App, Failure> {
    let expiry = Expiry::OnInactivity(time::Duration::days(1));
    let shared = Arc::new(store.clone());
    let key = Key::from(&[7; 64]);
    let mut credentials = Vec::new();
    for n in 0..sessions {
        let session = Session::new(None, shared.clone(), Some(expiry));
        session.insert("user", User::nth(n)).await?;
        session.save().await?;
        let id = session.id().ok_or("a saved session without an id")?;
        let mut jar = CookieJar::new();
        jar.signed_mut(&key).add(Cookie::new("id", id.to_string()));
        let cookie = jar.get("id").ok_or("a jar that keeps no cookie")?;
        credentials.push(format!("cookie id={}", cookie.value()));
    }
    let (layer, io) = SocketIo::new_layer();
    let on_connect = async |socket: SocketRef| {
        let user = socket.extensions.get::<Arc<User>>();
        socket
            .emit("hello", &user.map(|user| user.name.clone()))
            .ok();
    };
    io.ns("/", on_connect.with(authenticate));
    let sessions = SessionManagerLayer::new(store)
        .with_expiry(expiry)
        .with_signed(key);
    let router = Router::new().layer((sessions, layer));
    Ok(App {
        router,
        credentials,
    })
}

async fn authenticate(socket: SocketRef) -> Result<(), Failure> {
    let session = socket.req_parts().extensions.get::<Session>().cloned();
    let session = session.ok_or("no layer")?;
    let user: Option<User> = session.get("user").await?;
    socket
        .extensions
        .insert(Arc::new(user.ok_or("not signed in")?));
    Ok(())
}
