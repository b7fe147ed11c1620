//! Session ids in cookies.
//!
//! ```text
//!   kinds of cookies:  signed  (and those of other frameworks)
//!                         │ verify(value) → id
//!                         ▼
//!   carrier:  origin check, search, attributes   ← methods: the builder methods of every kind
//! ```

pub(crate) mod attributes;
pub(crate) mod carrier;
mod error;
mod methods;
mod session_cookie;
mod signed;

pub use error::CookieConfigError;
pub use session_cookie::SessionCookie;
pub use signed::SignedCookie;

pub(crate) use carrier::CookieCarrier;
pub(crate) use methods::cookie_methods;
