//! Warnings about a misplaced layer and about clients that are shut out.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use tokio::time::Instant;

use crate::{lock::Mutex, observe::target};

/// Minimum time between two warnings about the same behaviour of clients.
const BETWEEN_WARNINGS: Duration = Duration::from_mins(1);

/// Limits the warnings of a bridge: a mistake in the application is logged once, the behaviour of
/// clients once a minute.
#[derive(Default)]
pub(crate) struct Advice {
    without_layer: Once,
    not_taken: Once,
    hidden_sid: Once,
    contested_sid: OnceAMinute,
    no_credential: OnceAMinute,
}

impl Advice {
    /// A client connects whose opening request did not pass through the layer.
    pub(crate) fn without_layer(&self) {
        if self.without_layer.first() {
            tracing::warn!(
                target: target::SETUP,
                "a Socket.IO transport did not pass through `SessionBridge::layer`, so its `sid` is \
                 not bound to its session: add the layer outside of the one of Socket.IO"
            );
        }
    }

    /// A client connects whose opening request passed through the layer as an ordinary one.
    pub(crate) fn not_taken(&self, path_at_socket_io: &str) {
        if self.not_taken.first() {
            tracing::warn!(
                target: target::SETUP,
                path_at_socket_io,
                "a Socket.IO transport passed through `SessionBridge::layer`, which did not take its \
                 request for one of Socket.IO, so neither `reject_unauthenticated` nor the binding of \
                 its `sid` applies: give `SessionLayer::req_path` the path as it is where the layer \
                 stands, with the prefix of a nested router in front, or leave it out"
            );
        }
    }

    /// A transport is bound at CONNECT only, because its opening answer could not be read.
    pub(super) fn hidden_sid(&self) {
        if self.hidden_sid.first() {
            tracing::warn!(
                target: target::SETUP,
                "something between `SessionBridge::layer` and Socket.IO changes the answer that opens a \
                 polling transport, so that its `sid` can't be read: until the first connect, every \
                 request with the `sid` can act for the client; move what changes answers outside of \
                 the layer"
            );
        }
    }

    /// Another request had taken the `sid` that CONNECT names.
    pub(super) fn contested_sid(&self) {
        if self.contested_sid.is_due() {
            tracing::warn!(
                target: target::SETUP,
                "a request got an answer that looks as if it had opened the polling transport of another \
                 client; the transport belongs to the request that opened it: look for a handler that \
                 answers with text of the request"
            );
        }
    }

    /// A client sends no credential after the one of its opening request.
    pub(super) fn no_credential(&self) {
        if self.no_credential.is_due() {
            tracing::warn!(
                target: target::SETUP,
                "a polling client opened its transport with a session and sent a later request without \
                 any credential, so the request was refused: some libraries (the synchronous Python \
                 client among them) send a `Cookie` header with the first request only; give the client \
                 a cookie jar, or let it use the WebSocket transport alone"
            );
        }
    }
}

#[derive(Default)]
struct Once(AtomicBool);

impl Once {
    fn first(&self) -> bool {
        // The load spares the write when it is set already, as it is for nearly all calls.
        !self.0.load(Ordering::Relaxed) && !self.0.swap(true, Ordering::Relaxed)
    }
}

#[derive(Default)]
struct OnceAMinute(Mutex<Option<Instant>>);

impl OnceAMinute {
    fn is_due(&self) -> bool {
        let now = Instant::now();
        let mut last = self.0.lock();
        let due = last.is_none_or(|last| now.duration_since(last) >= BETWEEN_WARNINGS);
        if due {
            *last = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn warnings_are_limited() {
        let once = Once::default();
        assert_eq!([once.first(), once.first()], [true, false]);
        let minutely = OnceAMinute::default();
        assert_eq!([minutely.is_due(), minutely.is_due()], [true, false]);
        tokio::time::advance(BETWEEN_WARNINGS).await;
        assert_eq!([minutely.is_due(), minutely.is_due()], [true, false]);
    }
}
