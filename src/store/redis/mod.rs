//! Sessions in Redis, for more than one node.
//!
//! ```text
//! builder ──▶ store ──▶ commands, rename ──▶ driver ──▶ fred
//!    └─▶ probe     └──▶ feed ────────────────┘
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
mod slot;
mod store;

pub use self::{
    builder::RedisStoreBuilder,
    codec::{ExpressRecords, ExpressRecordsError, FieldPathError, Records, SameSite},
    config_error::RedisConfigError,
    store::RedisStore,
};
