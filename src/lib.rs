//! The session of an HTTP login, typed and kept true, in every handler of [socketioxide].
//!
//! A browser logs in over HTTP and then opens a Socket.IO connection. A [`SessionBridge`] brings the
//! session across: an extractor says who the client is ([`SignedCookie`], [`EncryptedToken`], both,
//! or your own [`SessionIdExtractor`]), a [`SessionStore`] says what is known of it
//! ([`MemoryStore`], `RedisStore`, or your own), and handlers of both worlds take the same [`Session<T>`](Session).
//!
//! ```
//! use axum::{Json, Router, routing::get};
//! use serde::{Deserialize, Serialize};
//! use socketioxide::{SocketIo, extract::SocketRef, handler::ConnectHandler};
//! use socketioxide_session::{
//!     Keyring, MemoryStore, SecretKey, Session, SessionBridge, SignedCookie,
//! };
//!
//! #[derive(Clone, Serialize, Deserialize)]
//! struct User {
//!     name: String,
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let keys = Keyring::new(SecretKey::generate()?);
//! let cookie = SignedCookie::new("__Host-sid", &keys)?;
//! let sessions = SessionBridge::builder(cookie, MemoryStore::<User>::new()).build()?;
//!
//! let (socket_layer, io) = SocketIo::new_layer();
//! io.ns("/", on_connect.with(sessions.require()));
//!
//! let app: Router = Router::new()
//!     .route("/me", get(async |user: Session<User>| Json(user.data().clone())))
//!     .layer(socket_layer)
//!     .layer(sessions.layer());
//!
//! async fn on_connect(socket: SocketRef, user: Session<User>) {
//!     socket.emit("hello", &user.data().name).ok();
//! }
//! # drop(app);
//! # Ok(())
//! # }
//! ```
//!
//! # What is promised
//!
//! 1. A client without a session is refused before any handler runs, with one of five codes
//!    ([`SessionRejection`]). Causes and secrets never reach it.
//! 2. A session that ends ([`Session::end`], [`SessionBridge::rotate`], expiry, a deletion in the
//!    store by anybody) ends its sockets in all namespaces. From the moment that this node knows, no
//!    handler that takes [`Session`] or [`MaybeSession`] runs for it, but for disconnect handlers,
//!    and its sockets are in no room.
//! 3. [`Session::update`] is a compare-and-swap. It overwrites nobody's change, and brings no ended
//!    session back.
//! 4. Every call of the store has a deadline, and panics of stores, extractors and hooks are caught:
//!    no client is left without an answer.
//!
//! # Features
//!
//! - `axum` (default): extractors and responses for axum.
//! - `redis`: `RedisStore`, for more than one process; `redis-tls`: the same with `rediss://` URLs.
//! - `tower-sessions-0-14`, `tower-sessions-0-15`: the sessions of tower-sessions and axum-login, see
//!   `interop::tower_sessions`.
//! - `testing`: tools for testing stores, extractors and applications.
//!
//! [socketioxide]: https://docs.rs/socketioxide

mod blocking;
pub mod bridge;
mod causes;
pub mod docs;
pub mod extractor;
mod handshake;
pub mod http;
pub mod id;
pub mod interop;
pub mod key;
mod live;
mod redact;
pub mod rejection;
mod request;
mod session;
pub mod socketio;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;
mod transport;

pub use bridge::SessionBridge;
#[cfg(fuzzing)]
pub use extractor::fuzzing;
pub use extractor::{EncryptedToken, SessionIdExtractor, SignedCookie};
pub use id::SessionId;
pub use key::{Keyring, SecretKey};
pub use live::{EndReason, TryUpdateError, UpdateError};
pub use rejection::SessionRejection;
pub use session::{MaybeSession, Session};
#[cfg(feature = "redis")]
pub use store::RedisStore;
pub use store::{MemoryStore, SessionStore, StoreError};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
