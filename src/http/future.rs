//! The future of a response that passes the layer.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Response;
use pin_project_lite::pin_project;

use super::SessionBody;

type Boxed<B, E> = Pin<Box<dyn Future<Output = Result<Response<SessionBody<B>>, E>> + Send>>;

pin_project! {
    /// The future of [`SessionService`](super::SessionService).
    pub struct SessionFuture<F, B, E> {
        #[pin]
        kind: Kind<F, B, E>,
    }
}

pin_project! {
    #[project = KindProjection]
    enum Kind<F, B, E> {
        Inner { #[pin] future: F },
        Boxed { future: Boxed<B, E> },
    }
}

impl<F, B, E> SessionFuture<F, B, E> {
    pub(super) fn inner(future: F) -> Self {
        Self {
            kind: Kind::Inner { future },
        }
    }

    pub(super) fn boxed(future: Boxed<B, E>) -> Self {
        Self {
            kind: Kind::Boxed { future },
        }
    }
}

impl<F: Future<Output = Result<Response<B>, E>>, B, E> Future for SessionFuture<F, B, E> {
    type Output = Result<Response<SessionBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().kind.project() {
            KindProjection::Inner { future } => {
                let response = ready!(future.poll(cx));
                Poll::Ready(response.map(|response| response.map(SessionBody::inner)))
            }
            KindProjection::Boxed { future } => future.as_mut().poll(cx),
        }
    }
}

impl<F, B, E> fmt::Debug for SessionFuture<F, B, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionFuture").finish_non_exhaustive()
    }
}
