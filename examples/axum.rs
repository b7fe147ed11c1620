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

use std::{env, error::Error, future::IntoFuture, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Form, Json, Router,
    extract::State,
    http::{
        HeaderValue, StatusCode,
        header::{CACHE_CONTROL, SET_COOKIE},
        request::Parts,
    },
    response::{Html, IntoResponse, Redirect, Response},
    routing::{get, post},
    serve::ListenerExt,
};
use futures_util::TryStreamExt as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use socketioxide::{
    SocketIo,
    extract::{AckSender, SocketRef},
    handler::ConnectHandler,
};
use socketioxide_session::{
    EncryptedToken, EndReason, Keyring, MaybeSession, MemoryStore, SecretKey, Session,
    SessionBridge, SessionIdExtractor, SessionStore, SignedCookie, http::SignInError,
};
use tokio::net::TcpListener;
use tower_http::cors::CorsLayer;
use tracing_subscriber::EnvFilter;

/// What a session holds.
#[derive(Clone, Serialize, Deserialize)]
struct User {
    name: String,
    visits: u32,
}

#[derive(Clone)]
struct App {
    sessions: SessionBridge<User>,
    cookie: SignedCookie,
    token: EncryptedToken,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();

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
    io.ns("/", on_connect.with(sessions.require().on_end(say_why)));
    io.ns("/lobby", on_lobby.with(sessions.optional().on_end(say_why)));

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
        .route("/login", post(login))
        .route("/logout", post(logout))
        .route("/me", get(me))
        .route("/token", post(issue_token))
        .route("/devices", get(devices))
        .route("/sign-out-elsewhere", post(sign_out_elsewhere))
        .merge(metrics)
        .layer(socket_layer)
        // Last, so that it is outermost and sees every request first.
        .layer(session_layer)
        .layer(cors)
        .with_state(App {
            sessions,
            cookie,
            token,
        });

    let port = env::var("PORT").map_or(Ok(3000), |port| port.parse())?;
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port))).await?;
    #[allow(clippy::print_stdout, reason = "the one line on standard output")]
    {
        println!("listening on http://{}", listener.local_addr()?);
    }
    // Without TCP_NODELAY, each Socket.IO handshake waits 40 ms for an acknowledgement.
    let listener = listener.tap_io(|tcp| {
        let _ = tcp.set_nodelay(true);
    });
    let served = axum::serve(listener, app).with_graceful_shutdown(async move {
        let _ = tokio::signal::ctrl_c().await;
        // Touches and deletions that are owed are made now.
        shut_down.shutdown(Duration::from_secs(2)).await;
        io.close().await;
    });
    tokio::select! {
        served = served.into_future() => served?,
        () = some_time_after_ctrl_c() => tracing::warn!("some clients were cut off"),
    }
    Ok(())
}

/// A client that still polls may take half a minute to go.
async fn some_time_after_ctrl_c() {
    let _ = tokio::signal::ctrl_c().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
}

// --- HTTP -------------------------------------------------------------------------------------

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

// --- Socket.IO --------------------------------------------------------------------------------

async fn on_connect(socket: SocketRef, mut session: Session<User>) {
    socket.emit("session", session.data()).ok();

    // Pushes every change of the session to the client. It ends with the socket.
    let client = socket.clone();
    tokio::spawn(async move {
        while session.changed().await.is_ok() {
            client.emit("session", session.data()).ok();
        }
    });

    socket.on("whoami", async |session: Session<User>, ack: AckSender| {
        ack.send(session.data()).ok();
    });

    socket.on("visit", async |session: Session<User>, ack: AckSender| {
        match session.update(|user| user.visits += 1).await {
            Ok(session) => ack.send(&json!({ "visits": session.data().visits })).ok(),
            Err(error) => ack.send(&json!({ "error": error.to_string() })).ok(),
        };
    });
}

async fn on_lobby(socket: SocketRef, MaybeSession(session): MaybeSession<User>) {
    match session {
        Some(session) => socket.emit("session", session.data()).ok(),
        None => socket.emit("session", &json!({ "name": null })).ok(),
    };
}

/// Tells a client why it is about to be disconnected.
fn say_why(socket: SocketRef, reason: EndReason) {
    socket.emit("ended", reason.as_str()).ok();
}

// --- Settings ---------------------------------------------------------------------------------

fn keys() -> Result<Keyring, Box<dyn Error>> {
    if let Ok(text) = env::var("SESSION_KEY") {
        return Ok(Keyring::new(SecretKey::from_base64(&text)?));
    }
    tracing::warn!("SESSION_KEY is not set: with a random key, all sessions are lost at the end");
    Ok(Keyring::new(SecretKey::generate()?))
}

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

fn seconds(name: &str, default: u64) -> Result<Duration, Box<dyn Error>> {
    let seconds = env::var(name).map_or(Ok(default), |text| text.parse())?;
    Ok(Duration::from_secs(seconds))
}
