//! From a handshake to the id of one session.

use std::panic::{AssertUnwindSafe, catch_unwind};

use futures_util::future::join_all;

use super::session_bridge::SessionBridge;
use crate::{
    extractor::{ExtractError, Handshake, InvalidCredential},
    id::SessionId,
    live::{LoadError, View},
    rejection::{NoSessionReason, SessionRejection},
    store::StoreError,
};

impl<T: Send + Sync + 'static> SessionBridge<T> {
    /// The session of a handshake.
    pub(super) async fn look_up(
        &self,
        handshake: &Handshake<'_>,
    ) -> Result<View<T>, SessionRejection> {
        match self.extract(handshake) {
            Ok(id) => self.load(&id).await,
            Err(Extracted::Several(ids)) => self.the_live_one(&ids).await,
            Err(Extracted::Rejected(rejection)) => Err(rejection),
        }
    }

    /// The id of the session that a handshake is for. Only several ids need a lookup.
    pub(super) async fn identify(
        &self,
        handshake: &Handshake<'_>,
    ) -> Result<SessionId, SessionRejection> {
        match self.extract(handshake) {
            Ok(id) => Ok(id),
            Err(Extracted::Several(ids)) => {
                let view = self.the_live_one(&ids).await?;
                Ok(view.entry.id().clone())
            }
            Err(Extracted::Rejected(rejection)) => Err(rejection),
        }
    }

    /// All ids that a request proves, whatever its origin.
    pub(crate) fn presented(&self, handshake: &Handshake<'_>) -> Vec<SessionId> {
        let present = || self.inner.extractor.presented(handshake);
        catch_unwind(AssertUnwindSafe(present)).unwrap_or_default()
    }

    /// Whether the extractor refuses the origin of a request.
    pub(crate) fn check_origin(&self, handshake: &Handshake<'_>) -> Result<(), SessionRejection> {
        let check = || self.inner.extractor.check_origin(handshake);
        match catch_unwind(AssertUnwindSafe(check)) {
            Ok(checked) => checked.map_err(SessionRejection::Forbidden),
            Err(_panic) => {
                let error = StoreError::panicked("the session id extractor");
                Err(SessionRejection::StoreError(error))
            }
        }
    }

    /// The result of the extractor; a panic is a failure of the server.
    pub(super) fn extract(&self, handshake: &Handshake<'_>) -> Result<SessionId, Extracted> {
        let extract = || self.inner.extractor.extract(handshake);
        match catch_unwind(AssertUnwindSafe(extract)) {
            Ok(Ok(id)) => Ok(id),
            Ok(Err(ExtractError::Several(ids))) => Err(Extracted::Several(ids)),
            Ok(Err(error)) => Err(Extracted::Rejected(error.into())),
            Err(_panic) => {
                let error = StoreError::panicked("the session id extractor");
                Err(Extracted::Rejected(SessionRejection::StoreError(error)))
            }
        }
    }

    async fn load(&self, id: &SessionId) -> Result<View<T>, SessionRejection> {
        let loaded = self.inner.live.resolve(id).await;
        loaded.map_err(|error| refused(id, error))
    }

    /// Several authentic ids came, as after a change of the cookie's Domain. A session is used only
    /// when it is certain that it is the only one: an error, or a record that can't be decoded, never
    /// lets another one win.
    async fn the_live_one(&self, ids: &[SessionId]) -> Result<View<T>, SessionRejection> {
        let loads = ids.iter().map(|id| self.inner.live.resolve(id));
        let (mut found, mut unreadable) = (Vec::new(), false);
        for loaded in join_all(loads).await {
            match loaded {
                Ok(view) => found.push(view),
                Err(LoadError::NotFound | LoadError::Revoked) => {}
                Err(LoadError::Unreadable(_)) => unreadable = true,
                Err(LoadError::Store(error)) => return Err(SessionRejection::StoreError(error)),
            }
        }
        let last = found.pop();
        match last {
            Some(view) if found.is_empty() && !unreadable => Ok(view),
            None if !unreadable => Err(SessionRejection::gone(&ids[0])),
            _ => Err(SessionRejection::NoSession(NoSessionReason::Invalid(
                InvalidCredential::Ambiguous,
            ))),
        }
    }
}

/// A result of an extractor other than one id.
pub(super) enum Extracted {
    Several(Vec<SessionId>),
    Rejected(SessionRejection),
}

pub(super) fn refused(id: &SessionId, error: LoadError) -> SessionRejection {
    match error {
        LoadError::NotFound => SessionRejection::gone(id),
        LoadError::Unreadable(error) => SessionRejection::NoSession(NoSessionReason::Unreadable {
            fingerprint: id.fingerprint(),
            error,
        }),
        LoadError::Revoked => SessionRejection::NoSession(NoSessionReason::Revoked {
            fingerprint: id.fingerprint(),
        }),
        LoadError::Store(error) => SessionRejection::StoreError(error),
    }
}
