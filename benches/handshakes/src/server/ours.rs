//! socketioxide with this crate, its layer included.

use std::time::Duration;

use axum::Router;
use socketioxide::{SocketIo, extract::SocketRef, handler::ConnectHandler as _};
use socketioxide_session::{
    EncryptedToken, Keyring, MemoryStore, RedisStore, SecretKey, Session, SessionBridge,
    SessionIdExtractor, SessionStore, SignedCookie,
};

use super::{App, user::User};
use crate::Failure;

const HOUR: Duration = Duration::from_secs(3600);

pub(super) async fn memory(sessions: usize) -> Result<App, Failure> {
    with_cookie(MemoryStore::new(), sessions).await
}

pub(super) async fn redis(url: &str, sessions: usize) -> Result<App, Failure> {
    with_cookie(RedisStore::connect(url).await?, sessions).await
}

pub(super) async fn token(sessions: usize) -> Result<App, Failure> {
    let token = EncryptedToken::new("token", &keys()?)?.lifetime(HOUR)?;
    let issuer = token.clone();
    app(token, MemoryStore::new(), sessions, |session| {
        Ok(format!("token {}", issuer.issue(session.id())?))
    })
    .await
}

async fn with_cookie<S>(store: S, sessions: usize) -> Result<App, Failure>
where
    S: SessionStore<Data = User>,
{
    let cookie = SignedCookie::new("sid", &keys()?)?.insecure_http()?;
    let issuer = cookie.clone();
    app(cookie, store, sessions, |session| {
        let cookie = issuer.issue(session.id());
        Ok(format!("cookie {}={}", cookie.name(), cookie.value()))
    })
    .await
}

async fn app<E, S>(
    extractor: E,
    store: S,
    sessions: usize,
    issue: impl Fn(&Session<User>) -> Result<String, Failure>,
) -> Result<App, Failure>
where
    E: SessionIdExtractor + 'static,
    S: SessionStore<Data = User>,
{
    let bridge = SessionBridge::builder(extractor, store).build()?;
    let mut credentials = Vec::new();
    for n in 0..sessions {
        credentials.push(issue(&bridge.create(User::nth(n)).await?)?);
    }
    let (layer, io) = SocketIo::new_layer();
    let on_connect = async |socket: SocketRef, session: Session<User>| {
        socket.emit("hello", &session.data().name).ok();
    };
    io.ns("/", on_connect.with(bridge.require()));
    let router = Router::new().layer((bridge.layer(), layer));
    Ok(App {
        router,
        credentials,
    })
}

fn keys() -> Result<Keyring, Failure> {
    Ok(Keyring::new(SecretKey::from_bytes(&[7; 32])?))
}
