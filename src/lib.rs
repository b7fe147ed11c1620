//! wip
mod extractor;
mod handshake;
mod id;
mod key;
mod rejection;
mod store;
pub use extractor::{
    CookieConfigError, EncryptedToken, ExtractError, ForbiddenReason, InvalidCredential,
    IssueTokenError, Or, OriginError, OriginPolicy, SessionIdExtractor, SignedCookie,
    TokenConfigError, TokenOptions,
};
pub use handshake::{Auth, AuthPayload, CookieHeaderTooLarge, CookieValues, Handshake};
pub use id::{ParseSessionIdError, SessionId};
pub use key::{KeyError, Keyring, RandomnessError, SecretKey};
pub use rejection::{NoSessionReason, SessionRejection};
pub use store::{
    Change, Changes, Created, MemoryStore, Record, Revision, Saved, SessionStore, StoreError,
    StoreErrorKind,
};
