//! Extractors and responses for axum: the only place that knows it.

use axum_core::{
    body::Body,
    extract::{FromRequestParts, OptionalFromRequestParts},
    response::{IntoResponse, Response},
};
use http::{StatusCode, request::Parts};

use super::refusal;
use crate::{
    live::UpdateError,
    rejection::SessionRejection,
    request::LayeredRequest,
    session::{MaybeSession, Session},
    store::StoreError,
};

/// Why an axum handler got no session.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum RequestSessionError {
    /// The request has no session, or it can't be known.
    #[error(transparent)]
    Rejected(#[from] SessionRejection),
    /// The request did not pass through the [`SessionLayer`](super::SessionLayer) of this type of
    /// session. The client sees a 500, and the log says this.
    #[error("the request did not pass through the session layer")]
    MissingLayer,
}

async fn session_of<T: Send + Sync + 'static>(
    parts: &Parts,
) -> Result<Session<T>, RequestSessionError> {
    let Some(request) = LayeredRequest::<T>::innermost(parts) else {
        tracing::error!(
            data = std::any::type_name::<T>(),
            "a handler takes a session, but its request did not pass through `SessionBridge::layer`"
        );
        return Err(RequestSessionError::MissingLayer);
    };
    Ok(request.session(parts).await?)
}

async fn optional_session_of<T: Send + Sync + 'static>(
    parts: &Parts,
) -> Result<Option<Session<T>>, RequestSessionError> {
    match session_of(parts).await {
        Ok(session) => Ok(Some(session)),
        Err(RequestSessionError::Rejected(rejection)) if rejection.is_anonymous() => Ok(None),
        Err(error) => Err(error),
    }
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

impl IntoResponse for RequestSessionError {
    fn into_response(self) -> Response {
        match self {
            Self::Rejected(rejection) => rejection.into_response(),
            Self::MissingLayer => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }
}

/// The code as JSON, `{"error":CODE}`, with 401, 403 or 503.
impl IntoResponse for SessionRejection {
    fn into_response(self) -> Response {
        refusal(&self, Body::from)
    }
}

/// `STORE_ERROR`, with 503.
impl IntoResponse for StoreError {
    fn into_response(self) -> Response {
        SessionRejection::StoreError(self).into_response()
    }
}

/// `NO_SESSION` with 401 when the session is gone, else `STORE_ERROR` with 503.
impl IntoResponse for UpdateError {
    fn into_response(self) -> Response {
        SessionRejection::from(self).into_response()
    }
}
