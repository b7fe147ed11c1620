//! The body of a response that passed the layer.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use pin_project_lite::pin_project;

use crate::{request::InFlight, transport::sid_of_open_packet};

pin_project! {
    /// The body of a response that passed through the [`SessionLayer`](super::SessionLayer): the
    /// application's own, or a refusal of the layer.
    ///
    /// Its end, or its drop, is the end of the answer.
    ///
    /// ```
    /// use axum::{body::Body, http::Response, response::IntoResponse};
    /// use socketioxide_session::http::SessionBody;
    ///
    /// /// It is a body like any other.
    /// fn boxed(answer: Response<SessionBody<Body>>) -> Response<Body> {
    ///     answer.map(Body::new)
    /// }
    /// # let _ = boxed;
    /// ```
    #[derive(Debug)]
    pub struct SessionBody<B> {
        #[pin]
        kind: Kind<B>,
        request: Option<InFlight>,
        // The length of the whole body, if that can be Engine.IO's open packet and is still to come.
        open_packet: Option<u64>,
    }
}

pin_project! {
    #[project = KindProjection]
    #[derive(Debug)]
    enum Kind<B> {
        Inner { #[pin] body: B },
        Whole { #[pin] body: Full<Bytes> },
    }
}

impl<B> SessionBody<B> {
    pub(super) fn inner(body: B, request: Option<InFlight>, open_packet: Option<u64>) -> Self {
        Self {
            kind: Kind::Inner { body },
            request,
            open_packet,
        }
    }

    pub(super) fn whole(body: impl Into<Bytes>, request: Option<InFlight>) -> Self {
        Self {
            kind: Kind::Whole {
                body: Full::new(body.into()),
            },
            request,
            open_packet: None,
        }
    }
}

/// Empty, as tower-http's layers need it.
impl<B> Default for SessionBody<B> {
    fn default() -> Self {
        Self::whole(Bytes::new(), None)
    }
}

impl<B: Body<Data = Bytes>> Body for SessionBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        let frame = match this.kind.project() {
            KindProjection::Inner { body } => ready!(body.poll_frame(cx)),
            KindProjection::Whole { body } => {
                ready!(body.poll_frame(cx)).map(|frame| frame.map_err(|never| match never {}))
            }
        };
        match (&frame, this.request.as_ref(), this.open_packet.take()) {
            // Before the client sees the `sid`. Engine.IO sends the packet in one frame.
            (Some(Ok(frame)), Some(request), Some(length)) => {
                let whole = frame.data_ref().filter(|data| data.len() as u64 == length);
                request.opened(whole.and_then(|body| sid_of_open_packet(body)));
            }
            (Some(Ok(_)), ..) => {}
            (Some(Err(_)) | None, ..) => *this.request = None,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Inner { body } => body.is_end_stream(),
            Kind::Whole { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Inner { body } => body.size_hint(),
            Kind::Whole { body } => body.size_hint(),
        }
    }
}
