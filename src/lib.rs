//! The typed session of an HTTP login in every handler of [socketioxide].
//!
//! A browser logs in over HTTP and then opens a [Socket.IO](https://socket.io) connection. This crate
//! identifies the client from a signed cookie or an encrypted token, loads its session from a store,
//! passes it to handlers as a typed [`Session<T>`](Session), and keeps it current while the socket
//! lives.
//!
//! Contents: [Quick start](#quick-start) · [How it works](#how-it-works) ·
//! [Cookie or token](#cookie-or-token) · [Other session systems](#i-already-use-tower-sessions-express-or-nothing) ·
//! [The HTTP side](#the-http-side) · [The Socket.IO side](docs::sockets) ·
//! [Custom stores and extractors](#custom-stores-and-extractors) · [Several nodes](#several-nodes) ·
//! [Users](#users) · [Testing](#testing) · [Operation](#operation) ·
//! [Security checklist](#security-checklist) · [Troubleshooting](#troubleshooting) ·
//! [Clients](#clients) · [Features](#features)
//!
//! # Quick start
//!
//! ```toml
//! [dependencies]
//! axum = "0.8"
//! serde = { version = "1", features = ["derive"] }
//! socketioxide = "0.18"
//! socketioxide-session = "0.1"
//! tokio = { version = "1", features = ["macros", "net", "rt-multi-thread"] }
//! ```
//!
//! ```no_run
//! use axum::{
//!     Form, Json, Router,
//!     extract::State,
//!     http::{header::SET_COOKIE, request::Parts},
//!     response::{IntoResponse, Redirect, Response},
//!     routing::{get, post},
//! };
//! use serde::{Deserialize, Serialize};
//! use socketioxide::{
//!     SocketIo,
//!     extract::{AckSender, SocketRef},
//!     handler::ConnectHandler,
//! };
//! use socketioxide_session::{
//!     Keyring, MemoryStore, SecretKey, Session, SessionBridge, SignedCookie, http::SignInError,
//! };
//!
//! #[derive(Clone, Serialize, Deserialize)]
//! struct User {
//!     name: String,
//!     visits: u32,
//! }
//!
//! #[derive(Deserialize)]
//! struct Login {
//!     name: String,
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     // `openssl rand -base64 32` makes one.
//!     let key = SecretKey::from_base64(&std::env::var("SESSION_KEY")?)?;
//!     // Behind https: the name "__Host-sid", and without `insecure_http`.
//!     let cookie = SignedCookie::new("sid", &Keyring::new(key))?.insecure_http()?;
//!     let sessions = SessionBridge::builder(cookie.clone(), MemoryStore::<User>::new()).build()?;
//!
//!     let (socket_layer, io) = SocketIo::new_layer();
//!     io.ns("/", on_connect.with(sessions.require()));
//!
//!     let app = Router::new()
//!         .route("/login", post(login))
//!         .route("/logout", post(logout))
//!         .route("/me", get(me))
//!         .layer(socket_layer)
//!         .layer(sessions.layer()) // last, so that it is outermost
//!         .with_state(cookie);
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
//!     Ok(axum::serve(listener, app).await?)
//! }
//!
//! /// A real application checks a password first.
//! async fn login(
//!     sessions: SessionBridge<User>,
//!     State(cookie): State<SignedCookie>,
//!     parts: Parts,
//!     Form(Login { name }): Form<Login>,
//! ) -> Result<Response, SignInError> {
//!     let session = sessions.sign_in(&parts, User { name, visits: 0 }).await?;
//!     Ok(([(SET_COOKIE, cookie.issue_header(session.id()))], Redirect::to("/")).into_response())
//! }
//!
//! async fn logout(
//!     sessions: SessionBridge<User>,
//!     State(cookie): State<SignedCookie>,
//!     parts: Parts,
//! ) -> Result<Response, SignInError> {
//!     match sessions.sign_out(&parts).await {
//!         Err(error @ SignInError::Forbidden(_)) => return Err(error),
//!         // When the store fails, the session has ended here, and its deletion is retried.
//!         _ => {}
//!     }
//!     Ok(([(SET_COOKIE, cookie.removal_header())], Redirect::to("/")).into_response())
//! }
//!
//! async fn me(session: Session<User>) -> Json<User> {
//!     Json(session.data().clone())
//! }
//!
//! async fn on_connect(socket: SocketRef, session: Session<User>) {
//!     socket.emit("hello", &session.data().name).ok();
//!     socket.on("visit", async |session: Session<User>, ack: AckSender| {
//!         let updated = session.update(|user| user.visits += 1).await; // compare-and-swap
//!         ack.send(&updated.map(|session| session.data().visits).ok()).ok();
//!     });
//! }
//! ```
//!
//! In a browser, `io()` on a page of the same origin is all that the client needs. The repository's
//! `examples/axum.rs` is a complete application with a page; `examples/hyper.rs` is the same without
//! axum.
//!
//! # How it works
//!
//! A [`SessionBridge`] joins an extractor, which identifies the client ([`SignedCookie`],
//! [`EncryptedToken`], both, or your own [`SessionIdExtractor`]), and a [`SessionStore`], which holds
//! the sessions ([`MemoryStore`], [`RedisStore`], or your own).
//!
//! ```text
//!  client                 sessions.layer()        socketioxide                        store
//!    │ GET /socket.io/?EIO=4     │                      │                               │
//!    │ Cookie: __Host-sid=…      │                      │                               │
//!    ├──────────────────────────▶│ 401 here already     │                               │
//!    │                           │ with `reject_unauthenticated`                        │
//!    │                           ├─────────────────────▶│ opens a transport             │
//!    │◀─ 0{"sid":…} ─────────────┤ binds the sid to the │                               │
//!    │                           │ ids of the request   │                               │
//!    │ 40/chat,{"token":…}       │                      │                               │
//!    ├──────────────────────────────────────────────────▶ sessions.require()            │
//!    │                           │                      │  1 credential, origin         │
//!    │                           │                      │  2 load ─────────────────────▶│
//!    │                           │                      │  3 register as live           │
//!    │◀─ 44/chat,{"message":"NO_SESSION"} ──────────────┤  rejected: no handler runs    │
//!    │◀─ 40/chat,{"sid":…} ─────────────────────────────┤  admitted                     │
//!    │                           │                      │ on_connect(Session<User>)     │
//! ```
//!
//! ```text
//!                 sign_in, create
//!                        │
//!                        ▼
//!   ┌──────────────── stored ◀─────────────┐
//!   │   first socket     │                 │ last socket leaves
//!   │   on this node     ▼                 │
//!   │                 live ────────────────┘   loaded again when the store reports a change,
//!   │                    │                     or every `revalidate_every`
//!   │  sign_out, end, rotate, a deletion by any program, expiry, `verify` returned false,
//!   │  the store unreachable for `max_stale`
//!   ▼                    ▼
//!                     ended    1 no handler that takes the session runs any more
//!                              2 its sockets leave their rooms
//!                              3 the `on_end` hook runs
//!                              4 its sockets are disconnected, in every namespace
//! ```
//!
//! What is promised:
//!
//! 1. A client without a session is rejected before any handler runs, with one of five constant codes
//!    ([`SessionRejection`]). Causes and secrets never reach it.
//! 2. A session that ends, on any node and by any program, ends its sockets. Where the store reports
//!    changes, that takes one round trip; otherwise `revalidate_every` × 1.2 plus one load; at expiry, one
//!    second. From the moment that a node has noticed the end, no handler that takes [`Session`] or
//!    [`MaybeSession`] runs for it there, and no broadcast to a room reaches its sockets. (Disconnect
//!    handlers do run, with the last known data.)
//! 3. [`Session::update`] is a compare-and-swap. It never overwrites the change of another writer, and
//!    never recreates a session that has ended.
//! 4. Every call of the store has a timeout, and panics of stores, extractors and hooks are caught, so
//!    every client gets an answer. While the store fails, new clients get `STORE_ERROR`, and live
//!    sessions go on for `max_stale`.
//!
//! # Cookie or token
//!
//! | client | use | because |
//! |---|---|---|
//! | pages of the same origin | [`SignedCookie`] named `__Host-…` | the browser sends it by itself, and scripts can't read it |
//! | pages of another origin of the same site (`app.` and `api.example.com`) | [`SignedCookie`] with [`domain`](SignedCookie::domain) and [`allow_origin`](SignedCookie::allow_origin); `withCredentials` in the client | the browser sends it to every host of the domain |
//! | pages of another site, embedded frames | [`EncryptedToken`] in the `auth` payload | browsers withhold cookies from other sites |
//! | mobile and desktop applications, other servers | [`EncryptedToken`], or the cookie as a header field | no browser keeps the cookie |
//! | several of these | `token.or(cookie)`, see [`or`](SessionIdExtractor::or) | the first that is present counts |
//!
//! A token is issued over HTTP for a session that exists, lives for 60 s by default, and is read from
//! Socket.IO handshakes only:
//!
//! ```
//! use axum::{Json, extract::State, http::{StatusCode, header::CACHE_CONTROL}, response::IntoResponse};
//! use serde_json::json;
//! use socketioxide_session::{EncryptedToken, Session};
//!
//! // POST /token, with the session cookie
//! async fn token(
//!     State(tokens): State<EncryptedToken>,
//!     session: Session<String>,
//! ) -> Result<impl IntoResponse, StatusCode> {
//!     let token = tokens.issue(session.id()).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
//!     Ok(([(CACHE_CONTROL, "no-store")], Json(json!({ "token": token }))))
//! }
//! # let _: axum::Router = axum::Router::new().route("/token", axum::routing::post(token)).with_state(
//! #     EncryptedToken::new("token", &socketioxide_session::Keyring::new(socketioxide_session::SecretKey::generate()?))?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! In JavaScript, pass `auth` a function, which is called again for every connection:
//! `io({ auth: async (send) => send(await (await fetch("/token", { method: "POST" })).json()) })`.
//!
//! # I already use tower-sessions, Express, or nothing
//!
//! | | what to do |
//! |---|---|
//! | **tower-sessions, axum-login** | Keep it. [`interop::tower_sessions`] wraps its store and reads its cookie, so that sockets follow its logins and logouts. |
//! | **Express** (express-session, connect-redis) | Keep it. [`interop::express`] reads its cookies, and with the feature `redis` its records. A logout in Express ends the sockets here. The repository's `examples/express` has both servers. |
//! | **an identity provider, JWTs** | An [extractor of your own](docs::extending#a-json-web-token), and [`SessionBridge::create_with_id`] at the login. |
//! | **nothing** | [`SignedCookie`] and [`MemoryStore`], as above; [`RedisStore`] when there is more than one process. |
//!
//! # The HTTP side
//!
//! [`SessionBridge::layer`] goes around the whole application. Then:
//!
//! - axum handlers take [`Session<T>`](Session) (else the answer is 401, 403 or 503 with
//!   `{"error":"<code>"}`), `Option<Session<T>>` or [`MaybeSession<T>`](MaybeSession), and
//!   [`SessionBridge<T>`](SessionBridge). Other servers call [`SessionBridge::from_request`].
//! - [`sign_in`](SessionBridge::sign_in) creates a session and ends those that the request presents, so an
//!   id that was planted before the login is worthless. [`rotate_for`](SessionBridge::rotate_for) gives a
//!   session a new id after a change of its rights. [`sign_out`](SessionBridge::sign_out) ends what the
//!   request presents. The handler sets the cookie.
//! - After a sign-in or a rotation, the other tabs of the browser are disconnected as
//!   [`Rotated`](EndReason::Rotated) once the answer is sent, and reconnect with the new cookie; the
//!   [recipe for the page](docs::clients#browser) is short.
//! - [`reject_unauthenticated`](http::SessionLayer::reject_unauthenticated) refuses clients without a
//!   session before they have a transport.
//! - Origins, reverse proxies, CORS and header limits: [`docs::deployment`].
//!
//! # Custom stores and extractors
//!
//! [`docs::extending`] has an extractor for JSON Web Tokens and the steps to a store of your own.
//! `Arc<dyn SessionStore<Data = T>>`, `Arc<dyn SessionIdExtractor>` and `Box<dyn SessionIdExtractor>`
//! implement the traits, so both can be chosen at run time.
//!
//! # Several nodes
//!
//! With [`RedisStore`], all promises hold across processes: log in at one, connect at another, log out
//! at a third. [`docs::nodes`] shows it, together with socketioxide's Redis adapter, which carries
//! broadcasts between the nodes. Long polling needs sticky sessions, as always with Socket.IO.
//!
//! # Users
//!
//! A store with an index of users lists and ends all sessions of one: "these are my devices", "log out
//! everywhere". [`MemoryStore`] and [`RedisStore`] have one, from the data of the session:
//!
//! ```
//! # use socketioxide_session::{Keyring, SecretKey, SignedCookie, StoreError};
//! use futures_util::TryStreamExt as _;
//! use socketioxide_session::{MemoryStore, Session, SessionBridge};
//!
//! #[derive(Clone)]
//! struct User {
//!     id: u64,
//!     device: &'static str,
//! }
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # let cookie = SignedCookie::new("sid", &Keyring::new(SecretKey::generate()?))?;
//! let store = MemoryStore::<User>::new().user_id(|user| Some(user.id.to_string()));
//! let sessions = SessionBridge::builder(cookie, store).build()?;
//! let phone = sessions.create(User { id: 42, device: "phone" }).await?;
//! sessions.create(User { id: 42, device: "laptop" }).await?;
//!
//! let devices: Vec<Session<User>> = sessions.sessions_of_user("42").try_collect().await?;
//! assert_eq!(devices.len(), 2);
//! assert_eq!(sessions.end_other_sessions(&phone).await?, 1); // "sign out everywhere else"
//! assert_eq!(sessions.end_sessions_of_user("42").await?, 1); // "sign out everywhere"
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! `io.to(sessions.user_room("42"))` reaches all sockets of the user. A session whose user changes, or
//! goes away, ends its sockets. [`docs::users`] has more: devices, an administrator who demotes a user,
//! sessions by their ids.
//!
//! # Testing
//!
//! The feature [`testing`] has a conformance suite for stores, a store that fails on demand, a builder of
//! handshakes, and [cookies of logged-in users][`testing`] for handlers. A
//! handler is also an ordinary function, and [`SessionBridge::create`] makes the session that it takes:
//!
//! ```
//! # use socketioxide_session::{Keyring, SecretKey, SignedCookie};
//! use socketioxide_session::{MemoryStore, Session, SessionBridge, UpdateError};
//!
//! async fn rename(session: Session<String>, name: String) -> Result<usize, UpdateError> {
//!     let session = session.update(|data| data.clone_from(&name)).await?;
//!     Ok(session.data().len())
//! }
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # let cookie = SignedCookie::new("sid", &Keyring::new(SecretKey::generate()?))?;
//! // In a `#[tokio::test]`:
//! let sessions = SessionBridge::builder(cookie, MemoryStore::<String>::new()).build()?;
//! let ann = sessions.create("Ann".to_owned()).await?;
//! assert_eq!(rename(ann.clone(), "Anna".to_owned()).await?, 4);
//! assert_eq!(ann.latest().data(), "Anna");
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! # Operation
//!
//! [`docs::lifetimes`] says what extends a session and what ends it; [`docs::operation`] describes the
//! metrics, the log lines, and what happens while the store is down. [`SessionBridge::shutdown`] prepares the end of the process, and
//! [`SessionBridge::revalidate`] checks all live sessions of a node now.
//!
//! # Security checklist
//!
//! - [ ] https, a cookie named `__Host-…`, and no method whose name begins with `insecure_`.
//! - [ ] The key has 32 random bytes, comes from a secret store, and [can be rotated](Keyring).
//! - [ ] [`SessionBridge::layer`] is the outermost layer but for CORS and logging.
//! - [ ] Every namespace has [`require`](SessionBridge::require) or
//!   [`optional`](SessionBridge::optional), named last in its chain of `with`.
//! - [ ] Event handlers take [`Session<T>`](Session) instead of capturing the one of the connect handler.
//! - [ ] Logins use [`sign_in`](SessionBridge::sign_in), changes of rights
//!   [`rotate_for`](SessionBridge::rotate_for), logouts [`sign_out`](SessionBridge::sign_out).
//! - [ ] The reverse proxy passes `Host` on, and only needed origins are
//!   [allowed](extractor::OriginPolicy).
//! - [ ] The store is private. Its writers can create sessions.
//! - [ ] Logs contain no tokens: URIs go through [`http::redact_uri`], and socketioxide does not log at
//!   debug level.
//! - [ ] Clients with a token in the `auth` payload use the WebSocket transport only, or `socket.id` is
//!   never published.
//!
//! The repository's `SECURITY.md` has the threat model.
//!
//! # Troubleshooting
//!
//! | the client sees | usual causes |
//! |---|---|
//! | `NO_COOKIE` | not signed in; another `Domain`, `Path` or cookie name; `Secure` over plain http; no `withCredentials` |
//! | `NO_TOKEN` | `auth` is missing or has another field |
//! | `NO_SESSION` | signed out, expired, another key, a token older than 60 s, a changed `T` |
//! | `FORBIDDEN` | the proxy changes `Host`, or the page's origin is not allowed |
//! | `STORE_ERROR` | the store is down or slow |
//! | `xhr poll error`, `websocket error` | [`reject_unauthenticated`](http::SessionLayer::reject_unauthenticated), or no server |
//! | an event without an effect | its handler takes [`Session`] on a socket without one |
//!
//! [`docs::troubleshooting`] has the whole table, with what the log says.
//!
//! # Clients
//!
//! When a session ends, Socket.IO clients report the disconnect reason `io server disconnect` and do not
//! reconnect by themselves. [`docs::clients`] has the code for browsers, Node, Python, Rust, Swift, Java,
//! C++ and Dart.
//!
//! # Features
//!
//! - `axum` (default): extractors and responses for axum.
//! - `redis`: [`RedisStore`], for more than one process; `redis-tls`: the same with `rediss://` URLs.
//! - `tower-sessions-0-14`, `tower-sessions-0-15`: the sessions of tower-sessions and axum-login, see
//!   `interop::tower_sessions`.
//! - `metrics`: metrics of the `metrics` facade, see [`docs::operation`].
//! - `testing`: tools for testing stores, extractors and applications.
//!
//! [socketioxide]: https://docs.rs/socketioxide
#![cfg_attr(feature = "redis", doc = "[`RedisStore`]: store::RedisStore")]
#![cfg_attr(
    not(feature = "redis"),
    doc = "[`RedisStore`]: https://docs.rs/socketioxide-session/latest/socketioxide_session/struct.RedisStore.html"
)]
#![cfg_attr(
    not(feature = "testing"),
    doc = "[`testing`]: https://docs.rs/socketioxide-session/latest/socketioxide_session/testing/"
)]
#![cfg_attr(
    not(any(feature = "tower-sessions-0-14", feature = "tower-sessions-0-15")),
    doc = "[`interop::tower_sessions`]: https://docs.rs/socketioxide-session/latest/socketioxide_session/interop/tower_sessions/"
)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod blocking;
pub mod bridge;
mod causes;
mod deadline;
pub mod docs;
pub mod extractor;
mod handshake;
pub mod http;
pub mod id;
pub mod interop;
pub mod key;
mod live;
mod lock;
mod observe;
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
