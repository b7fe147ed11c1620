//! Sessions in socketioxide: the only place that names it.
//!
//! 1. Extractors there are synchronous, so all I/O is done by the connect middleware. It leaves an
//!    `Attached` in the socket's extensions, where the extractors find it.
//! 2. Only a middleware can refuse a client. In a connect handler the client is connected already; when
//!    the session has ended by then, the extractor disconnects the socket.
//! 3. What a middleware returns as an error goes to the unauthenticated client verbatim, so it is one
//!    of the five constant codes.

mod active;
mod attached;
mod by_session;
mod end_hook_for;
mod extract;
mod middleware;
mod no_hook;
mod on_end;
mod socket;

pub use active::{Active, ByActivity, active};
use attached::Attached;
pub use by_session::BySession;
pub use extract::SocketSessionError;
pub use middleware::SessionMiddleware;
pub use no_hook::NoHook;
pub use on_end::OnEnd;
