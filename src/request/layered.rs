//! The entry of the tower layer in the extensions of each request.

use std::{
    future::Future,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use http::request::Parts;
use tokio::sync::OnceCell;

use super::{
    answer::Answer,
    refresh::{CookieRefresh, Refreshing},
};
use crate::{
    bridge::SessionBridge, handshake::Handshake, id::SessionId, rejection::SessionRejection,
    session::Session, transport::TransportSlot,
};

/// One HTTP request that passed through the layer: its session, found on first use, the end of its
/// answer, and the Engine.IO transport that it opened. socketioxide keeps the request for as long as
/// the transport lives, so it is small.
pub(crate) struct LayeredRequest<T: Send + Sync + 'static> {
    pub(super) bridge: SessionBridge<T>,
    /// Entry of another layer for the same type of session, further out.
    outer: Option<Arc<Self>>,
    /// Boxed, because most requests of transports never have one.
    session: OnceLock<Box<Resolved<T>>>,
    /// The rejection of this request was reported.
    reported: AtomicBool,
    taken_for: TakenFor,
    /// Boxed, because most layers refresh no cookie.
    pub(super) refreshing: Option<Box<Refreshing<T>>>,
    pub(super) answer: Answer,
}

type Resolved<T> = OnceCell<Result<Session<T>, SessionRejection>>;

/// The kind of a request.
pub(crate) enum TakenFor {
    /// A page, or a further request of a transport.
    Other,
    /// The opening of a transport whose `sid` is not bound: a WebSocket, or one of a layer that binds
    /// none.
    Opening,
    /// The opening of a polling transport. Boxed, because other requests are more frequent.
    BoundOpening(Box<TransportSlot>),
}

impl<T: Send + Sync + 'static> LayeredRequest<T> {
    /// Leaves one in the request.
    pub(crate) fn insert(
        bridge: SessionBridge<T>,
        parts: &mut Parts,
        taken_for: TakenFor,
        refresh: Option<CookieRefresh>,
    ) -> Arc<Self> {
        let request = Arc::new(Self {
            bridge,
            outer: Self::innermost(parts).cloned(),
            session: OnceLock::new(),
            reported: AtomicBool::new(false),
            taken_for,
            refreshing: refresh.map(|refresh| Box::new(Refreshing::new(refresh))),
            answer: Answer::default(),
        });
        parts.extensions.insert(request.clone());
        request
    }

    /// Entry of the layer for this type of session in the request: that of the innermost one, if there are
    /// several.
    pub(crate) fn innermost(parts: &Parts) -> Option<&Arc<Self>> {
        parts.extensions.get()
    }

    /// Entry of this bridge's layer in the request, if the request passed through it.
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

    #[cfg(feature = "axum")]
    pub(crate) fn bridge(&self) -> &SessionBridge<T> {
        &self.bridge
    }

    /// The session of the request, for a handler that needs one.
    pub(crate) async fn session(&self, parts: &Parts) -> Result<Session<T>, SessionRejection> {
        let found = self.find(parts).await;
        found.inspect_err(|rejection| self.report(rejection, parts))
    }

    /// The session of the request, for a handler that a client without one may call.
    pub(crate) async fn optional_session(
        &self,
        parts: &Parts,
    ) -> Result<Option<Session<T>>, SessionRejection> {
        let found = self.find(parts).await;
        let found = self
            .bridge
            .or_anonymous(found, &Handshake::from_parts(parts));
        found.inspect_err(|rejection| self.report(rejection, parts))
    }

    async fn find(&self, parts: &Parts) -> Result<Session<T>, SessionRejection> {
        let find = async || {
            let found = self.bridge.find(&Handshake::from_parts(parts)).await;
            found.inspect(|session| self.resolved(parts, session))
        };
        let session = self.session.get_or_init(Box::default);
        session.get_or_init(find).await.clone()
    }

    /// Reports the rejection of the request, once however many extractors it fails.
    fn report(&self, rejection: &SessionRejection, parts: &Parts) {
        if !self.reported.swap(true, Ordering::Relaxed) {
            self.bridge.report(rejection, &Handshake::from_parts(parts));
        }
    }

    /// The request resolved this session.
    pub(crate) fn resolved(&self, parts: &Parts, session: &Session<T>) {
        if let Some(refreshing) = &self.refreshing {
            refreshing.resolved(parts, session);
        }
    }

    /// Whether the session of a request that opens a transport is to be looked up, because its cookie
    /// may be due for a refresh.
    pub(crate) fn may_refresh(&self, parts: &Parts) -> bool {
        let refreshing = self.refreshing.as_ref();
        refreshing.is_some_and(|refreshing| refreshing.refresh.may_be_due(parts))
    }

    /// Looks up the session of a request that opens a transport. What is wrong with it is found, and
    /// reported, when the client connects.
    pub(crate) async fn look_up_opening(&self, parts: &Parts) {
        let handshake = Handshake::from_parts(parts).as_opening();
        if let Ok(session) = self.bridge.find(&handshake).await {
            self.resolved(parts, &session);
        }
    }

    /// Resolves when the body of this request's answer was sent completely or dropped, or when there
    /// will be no answer because the request's future was dropped.
    pub(crate) fn answered(&self) -> impl Future<Output = ()> + Send + use<T> {
        self.answer.ended()
    }

    /// A client connects to a namespace, on the transport `sid` that `opening` opened. This is the
    /// first thing that a connect middleware does, because here the `sid` is certain.
    pub(crate) fn connects(bridge: &SessionBridge<T>, opening: &Parts, sid: &str) {
        match Self::of(opening, bridge).map(|request| &request.taken_for) {
            None => bridge.advise_without_layer(),
            Some(TakenFor::Other) => bridge.advise_not_taken(opening),
            Some(TakenFor::Opening) => {}
            Some(TakenFor::BoundOpening(slot)) => bridge.confirm_transport(slot, opening, sid),
        }
    }

    /// The session `id` was admitted on the transport `sid` that `opening` opened.
    pub(crate) fn admitted(bridge: &SessionBridge<T>, opening: &Parts, sid: &str, id: &SessionId) {
        let request = Self::of(opening, bridge);
        if request.is_some_and(|request| request.slot().is_some()) {
            bridge.narrow_transport(sid, id);
        }
    }

    pub(super) fn slot(&self) -> Option<&TransportSlot> {
        match &self.taken_for {
            TakenFor::BoundOpening(slot) => Some(slot),
            TakenFor::Other | TakenFor::Opening => None,
        }
    }
}
