//! Transports that are opened.

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt as _, Collected};

use super::SessionBody;
use crate::{
    bridge::SessionBridge, id::SessionId, request::LayeredRequest, transport::sid_of_open_packet,
};

/// What Engine.IO answers to who opens a polling transport is not longer.
const MAX_OPEN_PACKET: u64 = 1024;

/// A request that opens a polling transport.
pub(super) struct Opening<T: Send + Sync + 'static> {
    pub(super) bridge: SessionBridge<T>,
    pub(super) request: Arc<LayeredRequest<T>>,
}

impl<T: Send + Sync + 'static> Opening<T> {
    /// Binds the transport that Engine.IO has opened to a session, before anybody learns its `sid`.
    pub(super) async fn bind<R: Body<Data = Bytes>>(
        self,
        response: Response<R>,
        id: &SessionId,
    ) -> Response<SessionBody<R>> {
        let length = response.body().size_hint().exact();
        if length.is_none_or(|length| length > MAX_OPEN_PACKET) {
            if response.status().is_success() {
                self.bridge.warn_hidden_sid();
            }
            return response.map(SessionBody::inner);
        }
        let (mut parts, body) = response.into_parts();
        let Ok(body) = body.collect().await.map(Collected::to_bytes) else {
            // A body of known length that is at hand does not fail.
            parts.status = StatusCode::INTERNAL_SERVER_ERROR;
            return Response::from_parts(parts, SessionBody::default());
        };
        if let Some(sid) = sid_of_open_packet(&body) {
            self.bridge.bind(self.request.transport(), sid, id);
        }
        Response::from_parts(parts, SessionBody::whole(body))
    }
}
