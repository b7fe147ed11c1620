//! The part of a bridge for the transports of Socket.IO.

use http::request::Parts;

use super::{lookup::Extracted, session_bridge::SessionBridge};
use crate::{
    handshake::{Handshake, Stage},
    id::SessionId,
    rejection::{NoSessionReason, SessionRejection},
    transport::TransportSlot,
};

impl<T: Send + Sync + 'static> SessionBridge<T> {
    /// Makes the slot of a request that opens a polling transport, with the ids that it proves.
    pub(crate) fn transport_slot(&self, opening: &Parts) -> TransportSlot {
        self.inner.transports.slot(self.opened_with(opening))
    }

    /// The answer to the slot's request names this `sid`, or none that can be read.
    pub(crate) fn hint_transport(&self, slot: &TransportSlot, sid: Option<&str>) {
        match sid {
            Some(sid) => self.inner.transports.hint(slot, sid),
            None => slot.answer_is_unreadable(),
        }
    }

    /// According to socketioxide, `opening`, the request of the slot, has opened the transport `sid`.
    pub(crate) fn confirm_transport(&self, slot: &TransportSlot, opening: &Parts, sid: &str) {
        let ids = || self.opened_with(opening);
        self.inner.transports.confirm(slot, sid, ids);
    }

    /// The session `id` was admitted on a transport of a slot.
    pub(crate) fn narrow_transport(&self, sid: &str, id: &SessionId) {
        self.inner.transports.admitted(sid, id);
    }

    /// Whether a further request may act for the transport with this `sid`.
    pub(crate) fn may_continue(&self, sid: &str, parts: &Parts) -> bool {
        let transports = &self.inner.transports;
        if !transports.is_bound(sid) {
            return true;
        }
        let handshake = Handshake::from_parts(parts).at(Stage::Continuing);
        let rejection = match self.proved(&handshake) {
            Ok(ids) if transports.is_entitled(sid, &ids) => return true,
            Ok(_) => SessionRejection::NoSession(NoSessionReason::ForeignTransport),
            Err(rejection) => rejection,
        };
        if matches!(
            rejection,
            SessionRejection::NoCookie | SessionRejection::NoToken
        ) {
            transports.refused_without_credential(sid);
        }
        self.report(&rejection, &handshake);
        false
    }

    /// A client connects whose opening request did not pass through the layer.
    pub(crate) fn advise_without_layer(&self) {
        self.inner.transports.advice().without_layer();
    }

    /// A client connects whose opening request the layer did not take for one of Engine.IO.
    pub(crate) fn advise_not_taken(&self, opening: &Parts) {
        let advice = self.inner.transports.advice();
        advice.not_taken(opening.uri.path());
    }

    /// The ids that the opening request of a transport proves. Its later requests repeat its
    /// credentials, also after they have expired, so an expired one counts.
    fn opened_with(&self, opening: &Parts) -> Vec<SessionId> {
        let handshake = Handshake::from_parts(opening).at(Stage::Continuing);
        self.proved(&handshake).unwrap_or_default()
    }

    /// All ids that the request proves and may use. The store is not called.
    ///
    /// This is [`extract`](crate::SessionIdExtractor::extract) and not `presented`, because only
    /// `extract` checks the origin: with `presented`, a foreign page could put a token of its own
    /// beside the cookie of the victim.
    fn proved(&self, handshake: &Handshake<'_>) -> Result<Vec<SessionId>, SessionRejection> {
        match self.extract(handshake) {
            Ok(id) => Ok(vec![id]),
            Err(Extracted::Several(ids)) => Ok(ids),
            Err(Extracted::Rejected(rejection)) => Err(rejection),
        }
    }
}
