//! The entry of a middleware in the extensions of a socket.

use std::sync::Arc;

use crate::live::Attachment;

/// The entry of a middleware in the extensions of a socket.
pub(super) enum Attached<T: Send + Sync + 'static> {
    Session {
        attachment: Arc<Attachment<T>>,
        /// Session that the middleware of another bridge for the same type attached earlier; its end still
        /// disconnects the socket.
        earlier: Option<Arc<Attached<T>>>,
    },
    Anonymous {
        earlier: Option<Arc<Attached<T>>>,
    },
    /// The socket is gone, and its session was let go of.
    Released,
}

impl<T: Send + Sync + 'static> Clone for Attached<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Session {
                attachment,
                earlier,
            } => Self::Session {
                attachment: attachment.clone(),
                earlier: earlier.clone(),
            },
            Self::Anonymous { earlier } => Self::Anonymous {
                earlier: earlier.clone(),
            },
            Self::Released => Self::Released,
        }
    }
}
