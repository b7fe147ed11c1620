//! Tools for testing stores, extractors and applications. Feature `testing`.
//!
//! # A store of your own
//!
//! [`store_conformance!`](crate::store_conformance) makes one `#[tokio::test]` for each law of the
//! [`SessionStore`](crate::SessionStore) contract:
//!
//! ```
//! # use socketioxide_session::MemoryStore;
//! use socketioxide_session::testing::SampleData;
//!
//! socketioxide_session::store_conformance!(my_store, async { MemoryStore::<SampleData>::new() });
//! ```
//!
//! # What happens when the store fails
//!
//! [`FaultyStore`] wraps any store, and lets calls fail, hang, panic or be slow, and reports get
//! lost.
//!
//! # An extractor of your own
//!
//! [`HandshakeBuilder`] builds what came from a client.
//!
//! # Handlers, as a logged-in user
//!
//! Make a session, mint its credential, and give it to whatever client your tests use:
//!
//! ```
//! # use socketioxide_session::{Keyring, MemoryStore, SecretKey, Session, SessionBridge, SignedCookie};
//! use axum::{Router, body::Body, http::Request, routing::get};
//! use socketioxide_session::testing::cookie_header;
//! use tower::ServiceExt;
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # let keys = Keyring::new(SecretKey::generate()?);
//! # let cookie = SignedCookie::new("sid", &keys)?;
//! let sessions = SessionBridge::builder(cookie.clone(), MemoryStore::<String>::new()).build()?;
//! let app: Router = Router::new()
//!     .route("/", get(async |user: Session<String>| format!("Hello {}", user.data())))
//!     .layer(sessions.layer());
//!
//! let ann = sessions.create("Ann".to_owned()).await?;
//! let request = Request::get("/").header("cookie", cookie_header(&cookie, ann.id()));
//! let answer = app.oneshot(request.body(Body::empty())?).await?;
//! assert_eq!(answer.status(), 200);
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! A Socket.IO client gets the same header, or the token that
//! [`EncryptedToken::issue`](crate::EncryptedToken::issue) gives, as its `auth` payload. The test
//! `tests/it/testing/logged_in_socket.rs` in this crate's repository shows one from beginning to end.

mod call;
pub mod conformance;
mod fault;
mod faulty;
mod handshake;

pub use call::Call;
pub use conformance::{SampleData, TestData};
pub use fault::Fault;
pub use faulty::{Faults, FaultyStore};
pub use handshake::{HandshakeBuilder, cookie_header};
