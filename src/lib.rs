#![doc = include_str!("docs/overview.md")]
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
mod recent;
mod redact;
pub mod rejection;
mod request;
mod session;
pub mod socketio;
mod split;
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
