//! Sessions in ordinary HTTP requests, and the protection of Socket.IO's transports.

#[cfg(feature = "axum")]
mod axum;
mod body;
mod future;
mod layer;
#[cfg(test)]
mod layer_tests;
mod refresh;
mod refresh_cookie;
mod refusal;
mod service;
mod settings;
mod sign_in;
#[cfg(test)]
mod sign_out_tests;

use http::request::Parts;

#[cfg(feature = "axum")]
pub use self::axum::RequestSessionError;
pub use body::SessionBody;
pub use future::SessionFuture;
pub use layer::SessionLayer;
pub use refresh_cookie::RefreshCookieError;
pub use service::SessionService;
pub use sign_in::{SignInError, SignedOut};

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

    /// As [`from_request`](Self::from_request), for a request that needs no session: `None` when the client
    /// brings no credential, or one that is not valid or whose session is gone. That is no rejection.
    ///
    /// ```
    /// use http::request::Parts;
    /// use socketioxide_session::{SessionBridge, SessionRejection};
    ///
    /// async fn greeting(
    ///     sessions: &SessionBridge<String>,
    ///     parts: &Parts,
    /// ) -> Result<String, SessionRejection> {
    ///     let session = sessions.from_request_optional(parts).await?;
    ///     Ok(session.map_or("Hello guest".into(), |name| format!("Hello {}", name.data())))
    /// }
    /// # let _ = greeting;
    /// ```
    ///
    /// # Errors
    ///
    /// `FORBIDDEN` for a page of a foreign origin, and `STORE_ERROR`.
    pub async fn from_request_optional(
        &self,
        parts: &Parts,
    ) -> Result<Option<Session<T>>, SessionRejection> {
        if let Some(request) = LayeredRequest::of(parts, self) {
            return request.optional_session(parts).await;
        }
        let handshake = Handshake::from_parts(parts);
        let found = self.find(&handshake).await;
        self.or_anonymous(found, &handshake)
            .inspect_err(|rejection| self.report(rejection, &handshake))
    }
}
