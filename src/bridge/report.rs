//! Rejections in the log and in the application's hook.

use super::session_bridge::SessionBridge;
use crate::{
    causes::Causes,
    extractor::OriginPolicy,
    handshake::{Handshake, Stage},
    observe,
    rejection::SessionRejection,
};

/// The target of all log lines about rejected clients.
const TARGET: &str = "socketioxide_session::rejection";

impl<T: Send + Sync + 'static> SessionBridge<T> {
    /// Logs a rejection, with what the client sees and the cause but no secret, and calls the hook.
    pub(crate) fn report(&self, rejection: &SessionRejection, handshake: &Handshake<'_>) {
        observe::rejected(rejection.code(), rejection.reason());
        log(rejection, handshake);
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
    /// Logs that a client is admitted without a session. That is no rejection.
    pub(crate) fn note_anonymous(&self, rejection: &SessionRejection, handshake: &Handshake<'_>) {
        let (code, session) = (rejection.code(), rejection.fingerprint());
        if rejection.is_forbidden()
            && let Some(advice) = OriginPolicy::advice(handshake)
            && self.inner.advised.is_new(&advice)
        {
            tracing::warn!(
                target: TARGET,
                code,
                advice,
                "the session of a client of a foreign origin is withheld"
            );
        } else {
            tracing::debug!(target: TARGET, code, session, "client without a session");
        }
    }
}

fn log(rejection: &SessionRejection, handshake: &Handshake<'_>) {
    let (code, reason) = (rejection.code(), rejection.reason());
    let cause = std::error::Error::source(rejection).map(|cause| Causes(cause).to_string());
    let (cause, session) = (cause.as_deref(), rejection.fingerprint());
    let namespace = handshake.namespace();
    match rejection {
        SessionRejection::Forbidden(_) => {
            let advice = OriginPolicy::advice(handshake).map(tracing::field::display);
            tracing::warn!(target: TARGET, code, reason, cause, advice, namespace, "session rejected");
        }
        SessionRejection::StoreError(_) => {
            tracing::error!(target: TARGET, code, reason, cause, session, namespace, "session rejected");
        }
        SessionRejection::NoCookie | SessionRejection::NoToken => {
            tracing::debug!(target: TARGET, code, reason, cause, session, namespace, "session rejected");
        }
        _ => {
            tracing::info!(target: TARGET, code, reason, cause, session, namespace, "session rejected");
        }
    }
}
