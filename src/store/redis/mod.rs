//! Sessions in Redis, for more than one node.
//!
//! ```text
//! builder ──▶ store ──▶ users ──▶ sessions ──▶ commands, rename ──▶ driver ──▶ fred
//!    └─▶ probe     └──▶ feed ─────────────────────────────────────────┘
//! ```

mod builder;
mod codec;
mod commands;
mod config_error;
mod connections;
mod driver;
mod error;
mod feed;
mod own_keys;
mod probe;
mod rename;
mod session_store;
mod sessions;
mod slot;
mod store;
mod users;

#[cfg(any(feature = "tower-sessions-0-14", feature = "tower-sessions-0-15"))]
pub use self::codec::TowerSessionsRecords;
pub use self::{
    builder::RedisStoreBuilder,
    codec::{ExpressRecords, ExpressRecordsError, FieldPathError, Records, SameSite},
    config_error::RedisConfigError,
    store::RedisStore,
};
