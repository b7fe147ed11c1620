//! The counters and histograms.

use super::stopwatch::Stopwatch;

/// Emits one metric, or nothing without the feature `metrics`. Each label is a variable of its name. The
/// recorder runs when this thread holds no lock of the crate.
macro_rules! emit {
    (gauge, $name:literal, $method:ident($by:expr)) => {{
        let by = $by;
        #[cfg(feature = "metrics")]
        crate::lock::change_unlocked(|by| ::metrics::gauge!($name).$method(by), by);
        #[cfg(not(feature = "metrics"))]
        let _ = by;
    }};
    ($kind:ident, $name:literal, [$($label:ident),*], $method:ident($amount:expr)) => {{
        let amount = $amount;
        #[cfg(feature = "metrics")]
        crate::lock::unlocked(move || {
            ::metrics::$kind!($name $(, stringify!($label) => $label)*).$method(amount);
        });
        #[cfg(not(feature = "metrics"))]
        let _ = ($($label,)* amount);
    }};
}

pub(super) use emit;

/// A connect middleware let a client in: with a session, or `anonymous`.
pub(crate) fn admitted(kind: &'static str, began: Stopwatch) {
    emit!(
        counter,
        "socketio_session_admissions_total",
        [kind],
        increment(1)
    );
    admission_took(kind, began);
}

/// A connect middleware rejected a client.
pub(crate) fn not_admitted(began: Stopwatch) {
    admission_took("rejected", began);
}

fn admission_took(outcome: &'static str, began: Stopwatch) {
    if let Some(seconds) = began.seconds() {
        emit!(
            histogram,
            "socketio_session_admission_seconds",
            [outcome],
            record(seconds)
        );
    }
}

/// A client was rejected.
pub(crate) fn rejected(code: &'static str, reason: &'static str) {
    emit!(
        counter,
        "socketio_session_rejections_total",
        [code, reason],
        increment(1)
    );
}

/// A session ended on this node.
pub(crate) fn ended(reason: &'static str) {
    emit!(
        counter,
        "socketio_session_ends_total",
        [reason],
        increment(1)
    );
}

/// Another writer was faster than a save.
pub(crate) fn conflict() {
    emit!(
        counter,
        "socketio_session_conflicts_total",
        [],
        increment(1)
    );
}

/// The store can no longer report changes.
pub(crate) fn feed_lost() {
    emit!(
        counter,
        "socketio_session_feed_losses_total",
        [],
        increment(1)
    );
}

/// A socket was seen to be gone, some time after the report that ended its session.
pub(crate) fn disconnected(reason: &'static str, reported: Stopwatch) {
    if let Some(seconds) = reported.seconds() {
        emit!(
            histogram,
            "socketio_session_report_to_disconnect_seconds",
            [reason],
            record(seconds)
        );
    }
}
