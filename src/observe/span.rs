//! The span around the admission of a socket.

use tracing::{Level, Span, field::Empty, level_filters::LevelFilter};

use super::target;

const NAME: &str = "admission";

/// The span around the admission of a socket to a namespace; `None` if no subscriber is interested.
pub(crate) fn admission_span(namespace: &str) -> Option<Span> {
    if LevelFilter::current() < Level::DEBUG {
        return None;
    }
    let span = tracing::debug_span!(target: target::ADMISSION, NAME, namespace, session = Empty);
    (!span.is_disabled()).then_some(span)
}

/// The client that is being admitted has an authentic id. Its fingerprint is computed only if the
/// span of the admission is enabled.
pub(crate) fn identified(fingerprint: impl FnOnce() -> String) {
    if LevelFilter::current() < Level::DEBUG {
        return;
    }
    let span = Span::current();
    let is_ours = |metadata: &tracing::Metadata<'_>| {
        metadata.name() == NAME && metadata.target() == target::ADMISSION
    };
    if span.metadata().is_some_and(is_ours) {
        span.record("session", fingerprint());
    }
}
