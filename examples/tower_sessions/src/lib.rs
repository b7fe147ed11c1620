//! A chat over Socket.IO for users that axum-login has logged in, in parts:
//!
//! - `chat`: the application, whatever the store of the sessions
//! - `stores`: the sessions of tower-sessions in SQLite, for one process, or in Redis, for several
//! - `users`: the table of users

mod chat;
#[path = "../../shared/stop.rs"]
mod stop;
pub mod stores;
mod users;

pub use chat::{App, Login, app, routes, serve};
pub use users::Users;
