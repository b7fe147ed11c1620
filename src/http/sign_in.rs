//! Signing in and out in an HTTP request.

use futures_util::future::join_all;
use http::request::Parts;

use crate::{
    bridge::SessionBridge,
    causes::Causes,
    extractor::{ForbiddenReason, Handshake},
    id::SessionId,
    live::{Disconnect, UpdateError},
    observe::target,
    rejection::SessionRejection,
    request::LayeredRequest,
    session::Session,
    store::StoreError,
};

/// Why a sign-in or a sign-out did not happen.
///
/// In axum it is a response: 403 for a forbidden origin, else 503.
///
/// ```
/// use axum::http::{StatusCode, request::Parts};
/// use socketioxide_session::{SessionBridge, http::SignInError};
///
/// async fn login(sessions: SessionBridge<String>, parts: Parts) -> StatusCode {
///     match sessions.sign_in(&parts, "Ann".to_owned()).await {
///         Ok(_session) => StatusCode::OK,
///         Err(SignInError::Forbidden(_)) => StatusCode::FORBIDDEN,
///         Err(_) => StatusCode::SERVICE_UNAVAILABLE,
///     }
/// }
/// # let _ = login;
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SignInError {
    /// The origin of the request may not use the session cookie, so it may not change it either. Else
    /// a foreign page could sign users in and out.
    #[error("the origin of the request is forbidden")]
    Forbidden(#[source] ForbiddenReason),
    /// The store failed. After [`sign_out`](SessionBridge::sign_out), the sessions have ended on this
    /// node all the same, and the deletion is retried.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<SignInError> for SessionRejection {
    fn from(error: SignInError) -> Self {
        match error {
            SignInError::Forbidden(reason) => Self::Forbidden(reason),
            SignInError::Store(error) => Self::StoreError(error),
        }
    }
}

/// The result of a [`sign_out`](SessionBridge::sign_out).
///
/// ```
/// use axum::http::request::Parts;
/// use socketioxide_session::{SessionBridge, http::{SignInError, SignedOut}};
///
/// async fn logout(sessions: SessionBridge<String>, parts: Parts) -> Result<String, SignInError> {
///     Ok(match sessions.sign_out(&parts).await? {
///         SignedOut::Ended(number) => format!("{number} sessions ended"),
///         _ => "you were not signed in".to_owned(),
///     })
/// }
/// # let _ = logout;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignedOut {
    /// This number of sessions ended.
    Ended(usize),
    /// The request presented no session.
    NothingPresented,
}

impl<T: Send + Sync + 'static> SessionBridge<T> {
    /// Creates a session for a user who has just logged in, and ends every session that the request
    /// presents: the data of an earlier user does not carry over, and an id that another party learned
    /// is worthless.
    ///
    /// The sockets of the ended sessions end as [`Rotated`](crate::EndReason::Rotated). No handler with a
    /// session runs for them from now on; they are disconnected when the answer with the new
    /// credential was sent, so that the other tabs of the browser come back with it. Should the end of
    /// an old session fail in the store, it is retried, and the sign-in succeeds.
    ///
    /// ```
    /// use axum::{http::{header::SET_COOKIE, request::Parts}, response::{IntoResponse, Redirect, Response}};
    /// use socketioxide_session::{SessionBridge, SignedCookie, http::SignInError};
    ///
    /// async fn login(sessions: SessionBridge<String>, parts: Parts, cookie: SignedCookie) -> Result<Response, SignInError> {
    ///     // … after the password was checked:
    ///     let session = sessions.sign_in(&parts, "Ann".to_owned()).await?;
    ///     Ok(([(SET_COOKIE, cookie.issue_header(session.id()))], Redirect::to("/")).into_response())
    /// }
    /// # let _ = login;
    /// ```
    ///
    /// # Errors
    ///
    /// When the origin of the request is forbidden, or the store fails to create the session.
    pub async fn sign_in(&self, parts: &Parts, data: T) -> Result<Session<T>, SignInError>
    where
        T: Clone,
    {
        self.check(parts)?;
        Ok(self.sign_in_cross_site(parts, data).await?)
    }

    /// [`sign_in`](Self::sign_in) without the check of the origin, for the `form_post` of an identity
    /// provider, which comes from another site.
    ///
    /// The caller must have checked the `state` of the login (RFC 6749 §10.12): else a foreign page
    /// could sign a user in to the account of an attacker.
    ///
    /// # Errors
    ///
    /// When the store fails to create the session.
    pub async fn sign_in_cross_site(&self, parts: &Parts, data: T) -> Result<Session<T>, StoreError>
    where
        T: Clone,
    {
        let presented = self.presented(&Handshake::from_parts(parts));
        let session = self.create(data).await?;
        let mut replaced = presented.clone();
        replaced.extend(
            presented
                .iter()
                .filter_map(|old| self.double_click(old, &session)),
        );
        // All of them are marked as ended before the first call of the store.
        let ends = replaced
            .iter()
            .map(|old| self.end_replaced(parts, old, &session));
        join_all(ends).await;
        Ok(session)
    }

    async fn end_replaced(&self, parts: &Parts, old: &SessionId, session: &Session<T>) {
        let replaced = self.replace(old, session, self.after_answer(parts));
        if let Err(error) = replaced.await {
            // The deletion itself is retried.
            tracing::warn!(
                target: target::STORE,
                session = old.fingerprint(),
                error = %Causes(&error),
                "a replaced session is not deleted yet"
            );
        }
    }

    /// Ends every session that the request presents, by id and without loading it: so it works while
    /// the store is down, and with a record that can't be decoded.
    ///
    /// Remove the cookie in any case.
    ///
    /// ```
    /// use axum::{http::{header::SET_COOKIE, request::Parts}, response::{IntoResponse, Redirect, Response}};
    /// use socketioxide_session::{SessionBridge, SignedCookie, http::SignInError};
    ///
    /// async fn logout(sessions: SessionBridge<String>, parts: Parts, cookie: SignedCookie) -> Result<Response, SignInError> {
    ///     if let Err(error @ SignInError::Forbidden(_)) = sessions.sign_out(&parts).await {
    ///         return Err(error);
    ///     }
    ///     // Also when the store failed: the session has ended here, and the deletion is retried.
    ///     Ok(([(SET_COOKIE, cookie.removal_header())], Redirect::to("/")).into_response())
    /// }
    /// # let _ = logout;
    /// ```
    ///
    /// # Errors
    ///
    /// When the origin of the request is forbidden: then nothing ended. When the store fails: then the
    /// sockets here are disconnected, the ids are refused here, and the deletions are retried.
    pub async fn sign_out(&self, parts: &Parts) -> Result<SignedOut, SignInError> {
        self.check(parts)?;
        let presented = self.presented(&Handshake::from_parts(parts));
        if presented.is_empty() {
            return Ok(SignedOut::NothingPresented);
        }
        let ends = presented.iter().map(|id| self.end(id));
        let ended = join_all(ends).await;
        for ended in ended {
            ended?;
        }
        Ok(SignedOut::Ended(presented.len()))
    }

    /// [`rotate`](Self::rotate) in an HTTP request: the sockets of the old id are disconnected when
    /// the answer with the new credential was sent.
    ///
    /// ```
    /// use axum::{http::{HeaderValue, header::{HeaderName, SET_COOKIE}, request::Parts}};
    /// use socketioxide_session::{Session, SessionBridge, SignedCookie, UpdateError};
    ///
    /// # struct User { admin: bool }
    /// async fn promoted(
    ///     sessions: SessionBridge<User>,
    ///     session: Session<User>,
    ///     parts: Parts,
    ///     cookie: SignedCookie,
    /// ) -> Result<[(HeaderName, HeaderValue); 1], UpdateError> {
    ///     let session = sessions.rotate_for(&parts, &session).await?;
    ///     Ok([(SET_COOKIE, cookie.issue_header(session.id()))])
    /// }
    /// # let _ = promoted;
    /// ```
    ///
    /// # Errors
    ///
    /// As `rotate`.
    pub async fn rotate_for(
        &self,
        parts: &Parts,
        session: &Session<T>,
    ) -> Result<Session<T>, UpdateError> {
        self.rotate_at(session, self.after_answer(parts)).await
    }

    fn after_answer(&self, parts: &Parts) -> Disconnect {
        match LayeredRequest::of(parts, self) {
            Some(request) => Disconnect::soon_after(request.answered()),
            None => Disconnect::later(),
        }
    }

    fn check(&self, parts: &Parts) -> Result<(), SignInError> {
        let handshake = Handshake::from_parts(parts);
        let rejection = match self.check_origin(&handshake) {
            Ok(()) => return Ok(()),
            Err(rejection) => rejection,
        };
        self.report(&rejection, &handshake);
        Err(match rejection {
            SessionRejection::Forbidden(reason) => SignInError::Forbidden(reason),
            SessionRejection::StoreError(error) => SignInError::Store(error),
            _ => SignInError::Forbidden(ForbiddenReason::Other),
        })
    }
}
