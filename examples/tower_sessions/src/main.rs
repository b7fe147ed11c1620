//! A chat over Socket.IO for users that axum-login has logged in, with the sessions of
//! tower-sessions in SQLite, or in Redis.
//!
//! ```sh
//! cargo run --manifest-path examples/tower_sessions/Cargo.toml
//! ```
//!
//! The users `ann` and `bob` have the password `secret`. Environment: `PORT` (3000; 0 picks one),
//! `DATABASE_URL` (`sqlite:chat.db?mode=rwc`), and for several processes `REDIS_URL`.

use std::{env, error::Error};

use tower_sessions_chat::{Users, app, routes, serve, stores};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().init();
    let url = env::var("DATABASE_URL").unwrap_or_else(|_| "sqlite:chat.db?mode=rwc".into());
    let users = Users::connect(&url).await?;
    if let Ok(url) = env::var("REDIS_URL") {
        let (store, logins) = stores::redis(&url).await?;
        serve(app(routes(), users, store, logins)?).await
    } else {
        let (store, logins) = stores::sqlite(users.pool()).await?;
        serve(app(routes(), users, store, logins)?).await
    }
}
