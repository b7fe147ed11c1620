//! What the tower layer leaves in each request.

use std::sync::{Arc, OnceLock};

use http::request::Parts;
use tokio::sync::OnceCell;

use crate::{
    bridge::SessionBridge, handshake::Handshake, rejection::SessionRejection, session::Session,
    transport::Transport,
};

/// One HTTP request that passed through the layer: its session, found when somebody first asks for
/// it, and, when it opened one, its Engine.IO transport: socketioxide keeps the request for as long.
pub(crate) struct LayeredRequest<T: Send + Sync + 'static> {
    bridge: SessionBridge<T>,
    /// In a box, as there is none for a transport, and that is kept.
    session: OnceLock<Box<Resolved<T>>>,
    transport: Transport<T>,
}

type Resolved<T> = OnceCell<Result<Session<T>, SessionRejection>>;

impl<T: Send + Sync + 'static> LayeredRequest<T> {
    pub(crate) fn new(bridge: SessionBridge<T>) -> Self {
        Self {
            bridge,
            session: OnceLock::new(),
            transport: Transport::default(),
        }
    }

    /// What the layer left in the request, if it saw it.
    pub(crate) fn of(parts: &Parts) -> Option<&Arc<Self>> {
        parts.extensions.get()
    }

    pub(crate) async fn session(&self, parts: &Parts) -> Result<Session<T>, SessionRejection> {
        let resolve = async || self.bridge.resolve(&Handshake::from_parts(parts)).await;
        let session = self.session.get_or_init(Box::default);
        session.get_or_init(resolve).await.clone()
    }

    pub(crate) fn transport(&self) -> &Transport<T> {
        &self.transport
    }
}
