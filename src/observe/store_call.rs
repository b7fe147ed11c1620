//! A call of the store, for its counter and its histogram.

use super::{metrics::emit, stopwatch::Stopwatch};

/// Counts a call of the store when it ends. A call whose caller went away counts as `dropped`.
pub(crate) struct StoreCall {
    call: &'static str,
    outcome: &'static str,
    began: Stopwatch,
}

impl StoreCall {
    pub(crate) fn begin(call: &'static str) -> Self {
        Self {
            call,
            outcome: "dropped",
            began: Stopwatch::start(),
        }
    }

    pub(crate) fn end(mut self, outcome: &'static str) {
        self.outcome = outcome;
    }
}

impl Drop for StoreCall {
    fn drop(&mut self) {
        let (call, outcome) = (self.call, self.outcome);
        emit!(
            counter,
            "socketio_session_store_calls_total",
            [call, outcome],
            increment(1)
        );
        if let Some(seconds) = self.began.seconds() {
            emit!(
                histogram,
                "socketio_session_store_call_seconds",
                [call],
                record(seconds)
            );
        }
    }
}
