//! Numbers that are shown as gauges.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::metrics::emit;

/// Makes a constructor for each gauge, because the name of a metric is a literal.
macro_rules! gauges {
    ($($(#[$doc:meta])* $which:ident, $new:ident => $name:literal;)*) => {
        #[derive(Debug, Clone, Copy)]
        enum Which {
            $($which,)*
        }

        impl Gauge {
            $($(#[$doc])* pub(crate) fn $new() -> Self {
                Self { which: Which::$which, value: AtomicUsize::new(0) }
            })*
        }

        #[allow(clippy::cast_precision_loss, reason = "these numbers are far below 2^52")]
        fn increment(which: Which, by: usize) {
            match which {
                $(Which::$which => emit!(gauge, $name, increment(by as f64)),)*
            }
        }

        #[allow(clippy::cast_precision_loss, reason = "these numbers are far below 2^52")]
        fn decrement(which: Which, by: usize) {
            match which {
                $(Which::$which => emit!(gauge, $name, decrement(by as f64)),)*
            }
        }
    };
}

/// A number of this bridge. It is shown as its share of a gauge, by increments and decrements, because
/// several bridges share one recorder. The drop takes the share back.
#[derive(Debug)]
pub(crate) struct Gauge {
    which: Which,
    value: AtomicUsize,
}

gauges! {
    LiveSessions, live_sessions => "socketio_session_live_sessions";
    LiveSockets, live_sockets => "socketio_session_live_sockets";
    BoundTransports, bound_transports => "socketio_session_bound_transports";
    PendingDeletions, pending_deletions => "socketio_session_pending_deletions";
}

impl Gauge {
    pub(crate) fn get(&self) -> usize {
        self.value.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, number: usize) {
        if number > 0 {
            self.value.fetch_add(number, Ordering::Relaxed);
            increment(self.which, number);
        }
    }

    pub(crate) fn sub(&self, number: usize) {
        if number > 0 {
            self.value.fetch_sub(number, Ordering::Relaxed);
            decrement(self.which, number);
        }
    }
}

impl Drop for Gauge {
    fn drop(&mut self) {
        let share = *self.value.get_mut();
        if share > 0 {
            decrement(self.which, share);
        }
    }
}
