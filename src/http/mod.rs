//! Sessions in ordinary HTTP requests, and the gate before those of Socket.IO.

#[cfg(feature = "axum")]
mod axum;
mod body;
mod future;
mod layer;
mod opening;

use http::{
    HeaderValue, Response,
    header::{CACHE_CONTROL, CONTENT_TYPE},
    request::Parts,
};

#[cfg(feature = "axum")]
pub use self::axum::RequestSessionError;
pub use body::SessionBody;
pub use future::SessionFuture;
pub use layer::{SessionLayer, SessionService};

pub use crate::redact::redact_uri;

use crate::{
    bridge::SessionBridge, handshake::Handshake, rejection::SessionRejection,
    request::LayeredRequest, session::Session,
};

impl<T: Send + Sync + 'static> SessionBridge<T> {
    /// Finds the session of an HTTP request: [`resolve`](Self::resolve) for servers without axum.
    /// When the [layer](Self::layer) has seen the request, it is resolved once.
    ///
    /// # Errors
    ///
    /// As [`resolve`](Self::resolve).
    pub async fn from_request(&self, parts: &Parts) -> Result<Session<T>, SessionRejection> {
        match LayeredRequest::of(parts, self) {
            Some(request) => request.session(parts).await,
            None => self.resolve(&Handshake::from_parts(parts)).await,
        }
    }
}

/// The code as JSON, with 401, 403 or 503.
fn refusal<B>(rejection: &SessionRejection, body: impl FnOnce(String) -> B) -> Response<B> {
    let mut response = Response::new(body(rejection.to_json()));
    *response.status_mut() = rejection.status();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
