//! wip
mod bridge;
mod extractor;
mod handshake;
mod hook;
mod http;
mod id;
mod key;
mod live;
mod redact;
mod rejection;
mod session;
mod socketio;
mod store;
#[cfg(feature = "testing")]
pub mod testing;

#[cfg(feature = "axum")]
pub use self::http::RequestSessionError;
pub use self::http::{SessionLayer, SessionService};
pub use bridge::{SessionBridge, SessionBridgeBuilder};
pub use extractor::{
    CookieConfigError, EncryptedToken, ExtractError, ForbiddenReason, InvalidCredential,
    IssueTokenError, Or, OriginError, OriginPolicy, SessionIdExtractor, SignedCookie,
    TokenConfigError, TokenOptions,
};
pub use handshake::{Auth, AuthPayload, CookieHeaderTooLarge, CookieValues, Handshake};
pub use id::{ParseSessionIdError, SessionId};
pub use key::{KeyError, Keyring, RandomnessError, SecretKey};
pub use live::{EndReason, UpdateError};
pub use redact::redact_uri;
pub use rejection::{NoSessionReason, SessionRejection};
pub use session::{MaybeSession, Session};
pub use socketio::{BySession, NoHook, OnEnd, OptionalSession, RequireSession, SocketSessionError};
pub use store::{
    Change, Changes, Created, MemoryStore, Record, Revision, Saved, SessionStore, StoreError,
    StoreErrorKind,
};
