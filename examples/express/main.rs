//! The sockets of an Express app, which has its sessions in `express-session` and `connect-redis`.
//!
//! ```sh
//! cd examples/express && npm install && npm start
//! ```
//!
//! It starts the Express app, too. Environment: `PORT` (3001; 0 picks one), `REDIS_URL`,
//! `SESSION_SECRET`, `APP_ORIGIN` (the origin of the app's pages), `FIELD` (the path of the user in a
//! session; with passport `passport.user`).

#[path = "../shared/log.rs"]
mod log;
#[path = "../shared/stop.rs"]
mod stop;

use std::{env, error::Error, future::IntoFuture, net::SocketAddr, time::Duration};

use axum::{
    Router,
    extract::State,
    http::{HeaderValue, header::SET_COOKIE, request::Parts},
    response::{IntoResponse, Redirect, Response},
    routing::post,
    serve::ListenerExt,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use socketioxide::{
    SocketIo,
    extract::{AckSender, SocketRef},
    handler::ConnectHandler,
};
use socketioxide_session::{
    EndReason, RedisStore, Session, SessionBridge,
    http::SignInError,
    interop::express::{ExpressCookie, ExpressRecords, SameSite},
};
use tokio::net::TcpListener;
use tower_http::cors::CorsLayer;

/// The value that Express stores as `req.session.user`. Other fields of it, and of the session, are kept.
#[derive(Clone, Serialize, Deserialize)]
struct User {
    /// Written by Express.
    name: String,
    /// Written by Express.
    #[serde(default)]
    motto: String,
    /// Written here.
    #[serde(default)]
    visits: u32,
}

#[derive(Clone)]
struct App {
    sessions: SessionBridge<User>,
    cookie: ExpressCookie,
    /// Address of the pages.
    pages: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    log::init();

    let app_origin = setting("APP_ORIGIN", "http://localhost:3000");
    // The options of `session({ name, secret, cookie })` in app.mjs. Behind https, leave
    // `insecure_http` out, and add `.secure(true)` to the records.
    let cookie = ExpressCookie::new("connect.sid", [setting("SESSION_SECRET", "keyboard cat")])?
        .insecure_http()?
        .allow_origin(&app_origin)?;
    let records = ExpressRecords::new()
        .same_site(SameSite::Lax)
        .field(&setting("FIELD", "user"))?;

    let store = RedisStore::<User>::builder(&setting("REDIS_URL", "redis://127.0.0.1:6379"))?
        .records(records)
        // When another user logs in over the same session, its sockets are disconnected.
        .user_id(|user: &User| Some(user.name.clone()))
        .connect()
        .await?;
    let sessions = SessionBridge::builder(cookie.clone(), store).build()?;

    let (socket_layer, io) = SocketIo::new_layer();
    io.ns("/", on_connect.with(sessions.require().on_end(say_why)));

    // The pages come from another port, which is another origin.
    let cors = CorsLayer::new()
        .allow_credentials(true)
        .allow_origin(app_origin.parse::<HeaderValue>()?);
    let shut_down = sessions.clone();
    let app = Router::new()
        .route("/guest", post(guest))
        .layer((cors, sessions.layer(), socket_layer))
        .with_state(App {
            sessions,
            cookie,
            pages: app_origin,
        });
    let stopped = async move {
        stop::requested().await;
        // Touches and deletions that are owed are made now.
        shut_down.shutdown(Duration::from_secs(2)).await;
        io.close().await;
    };
    serve(app, stopped).await
}

async fn serve(
    app: Router,
    stopped: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Box<dyn Error>> {
    let port = setting("PORT", "3001").parse()?;
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port))).await?;
    #[allow(clippy::print_stdout, reason = "the one line on standard output")]
    {
        println!("listening on http://{}", listener.local_addr()?);
    }
    // Without TCP_NODELAY, each Socket.IO handshake waits 40 ms for an acknowledgement.
    let listener = listener.tap_io(|tcp| {
        let _ = tcp.set_nodelay(true);
    });
    let served = axum::serve(listener, app).with_graceful_shutdown(stopped);
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

/// A session that begins here. Express accepts it as one of its own.
async fn guest(State(app): State<App>, parts: Parts) -> Result<Response, SignInError> {
    let user = User {
        name: "Guest".into(),
        motto: String::new(),
        visits: 0,
    };
    let session = app.sessions.sign_in(&parts, user).await?;
    let cookie = app.cookie.issue_header(session.id());
    Ok(([(SET_COOKIE, cookie)], Redirect::to(&app.pages)).into_response())
}

// --- Socket.IO --------------------------------------------------------------------------------

async fn on_connect(socket: SocketRef, session: Session<User>) {
    socket.emit("session", session.data()).ok();
    tokio::spawn(push_changes(socket.clone(), session));

    socket.on("whoami", async |session: Session<User>, ack: AckSender| {
        ack.send(session.data()).ok();
    });

    socket.on("visit", async |session: Session<User>, ack: AckSender| {
        match session.update(|user| user.visits += 1).await {
            Ok(session) => ack.send(&json!({ "visits": session.data().visits })).ok(),
            Err(error) => ack.send(&json!({ "error": error.to_string() })).ok(),
        };
    });

    socket.on("logout", async |session: Session<User>| {
        if let Err(error) = session.end().await {
            tracing::error!(%error, "the deletion will be retried");
        }
    });
}

/// Sends every change to the client, also those that Express made. It ends with the socket.
async fn push_changes(client: SocketRef, mut session: Session<User>) {
    while session.changed().await.is_ok() {
        client.emit("session", session.data()).ok();
    }
}

/// Tells a client why it is about to be disconnected.
fn say_why(socket: SocketRef, reason: EndReason) {
    socket.emit("ended", reason.as_str()).ok();
}

// --- Settings ---------------------------------------------------------------------------------

fn setting(name: &str, default: &str) -> String {
    env::var(name).unwrap_or_else(|_| default.to_owned())
}
