//! The chat of `examples/tower_sessions`, with routes for what can happen to a session.

use std::{env, error::Error, future::pending};

use axum::{
    Extension, Router,
    http::{StatusCode, request::Parts},
    routing::post,
};
use socketioxide_session::{
    RedisStore, Session as SocketSession, SessionBridge,
    interop::tower_sessions::{PlainCookie, TowerSessionsRecords},
};
use tower_sessions::{Expiry, Session, cookie::time::Duration};
use tower_sessions_chat::{Login, Users, app, routes, serve, stores};

/// Longer than a busy machine leaves a socket that is in use without an event.
const SOON: Duration = Duration::seconds(5);
/// The key of the number of visits in a session.
const VISITS: &str = "visits";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let users = Users::connect(&env::var("DATABASE_URL")?).await?;
    if let Ok(url) = env::var("REDIS_URL") {
        let (store, logins) = stores::redis(&url).await?;
        let visits = visits(&url).await?;
        let routes = all_routes()
            .route("/visit", post(visit))
            .route("/visit-here", post(visit_here))
            .layer(Extension(visits));
        serve(app(routes, users, store, logins)?).await
    } else {
        let (store, logins) = stores::sqlite(users.pool()).await?;
        serve(app(all_routes(), users, store, logins)?).await
    }
}

fn all_routes() -> Router {
    routes()
        .route("/cycle", post(cycle))
        .route("/cycle-and-fail", post(cycle_and_fail))
        .route("/cycle-and-wait", post(cycle_and_wait))
        .route("/expire-soon", post(expire_soon))
        .route("/end", post(end))
}

type Answer = Result<(), StatusCode>;

fn failed(error: impl Error) -> StatusCode {
    tracing::error!(%error, "a request failed");
    StatusCode::INTERNAL_SERVER_ERROR
}

async fn cycle(Extension(session): Extension<Session>) -> Answer {
    session.cycle_id().await.map_err(failed)
}

async fn cycle_and_fail(Extension(session): Extension<Session>) -> Answer {
    session.cycle_id().await.map_err(failed)?;
    Err(StatusCode::SERVICE_UNAVAILABLE)
}

/// Until the client leaves.
async fn cycle_and_wait(Extension(session): Extension<Session>) -> Answer {
    session.cycle_id().await.map_err(failed)?;
    pending().await
}

async fn expire_soon(Extension(session): Extension<Session>) -> Answer {
    session.set_expiry(Some(Expiry::OnInactivity(SOON)));
    session.save().await.map_err(failed)
}

/// As a handler of a socket may do it.
async fn end(session: SocketSession<Login>) -> Answer {
    session.end().await.map_err(failed)
}

/// The same sessions, seen as the number of visits in them.
async fn visits(url: &str) -> Result<SessionBridge<u64>, Box<dyn Error>> {
    let store = RedisStore::builder(url)?
        .records(TowerSessionsRecords::field(VISITS))
        .connect()
        .await?;
    Ok(SessionBridge::builder(PlainCookie::new("id")?, store).build()?)
}

/// Counts in the record of tower-sessions.
async fn visit(Extension(session): Extension<Session>) -> Result<String, StatusCode> {
    let visits: u64 = session
        .get(VISITS)
        .await
        .map_err(failed)?
        .unwrap_or_default();
    session.insert(VISITS, visits + 1).await.map_err(failed)?;
    Ok((visits + 1).to_string())
}

/// Counts as a handler of a socket does it.
async fn visit_here(
    Extension(sessions): Extension<SessionBridge<u64>>,
    parts: Parts,
) -> Result<String, StatusCode> {
    let session = sessions.from_request(&parts).await.map_err(failed)?;
    let updated = session
        .update(|visits| *visits += 1)
        .await
        .map_err(failed)?;
    Ok(updated.data().to_string())
}
