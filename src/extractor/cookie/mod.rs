//! Session ids in cookies.
//!
//! ```text
//!   kinds of cookies:  signed  (and those of other frameworks)
//!                         │ verify(value) → id
//!                         ▼
//!   carrier:  origin check, attributes   ← methods: the builder methods that several kinds have
//!                         │
//!     ids:    the search of all values of the name
//! ```

pub(crate) mod attributes;
pub(crate) mod carrier;
mod error;
mod ids;
mod methods;
mod session_cookie;
mod signed;

pub use error::CookieConfigError;
pub use session_cookie::SessionCookie;
pub use signed::SignedCookie;

pub(crate) use carrier::CookieCarrier;
pub(crate) use methods::{cookie_extractor, issuing_methods, origin_methods};
