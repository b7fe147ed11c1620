//! Extractors and responses for axum: the only place that names it.

use std::{error::Error, sync::Arc};

use axum_core::{
    body::Body,
    extract::{FromRequestParts, OptionalFromRequestParts},
    response::{IntoResponse, Response},
};
use http::{StatusCode, request::Parts};

use super::{refusal::refusal, sign_in::SignInError};
use crate::{
    bridge::SessionBridge,
    causes::Causes,
    live::UpdateError,
    observe::target,
    rejection::SessionRejection,
    request::LayeredRequest,
    session::{MaybeSession, Session},
    store::StoreError,
};

/// Why an axum handler got no session.
///
/// ```
/// use axum::response::{IntoResponse, Response};
/// use socketioxide_session::{Session, http::RequestSessionError};
///
/// /// A page for clients without a session, instead of the JSON of the rejection.
/// async fn home(session: Result<Session<String>, RequestSessionError>) -> Response {
///     match session {
///         Ok(session) => format!("Hello {}", session.data()).into_response(),
///         Err(RequestSessionError::Rejected(_)) => "Please sign in".into_response(),
///         Err(error) => error.into_response(),
///     }
/// }
/// # drop(axum::Router::<()>::new().route("/", axum::routing::get(home)));
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum RequestSessionError {
    /// The request has no session, or the store failed.
    #[error(transparent)]
    Rejected(#[from] SessionRejection),
    /// The request did not pass through the [`SessionLayer`](super::SessionLayer) of this type of
    /// session. The client sees a 500, and the cause is logged.
    #[error("the request did not pass through the session layer")]
    MissingLayer,
}

fn layered<T: Send + Sync + 'static>(
    parts: &Parts,
) -> Result<&Arc<LayeredRequest<T>>, RequestSessionError> {
    LayeredRequest::innermost(parts).ok_or_else(|| {
        tracing::error!(
            target: target::SETUP,
            data = std::any::type_name::<T>(),
            "a handler takes a session, but its request did not pass through `SessionBridge::layer`"
        );
        RequestSessionError::MissingLayer
    })
}

async fn session_of<T: Send + Sync + 'static>(
    parts: &Parts,
) -> Result<Session<T>, RequestSessionError> {
    Ok(layered(parts)?.session(parts).await?)
}

async fn optional_session_of<T: Send + Sync + 'static>(
    parts: &Parts,
) -> Result<Option<Session<T>>, RequestSessionError> {
    Ok(layered(parts)?.optional_session(parts).await?)
}

impl<S: Send + Sync, T: Send + Sync + 'static> FromRequestParts<S> for Session<T> {
    type Rejection = RequestSessionError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        session_of(parts).await
    }
}

impl<S: Send + Sync, T: Send + Sync + 'static> OptionalFromRequestParts<S> for Session<T> {
    type Rejection = RequestSessionError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Self::Rejection> {
        optional_session_of(parts).await
    }
}

impl<S: Send + Sync, T: Send + Sync + 'static> FromRequestParts<S> for MaybeSession<T> {
    type Rejection = RequestSessionError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(optional_session_of(parts).await?))
    }
}

/// The bridge whose layer the request passed through: the innermost one for this type of session.
///
/// ```
/// use socketioxide_session::{Session, SessionBridge, StoreError};
///
/// async fn guest(sessions: SessionBridge<String>) -> Result<String, StoreError> {
///     let session: Session<String> = sessions.create("a guest".into()).await?;
///     Ok(session.data().clone())
/// }
/// # drop(axum::Router::<()>::new().route("/guest", axum::routing::post(guest)));
/// ```
impl<S: Send + Sync, T: Send + Sync + 'static> FromRequestParts<S> for SessionBridge<T> {
    type Rejection = RequestSessionError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(layered(parts)?.bridge().clone())
    }
}

impl IntoResponse for RequestSessionError {
    fn into_response(self) -> Response {
        match self {
            Self::Rejected(rejection) => rejection.into_response(),
            Self::MissingLayer => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }
}

/// The code as JSON, `{"error":CODE}`, with 401, 403 or 503. The rejection was logged when it arose.
impl IntoResponse for SessionRejection {
    fn into_response(self) -> Response {
        refusal(&self, Body::from)
    }
}

/// `STORE_ERROR`, with 503. The cause is logged.
impl IntoResponse for StoreError {
    fn into_response(self) -> Response {
        log_unavailable(&self);
        SessionRejection::StoreError(self).into_response()
    }
}

/// `FORBIDDEN` with 403, or `STORE_ERROR` with 503, whose cause is logged.
impl IntoResponse for SignInError {
    fn into_response(self) -> Response {
        if matches!(self, Self::Store(_)) {
            log_unavailable(&self);
        }
        SessionRejection::from(self).into_response()
    }
}

/// `NO_SESSION` with 401 when the session is gone, else `STORE_ERROR` with 503, and the cause is
/// logged.
impl IntoResponse for UpdateError {
    fn into_response(self) -> Response {
        if !matches!(self, Self::Gone) {
            log_unavailable(&self);
        }
        SessionRejection::from(self).into_response()
    }
}

fn log_unavailable(error: &(dyn Error + 'static)) {
    tracing::error!(target: target::STORE, error = %Causes(error), "a handler answers 503");
}
