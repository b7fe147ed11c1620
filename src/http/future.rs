//! The future of a response that passes the layer.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Response, StatusCode, header::CONTENT_TYPE};
use http_body::Body;
use pin_project_lite::pin_project;

use super::{body::SessionBody, refresh::refresh, refusal::refusal};
use crate::{
    rejection::SessionRejection,
    request::InFlight,
    store::RequestScope,
    transport::{MAX_OPEN_PACKET, OPEN_PACKET_CONTENT_TYPE},
};

/// The answer of the inner service, or why it was not called.
pub(super) type Resolved<B> = Result<Response<B>, SessionRejection>;

type Boxed<B, E> = Pin<Box<dyn Future<Output = Result<Resolved<B>, E>> + Send>>;

pin_project! {
    /// The future of [`SessionService`](super::SessionService).
    ///
    /// ```
    /// use socketioxide_session::http::{SessionFuture, SessionService};
    /// use tower::Service;
    ///
    /// /// The future of a service can be named, as in a service that wraps this one.
    /// type Answer<S, R, B> = SessionFuture<<S as Service<R>>::Future, B, <S as Service<R>>::Error>;
    /// # let _: Option<Answer<axum::Router, axum::extract::Request, axum::body::Body>> = None;
    /// ```
    pub struct SessionFuture<F, B, E> {
        #[pin]
        kind: Kind<F, B, E>,
        request: Option<InFlight>,
        scope: RequestScope,
    }
}

pin_project! {
    #[project = KindProjection]
    enum Kind<F, B, E> {
        // The inner service's own future.
        Inner { #[pin] future: F },
        // The session is looked up before the inner service is called.
        LookedUp { future: Boxed<B, E> },
    }
}

impl<F, B, E> SessionFuture<F, B, E> {
    pub(super) fn inner(future: F, request: InFlight) -> Self {
        Self {
            kind: Kind::Inner { future },
            request: Some(request),
            scope: RequestScope::new(),
        }
    }

    pub(super) fn looked_up(future: Boxed<B, E>, request: InFlight) -> Self {
        Self {
            kind: Kind::LookedUp { future },
            request: Some(request),
            scope: RequestScope::new(),
        }
    }
}

impl<F, B, E> Future for SessionFuture<F, B, E>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body<Data = Bytes>,
{
    type Output = Result<Response<SessionBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let resolved = ready!(this.scope.enter(|| match this.kind.project() {
            KindProjection::Inner { future } => future.poll(cx).map_ok(Ok),
            KindProjection::LookedUp { future } => future.as_mut().poll(cx),
        }));
        this.scope.end();
        let request = this.request.take();
        Poll::Ready(resolved.map(|resolved| match resolved {
            Ok(mut response) => {
                refresh(&mut response, request.as_ref());
                pass(response, request)
            }
            Err(rejection) => refusal(&rejection, |json| SessionBody::whole(json, request)),
        }))
    }
}

/// Passes the inner service's answer on.
fn pass<B: Body<Data = Bytes>>(
    response: Response<B>,
    request: Option<InFlight>,
) -> Response<SessionBody<B>> {
    let opening = request.as_ref().filter(|r| r.opens_bound_transport());
    let open_packet = opening.and_then(|request| {
        let length = length_of_open_packet(&response);
        if length.is_none() {
            request.opened(None);
        }
        length
    });
    response.map(|body| SessionBody::inner(body, request, open_packet))
}

/// The length of the body, if it can be Engine.IO's open packet.
fn length_of_open_packet<B: Body>(response: &Response<B>) -> Option<u64> {
    let content_type = response.headers().get(CONTENT_TYPE);
    let is_like_it = response.status() == StatusCode::OK
        && content_type.is_some_and(|value| value == OPEN_PACKET_CONTENT_TYPE);
    let length = response.body().size_hint().exact();
    length.filter(|length| is_like_it && *length <= MAX_OPEN_PACKET)
}

impl<F, B, E> fmt::Debug for SessionFuture<F, B, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionFuture").finish_non_exhaustive()
    }
}
