//! What the transports of Socket.IO ask of a bridge.

use std::sync::{Arc, atomic::Ordering};

use http::request::Parts;

use super::{SessionBridge, refused};
use crate::{
    handshake::{Handshake, Stage},
    id::SessionId,
    live::{Attachment, LiveSocket, LoadError},
    rejection::{NoSessionReason, SessionRejection},
    store::{StoreError, StoreErrorKind},
    transport::{Spent, Transport},
};

impl<T: Send + Sync + 'static> SessionBridge<T> {
    /// Lets a socket in: found, registered, and known to be live.
    pub(crate) async fn admit(
        &self,
        handshake: &Handshake<'_>,
        transport: Option<&Transport<T>>,
        socket: Arc<dyn LiveSocket>,
    ) -> Result<Attachment<T>, SessionRejection> {
        let id = self.identify(handshake)?;
        let Some(transport) = transport else {
            self.warn_without_layer();
            let admitted = self.inner.live.admit(&id, socket).await;
            return admitted.map_err(|error| refused(&id, error));
        };
        let asking = transport.budget.ask(&id).await.map_err(too_often)?;
        let admitted = self.inner.live.admit(&id, socket).await;
        match &admitted {
            Ok(_) => asking.admitted(),
            Err(LoadError::Gone) => {
                asking.gone();
                self.inner.transports.release(transport, &id);
            }
            Err(LoadError::Store(_)) => asking.failed(),
        }
        admitted.map_err(|error| refused(&id, error))
    }

    /// The session that the opening request of a transport shows by itself: what comes in the `auth`
    /// payload comes only once. Nobody has asked whether there is such a session.
    pub(crate) fn opener(&self, opening: &Parts) -> Option<SessionId> {
        let handshake = Handshake::from_parts(opening).at(Stage::Continuing);
        self.identify(&handshake).ok()
    }

    /// Binds a polling transport to the session that it was opened with.
    pub(crate) fn bind(&self, transport: &Transport<T>, sid: &str, id: &SessionId) {
        self.inner.transports.bind(transport, sid, id);
    }

    /// The session of a polling transport has connected.
    pub(crate) fn connected(
        &self,
        transport: &Transport<T>,
        sid: &str,
        session: &Attachment<T>,
        opening: &Parts,
    ) {
        let transports = &self.inner.transports;
        // Something between the layer and Socket.IO has hidden the `sid` from the layer.
        if !transports.is_bound(sid) && self.opener(opening).as_ref() == Some(session.id()) {
            transports.bind(transport, sid, session.id());
        }
        transports.connected(sid, session.id(), &session.view().end);
    }

    /// Whether a request may act for the transport with this `sid`: nobody's, or its own.
    pub(crate) fn may_continue(&self, sid: &str, handshake: &Handshake<'_>) -> bool {
        let transports = &self.inner.transports;
        if !transports.is_bound(sid) {
            return true;
        }
        let rejection = match self.identify(handshake) {
            Ok(id) if transports.is_owner(sid, &id) => return true,
            Ok(_) => SessionRejection::NoSession(NoSessionReason::ForeignTransport),
            Err(rejection) => rejection,
        };
        self.report(&rejection, handshake);
        false
    }

    /// The transport is bound only when its session connects.
    pub(crate) fn warn_hidden_sid(&self) {
        if !self.inner.warned.hidden_sid.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "something between `SessionBridge::layer` and Socket.IO changes the answer that opens a \
                 polling transport, so that its `sid` can't be read: until the first connect, whoever \
                 knows the `sid` can act for the client; move what changes answers outside of the layer"
            );
        }
    }

    fn warn_without_layer(&self) {
        if !self.inner.warned.no_layer.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "a Socket.IO transport did not pass through `SessionBridge::layer`, so its `sid` is \
                 not bound to its session, and nothing bounds how often it asks the store: add the \
                 layer outside of the one of Socket.IO"
            );
        }
    }
}

fn too_often(spent: Spent) -> SessionRejection {
    match spent {
        Spent::Gone => SessionRejection::NoSession(NoSessionReason::TooManyAttempts),
        Spent::Failing => {
            let why = "the store fails, and was asked often enough for this transport";
            SessionRejection::StoreError(StoreError::new(StoreErrorKind::Unavailable, why))
        }
    }
}
