//! The handle on a session that handlers get.

mod handle;
mod maybe_session;

pub use handle::Session;
pub use maybe_session::MaybeSession;
