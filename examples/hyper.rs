//! A login over HTTP, and a Socket.IO connection with its session: with hyper alone.
//!
//! ```sh
//! cargo run --example hyper
//! ```
//!
//! It serves the same as the axum example, with a part of its environment: `PORT` (3000; 0 picks one),
//! `SESSION_KEY` (32 bytes in base64; random when unset), `SESSION_TTL` and `TOKEN_TTL` (seconds), `GATE`
//! (when set, clients without a session get no transport).
//!
//! To start an application from it, copy `shared/` and `page.html`, too.

#[path = "shared/log.rs"]
mod log;
#[path = "shared/settings.rs"]
mod settings;
#[path = "shared/sockets.rs"]
mod sockets;
#[path = "shared/stop.rs"]
mod stop;

use std::{convert::Infallible, env, error::Error, pin::pin, time::Duration};

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION, SET_COOKIE},
    request::Parts,
};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use serde_json::{Value, json};
use settings::{keys, listen, seconds};
use socketioxide::SocketIo;
use socketioxide_session::{
    EncryptedToken, MemoryStore, Session, SessionBridge, SessionIdExtractor, SessionRejection,
    SignedCookie, http::SignInError,
};
use sockets::User;
use tower::{ServiceBuilder, service_fn};

#[derive(Clone)]
struct App {
    sessions: SessionBridge<User>,
    cookie: SignedCookie,
    token: EncryptedToken,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    log::init();
    let keys = keys()?;
    // Behind https, use the name "__Host-sid", and leave `insecure_http` out.
    let cookie = SignedCookie::new("sid", &keys)?.insecure_http()?;
    tracing::warn!("plain http: the cookie is issued without `Secure`");
    let token = EncryptedToken::new("token", &keys)?.lifetime(seconds("TOKEN_TTL", 60)?)?;

    let store = MemoryStore::<User>::new().user_id(|user| Some(user.name.clone()));
    let sessions = SessionBridge::builder(token.clone().or(cookie.clone()), store)
        .ttl(seconds("SESSION_TTL", 24 * 60 * 60)?)
        .build()?;

    let (socket_layer, io) = SocketIo::new_layer();
    sockets::mount(&io, &sessions);

    let app = App {
        sessions: sessions.clone(),
        cookie,
        token,
    };
    let mut session_layer = sessions.layer();
    if env::var_os("GATE").is_some() {
        // It shuts out anonymous clients, and those whose token comes in the `auth` payload.
        session_layer = session_layer.reject_unauthenticated();
    }
    let service = ServiceBuilder::new()
        .layer(session_layer) // named first, so that it is outermost
        .layer(socket_layer)
        .service(service_fn(move |request| answer(app.clone(), request)));

    let listener = listen().await?;
    let server = auto::Builder::new(TokioExecutor::new()).http1_only();
    let graceful = GracefulShutdown::new();
    // One for the whole loop: a new one each time would miss what came in between.
    let mut stop = pin!(stop::requested());
    loop {
        let tcp = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((tcp, _)) => tcp,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    continue;
                }
            },
            () = &mut stop => break,
        };
        // Without TCP_NODELAY, each Socket.IO handshake waits 40 ms for an acknowledgement.
        let _ = tcp.set_nodelay(true);
        let service = TowerToHyperService::new(service.clone());
        let connection = server.serve_connection_with_upgrades(TokioIo::new(tcp), service);
        let connection = graceful.watch(connection.into_owned());
        tokio::spawn(async move {
            let _ = connection.await; // an error here is a client that went away
        });
    }
    // Touches and deletions that are owed are made now.
    sessions.shutdown(Duration::from_secs(2)).await;
    // A client that still polls may take half a minute to go.
    let all_gone = async {
        io.close().await;
        graceful.shutdown().await;
    };
    let gone = tokio::time::timeout(Duration::from_secs(3), all_gone).await;
    if gone.is_err() {
        tracing::warn!("some clients were cut off");
    }
    Ok(())
}

// --- HTTP -------------------------------------------------------------------------------------

type Answer = Response<Full<Bytes>>;

async fn answer(app: App, request: Request<Incoming>) -> Result<Answer, Infallible> {
    let (parts, body) = request.into_parts();
    let answer = match (&parts.method, parts.uri.path()) {
        (&Method::GET, "/") => Ok(with_type(
            "text/html; charset=utf-8",
            include_str!("page.html"),
        )),
        (&Method::GET, "/style.css") => Ok(with_type("text/css", include_str!("shared/style.css"))),
        (&Method::POST, "/login") => login(&app, &parts, body).await,
        (&Method::POST, "/logout") => logout(&app, &parts).await,
        (&Method::GET, "/me") => me(&app, &parts).await,
        (&Method::POST, "/token") => issue_token(&app, &parts).await,
        (&Method::GET, "/devices") => devices(&app, &parts).await,
        (&Method::POST, "/sign-out-elsewhere") => sign_out_elsewhere(&app, &parts).await,
        _ => Ok(status(StatusCode::NOT_FOUND)),
    };
    Ok(answer.unwrap_or_else(|rejection| {
        let mut answer = with_type("application/json", rejection.to_json());
        *answer.status_mut() = rejection.status();
        answer
    }))
}

async fn login(app: &App, parts: &Parts, body: Incoming) -> Result<Answer, SessionRejection> {
    let Ok(form) = Limited::new(body, 8 * 1024).collect().await else {
        return Ok(status(StatusCode::PAYLOAD_TOO_LARGE));
    };
    let form = form.to_bytes();
    let name = form_urlencoded::parse(&form)
        .find_map(|(field, value)| (field == "name").then(|| value.into_owned()))
        .unwrap_or_default();
    if name.trim().is_empty() {
        return Ok(status(StatusCode::BAD_REQUEST));
    }
    // Ends the session that the browser had, if any, and creates a new one.
    let session = app
        .sessions
        .sign_in(parts, User { name, visits: 0 })
        .await?;
    Ok(home_with_cookie(app.cookie.issue_header(session.id())))
}

async fn logout(app: &App, parts: &Parts) -> Result<Answer, SessionRejection> {
    match app.sessions.sign_out(parts).await {
        // The sockets here are gone, and the deletion will be retried.
        Err(SignInError::Store(error)) => tracing::error!(%error, "a logout is not stored yet"),
        done => drop(done?),
    }
    Ok(home_with_cookie(app.cookie.removal_header()))
}

async fn me(app: &App, parts: &Parts) -> Result<Answer, SessionRejection> {
    let session = app.sessions.from_request(parts).await?;
    let User { name, visits } = session.data();
    let body = json!({ "name": name, "visits": visits });
    Ok(with_type("application/json", body.to_string()))
}

/// All sessions of the user, the newest first.
async fn devices(app: &App, parts: &Parts) -> Result<Answer, SessionRejection> {
    let session = app.sessions.from_request(parts).await?;
    let all = app.sessions.sessions_of_user(&session.data().name);
    let device = |other: Session<User>| {
        let this = other.id() == session.id();
        json!({ "this": this, "visits": other.data().visits })
    };
    let devices: Vec<Value> = all.map_ok(device).try_collect().await?;
    Ok(with_type(
        "application/json",
        Value::from(devices).to_string(),
    ))
}

async fn sign_out_elsewhere(app: &App, parts: &Parts) -> Result<Answer, SessionRejection> {
    let session = app.sessions.from_request(parts).await?;
    if let Err(error) = app.sessions.end_other_sessions(&session).await {
        tracing::error!(%error, "some sessions did not end");
        return Ok(status(StatusCode::SERVICE_UNAVAILABLE));
    }
    Ok(home())
}

/// A token for the session of the cookie. (A token is no credential here.)
async fn issue_token(app: &App, parts: &Parts) -> Result<Answer, SessionRejection> {
    let session = app.sessions.from_request(parts).await?;
    let Ok(token) = app.token.issue(session.id()) else {
        return Ok(status(StatusCode::INTERNAL_SERVER_ERROR));
    };
    let body = json!({ "token": token });
    let mut answer = with_type("application/json", body.to_string());
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(answer)
}

fn status(status: StatusCode) -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer
}

fn with_type(content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    let content_type = HeaderValue::from_static(content_type);
    answer.headers_mut().insert(CONTENT_TYPE, content_type);
    answer
}

fn home() -> Answer {
    let mut answer = status(StatusCode::SEE_OTHER);
    let home = HeaderValue::from_static("/");
    answer.headers_mut().insert(LOCATION, home);
    answer
}

fn home_with_cookie(cookie: HeaderValue) -> Answer {
    let mut answer = home();
    answer.headers_mut().insert(SET_COOKIE, cookie);
    answer
}
