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
    /// What another layer for the same type of session has left before, further out.
    outer: Option<Arc<Self>>,
    /// In a box, as there is none for a transport, and that is kept.
    session: OnceLock<Box<Resolved<T>>>,
    transport: Transport<T>,
}

type Resolved<T> = OnceCell<Result<Session<T>, SessionRejection>>;

impl<T: Send + Sync + 'static> LayeredRequest<T> {
    /// Leaves one in the request.
    pub(crate) fn insert(bridge: SessionBridge<T>, parts: &mut Parts) -> Arc<Self> {
        let request = Arc::new(Self {
            bridge,
            outer: Self::innermost(parts).cloned(),
            session: OnceLock::new(),
            transport: Transport::default(),
        });
        parts.extensions.insert(request.clone());
        request
    }

    /// What a layer for this type of session left in the request: the innermost one, if there are
    /// several.
    pub(crate) fn innermost(parts: &Parts) -> Option<&Arc<Self>> {
        parts.extensions.get()
    }

    /// What the layer of this bridge left in the request, if it saw it.
    pub(crate) fn of<'a>(parts: &'a Parts, bridge: &SessionBridge<T>) -> Option<&'a Arc<Self>> {
        let mut next = Self::innermost(parts);
        while let Some(request) = next {
            if request.bridge.is_same(bridge) {
                break;
            }
            next = request.outer.as_ref();
        }
        next
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
