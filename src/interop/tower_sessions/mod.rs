// Its examples are compiled by `tests/guides/`.
#![cfg_attr(not(doctest), doc = include_str!("../../docs/tower_sessions.md"))]

mod axum_login;
mod id_locks;
mod plain_cookie;
mod private_cookie;
mod reports;
#[cfg(feature = "tower-sessions-0-14")]
pub mod v0_14;
#[cfg(feature = "tower-sessions-0-15")]
pub mod v0_15;

pub use axum_login::AxumLogin;
pub use plain_cookie::PlainCookie;
pub use private_cookie::PrivateCookie;

#[cfg(feature = "redis")]
#[doc(inline)]
pub use crate::store::TowerSessionsRecords;
