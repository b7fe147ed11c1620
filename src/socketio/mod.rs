//! Sessions in socketioxide: the only place that knows it.
//!
//! 1. Extractors there are synchronous, so all asking is done by the connect middleware. It leaves
//!    an [`Attached`] in the socket's extensions, where the extractors find it.
//! 2. Only a middleware is a gate. In a connect handler the client is connected already; when the
//!    session has ended by then, the extractor disconnects the socket.
//! 3. What a middleware returns as an error goes to the unauthenticated client verbatim, so it is
//!    one of the five constant codes.

mod extract;
mod middleware;
mod socket;

use std::sync::Arc;

pub use extract::SocketSessionError;
pub use middleware::{BySession, NoHook, OnEnd, OptionalSession, RequireSession};

use crate::live::Attachment;

/// What a middleware leaves in the extensions of a socket.
enum Attached<T: Send + Sync + 'static> {
    Session(Arc<Attachment<T>>),
    Anonymous,
}

impl<T: Send + Sync + 'static> Clone for Attached<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Session(attachment) => Self::Session(attachment.clone()),
            Self::Anonymous => Self::Anonymous,
        }
    }
}
