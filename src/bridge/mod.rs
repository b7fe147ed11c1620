//! Ties extractor, store and live sessions together.

mod advised;
mod build;
mod builder;
mod end_sessions;
mod error;
mod lifetimes;
mod lookup;
mod report;
mod session_bridge;
mod sessions;
mod sign_ins;
mod transports;
mod users;

pub use builder::SessionBridgeBuilder;
pub use end_sessions::EndSessionsError;
pub use error::{BridgeConfigError, CreateError};
pub use session_bridge::SessionBridge;
