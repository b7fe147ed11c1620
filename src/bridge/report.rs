//! Rejections in the log and in the application's hook.

use super::session_bridge::SessionBridge;
use crate::{
    causes::Causes,
    extractor::OriginPolicy,
    handshake::{Handshake, Stage},
    observe::{self, target},
    rejection::SessionRejection,
    session::Session,
};

impl<T: Send + Sync + 'static> SessionBridge<T> {
    /// Logs a rejection, with what the client sees and the cause but no secret, and calls the hook.
    pub(crate) fn report(&self, rejection: &SessionRejection, handshake: &Handshake<'_>) {
        observe::rejected(rejection.code(), rejection.reason());
        self.log(rejection, handshake);
        let Some(hook) = self.inner.on_rejection.clone() else {
            return;
        };
        let rejection = rejection.clone();
        let parts = handshake.parts().clone();
        let namespace = handshake.namespace().map(str::to_owned);
        let stage = match handshake.stage() {
            Stage::Opening => Stage::Opening,
            Stage::Continuing => Stage::Continuing,
            Stage::Http | Stage::Namespace(_) => Stage::Http,
        };
        self.inner.rejections.start(move || {
            let mut handshake = Handshake::from_parts(&parts).at(stage);
            if let Some(namespace) = &namespace {
                handshake = handshake.with_namespace(namespace);
            }
            hook(&rejection, &handshake);
        });
    }
}

impl<T: Send + Sync + 'static> SessionBridge<T> {
    /// Result of a lookup for a request that needs no session. A client without one is admitted, and not
    /// reported as a rejection; the caller reports the error.
    pub(crate) fn or_anonymous(
        &self,
        found: Result<Session<T>, SessionRejection>,
        handshake: &Handshake<'_>,
    ) -> Result<Option<Session<T>>, SessionRejection> {
        match found {
            Err(rejection) if rejection.is_anonymous() => {
                self.note_anonymous(&rejection, handshake);
                Ok(None)
            }
            found => found.map(Some),
        }
    }

    /// Logs that a client is admitted without a session. That is no rejection.
    pub(crate) fn note_anonymous(&self, rejection: &SessionRejection, handshake: &Handshake<'_>) {
        let (code, session) = (rejection.code(), rejection.fingerprint());
        if rejection.is_forbidden()
            && let Some(advice) = OriginPolicy::advice(handshake)
            && self.inner.advised.is_new(&advice)
        {
            tracing::warn!(
                target: target::REJECTION,
                code,
                advice,
                "the session of a client of a foreign origin is withheld"
            );
        } else {
            tracing::debug!(target: target::REJECTION, code, session, "client without a session");
        }
    }
}

impl<T: Send + Sync + 'static> SessionBridge<T> {
    /// Clients choose how often they are rejected. So what they cause by themselves is logged at debug
    /// level, and the advice about an origin once at level warn. A failure of the store is the
    /// operator's to know each time.
    fn log(&self, rejection: &SessionRejection, handshake: &Handshake<'_>) {
        let (code, reason) = (rejection.code(), rejection.reason());
        let cause = std::error::Error::source(rejection).map(|cause| Causes(cause).to_string());
        let (cause, session) = (cause.as_deref(), rejection.fingerprint());
        let namespace = handshake.namespace();
        let advice = match rejection {
            SessionRejection::Forbidden(_) => OriginPolicy::advice(handshake),
            _ => None,
        };
        /// The level is a constant of each call.
        macro_rules! log_at {
            ($level:ident) => {
                tracing::$level!(
                    target: target::REJECTION,
                    code,
                    reason,
                    cause,
                    session,
                    namespace,
                    advice = advice.as_ref().map(tracing::field::display),
                    "session rejected"
                )
            };
        }
        match rejection {
            SessionRejection::StoreError(_) => log_at!(error),
            SessionRejection::Forbidden(_)
                if self
                    .inner
                    .advised
                    .is_new(advice.as_deref().unwrap_or(reason)) =>
            {
                log_at!(warn);
            }
            _ => log_at!(debug),
        }
    }
}
