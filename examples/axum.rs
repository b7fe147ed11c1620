//! A login over HTTP, and a Socket.IO connection with its session: with axum.
//!
//! ```sh
//! cargo run --example axum
//! ```
//!
//! Environment: `PORT` (3000; 0 picks one), `SESSION_KEY` (32 bytes in base64; random when unset),
//! `SESSION_TTL`, `TOKEN_TTL` and `MAX_STALE` (seconds), `COOKIE_MAX_AGE` (seconds; until the browser is
//! closed when unset), `GATE` (when set, clients without a session get no transport), `COOKIE_DOMAIN` and
//! `ALLOW_ORIGIN` (for pages on another host).
//! With `--features redis` also `REDIS_URL`, for several processes that share their sessions. With
//! `--features metrics` it serves `/metrics`, for Prometheus.
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

use std::{env, error::Error, future::IntoFuture, sync::Arc, time::Duration};

use axum::{
    Form, Json, Router,
    extract::State,
    http::{
        HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE, SET_COOKIE},
        request::Parts,
    },
    response::{Html, IntoResponse, Redirect, Response},
    routing::{get, post},
    serve::ListenerExt,
};
use futures_util::TryStreamExt as _;
use serde::Deserialize;
use serde_json::{Value, json};
use settings::{keys, listen, seconds};
use socketioxide::SocketIo;
use socketioxide_session::{
    EncryptedToken, MemoryStore, Session, SessionBridge, SessionIdExtractor, SessionStore,
    SignedCookie, http::SignInError,
};
use sockets::User;
use tower_http::cors::CorsLayer;

#[derive(Clone)]
struct App {
    sessions: SessionBridge<User>,
    cookie: SignedCookie,
    token: EncryptedToken,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    log::init();
    let metrics = metrics()?;
    let keys = keys()?;
    // Behind https, use the name "__Host-sid", and leave `insecure_http` out.
    let mut cookie = SignedCookie::new("sid", &keys)?.insecure_http()?;
    // For pages on another host than the sockets.
    if let Ok(domain) = env::var("COOKIE_DOMAIN") {
        cookie = cookie.domain(&domain)?;
    }
    // Else it lasts until the browser is closed.
    let lasts = env::var_os("COOKIE_MAX_AGE").is_some();
    if lasts {
        cookie = cookie.max_age(seconds("COOKIE_MAX_AGE", 0)?)?;
    }
    let mut cors = CorsLayer::new().allow_credentials(true);
    if let Ok(origin) = env::var("ALLOW_ORIGIN") {
        cookie = cookie.allow_origin(&origin)?;
        cors = cors.allow_origin(origin.parse::<HeaderValue>()?);
    }
    tracing::warn!("plain http: the cookie is issued without `Secure`");
    let token = EncryptedToken::new("token", &keys)?.lifetime(seconds("TOKEN_TTL", 60)?)?;

    let sessions = SessionBridge::builder(token.clone().or(cookie.clone()), store().await?)
        .ttl(seconds("SESSION_TTL", 24 * 60 * 60)?)
        .max_stale(seconds("MAX_STALE", 5 * 60)?)
        .build()?;

    let (socket_layer, io) = SocketIo::new_layer();
    sockets::mount(&io, &sessions);

    let shut_down = sessions.clone();
    let mut session_layer = sessions.layer();
    if lasts {
        // The cookie lives as long as its session, however long that is used.
        session_layer = session_layer.refresh_cookie(cookie.clone())?;
    }
    if env::var_os("GATE").is_some() {
        // It shuts out anonymous clients, and those whose token comes in the `auth` payload.
        session_layer = session_layer.reject_unauthenticated();
    }
    let app = Router::new()
        .route("/", get(async || Html(include_str!("page.html"))))
        .route("/style.css", get(style))
        .route("/login", post(login))
        .route("/logout", post(logout))
        .route("/me", get(me))
        .route("/token", post(issue_token))
        .route("/devices", get(devices))
        .route("/sign-out-elsewhere", post(sign_out_elsewhere))
        .merge(metrics)
        // The outermost first: the session layer is to see every request before Socket.IO.
        .layer((cors, session_layer, socket_layer))
        .with_state(App {
            sessions,
            cookie,
            token,
        });

    // Without TCP_NODELAY, each Socket.IO handshake waits 40 ms for an acknowledgement.
    let listener = listen().await?.tap_io(|tcp| {
        let _ = tcp.set_nodelay(true);
    });
    let served = axum::serve(listener, app).with_graceful_shutdown(async move {
        stop::requested().await;
        // Touches and deletions that are owed are made now.
        shut_down.shutdown(Duration::from_secs(2)).await;
        io.close().await;
    });
    tokio::select! {
        served = served.into_future() => served?,
        () = some_time_after_the_stop() => tracing::warn!("some clients were cut off"),
    }
    Ok(())
}

/// A client that still polls may take half a minute to go.
async fn some_time_after_the_stop() {
    stop::requested().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
}

// --- HTTP -------------------------------------------------------------------------------------

async fn style() -> impl IntoResponse {
    (
        [(CONTENT_TYPE, "text/css")],
        include_str!("shared/style.css"),
    )
}

#[derive(Deserialize)]
struct Login {
    #[serde(default)]
    name: String,
}

async fn login(
    State(app): State<App>,
    parts: Parts,
    Form(Login { name }): Form<Login>,
) -> Result<Response, SignInError> {
    if name.trim().is_empty() {
        return Ok(StatusCode::BAD_REQUEST.into_response());
    }
    // Ends the session that the browser had, if any, and creates a new one.
    let session = app
        .sessions
        .sign_in(&parts, User { name, visits: 0 })
        .await?;
    let cookie = app.cookie.issue_header(session.id());
    Ok(([(SET_COOKIE, cookie)], Redirect::to("/")).into_response())
}

async fn logout(State(app): State<App>, parts: Parts) -> Result<impl IntoResponse, SignInError> {
    match app.sessions.sign_out(&parts).await {
        // The sockets here are gone, and the deletion will be retried.
        Err(SignInError::Store(error)) => tracing::error!(%error, "a logout is not stored yet"),
        done => drop(done?),
    }
    Ok((
        [(SET_COOKIE, app.cookie.removal_header())],
        Redirect::to("/"),
    ))
}

async fn me(session: Session<User>) -> Json<User> {
    Json(session.data().clone())
}

/// All sessions of the user, the newest first.
async fn devices(
    State(app): State<App>,
    session: Session<User>,
) -> Result<Json<Value>, SignInError> {
    let all = app.sessions.sessions_of_user(&session.data().name);
    let device = |other: Session<User>| {
        let this = other.id() == session.id();
        json!({ "this": this, "visits": other.data().visits })
    };
    let devices: Vec<Value> = all.map_ok(device).try_collect().await?;
    Ok(Json(devices.into()))
}

async fn sign_out_elsewhere(
    State(app): State<App>,
    session: Session<User>,
) -> Result<Redirect, StatusCode> {
    app.sessions
        .end_other_sessions(&session)
        .await
        .map_err(|error| {
            tracing::error!(%error, "some sessions did not end");
            StatusCode::SERVICE_UNAVAILABLE
        })?;
    Ok(Redirect::to("/"))
}

/// A token for the session of the cookie. (A token is no credential here.)
async fn issue_token(
    State(app): State<App>,
    session: Session<User>,
) -> Result<impl IntoResponse, StatusCode> {
    let token = app.token.issue(session.id()).map_err(|error| {
        tracing::error!(%error, "no token");
        StatusCode::INTERNAL_SERVER_ERROR
    })?;
    Ok((
        [(CACHE_CONTROL, "no-store")],
        Json(json!({ "token": token })),
    ))
}

// --- Settings ---------------------------------------------------------------------------------

/// The page that Prometheus scrapes. In production, serve it on a port that clients can't reach.
#[cfg(feature = "metrics")]
fn metrics() -> Result<Router<App>, Box<dyn Error>> {
    use metrics_exporter_prometheus::PrometheusBuilder;

    // Installed before the bridge counts anything.
    let buckets = [0.001, 0.005, 0.025, 0.1, 0.5, 2.0];
    let recorder = PrometheusBuilder::new()
        .set_buckets(&buckets)?
        .build_recorder();
    let scrape = recorder.handle();
    metrics::set_global_recorder(recorder)?;
    Ok(Router::new().route("/metrics", get(async move || scrape.render())))
}

#[cfg(not(feature = "metrics"))]
#[allow(clippy::unnecessary_wraps, reason = "the other one can fail")]
fn metrics() -> Result<Router<App>, Box<dyn Error>> {
    Ok(Router::new())
}

/// The user that a session belongs to.
#[allow(
    clippy::unnecessary_wraps,
    reason = "sessions of other applications may have no user"
)]
fn user_id(user: &User) -> Option<String> {
    Some(user.name.clone())
}

/// Redis when `REDIS_URL` says where; else the memory of this process.
#[cfg(feature = "redis")]
async fn store() -> Result<Arc<dyn SessionStore<Data = User>>, Box<dyn Error>> {
    Ok(match env::var("REDIS_URL") {
        Ok(url) => {
            let store = socketioxide_session::RedisStore::connect(&url).await?;
            Arc::new(store.with_user_id(user_id))
        }
        Err(_) => Arc::new(MemoryStore::new().user_id(user_id)),
    })
}

#[cfg(not(feature = "redis"))]
#[allow(clippy::unused_async, reason = "the other one waits")]
async fn store() -> Result<Arc<dyn SessionStore<Data = User>>, Box<dyn Error>> {
    Ok(Arc::new(MemoryStore::new().user_id(user_id)))
}
