//! The settings of a bridge for its live sessions.

use std::{
    error::Error,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::future::BoxFuture;

use super::touch_every::TouchEvery;
use crate::observe::target;

pub(crate) type VerifyError = Box<dyn Error + Send + Sync>;
/// Whether a session with this data may go on.
pub(crate) type Verify<T> =
    dyn Fn(Arc<T>) -> BoxFuture<'static, Result<bool, VerifyError>> + Send + Sync;
/// Lifetime of a session with this data after it was created or touched.
pub(crate) type TtlOf<T> = dyn Fn(&T) -> Duration + Send + Sync;
/// When a session with this data ends at the latest.
pub(crate) type MaxLifetime<T> = dyn Fn(&T) -> Option<SystemTime> + Send + Sync;

/// Settings of a bridge for its live sessions.
pub(crate) struct Config<T> {
    pub(crate) ttl: Duration,
    pub(crate) ttl_of: Option<Arc<TtlOf<T>>>,
    pub(crate) max_lifetime: Option<Arc<MaxLifetime<T>>>,
    pub(crate) revalidate_every: Duration,
    pub(crate) max_stale: Duration,
    /// Interval at which activity touches a session; `None`: never.
    pub(crate) touch_every: Option<TouchEvery>,
    pub(crate) verify: Option<Arc<Verify<T>>>,
    /// Other programs write the records, so one that stops decoding ends its sockets at once.
    pub(crate) foreign_records: bool,
}

impl<T> Config<T> {
    /// Lifetime of a session with this data from now on, when it is created or touched.
    pub(crate) fn ttl_of(&self, data: &T) -> Duration {
        self.capped(self.uncapped_ttl_of(data), data)
    }

    /// As [`ttl_of`](Self::ttl_of), whatever the absolute lifetime is. If the application's closure
    /// panics, the `ttl` of the bridge.
    pub(crate) fn uncapped_ttl_of(&self, data: &T) -> Duration {
        let Some(ttl_of) = &self.ttl_of else {
            return self.ttl;
        };
        caught("`ttl_of`", || ttl_of(data)).unwrap_or(self.ttl)
    }

    /// A time to live that respects the absolute lifetime of the session.
    pub(crate) fn capped(&self, ttl: Duration, data: &T) -> Duration {
        match self.latest_end(data) {
            None => ttl,
            Some(latest) => {
                let left = latest.duration_since(SystemTime::now());
                ttl.min(left.unwrap_or(Duration::ZERO))
            }
        }
    }

    /// When the session ends at the latest. If the application's closure panics, it is over: a
    /// session without its limit could live longer than it may.
    pub(crate) fn latest_end(&self, data: &T) -> Option<SystemTime> {
        let latest = self.max_lifetime.as_ref()?;
        caught("`max_lifetime`", || latest(data)).unwrap_or(Some(SystemTime::UNIX_EPOCH))
    }

    /// `revalidate_every`, up to a fifth more or less, so that sessions that came together don't
    /// stay together.
    pub(crate) fn recheck_delay(&self) -> Duration {
        self.revalidate_every.mul_f64(0.8 + 0.4 * fastrand::f64())
    }
}

/// Calls a closure of the application; `None` when it panics.
fn caught<R>(what: &str, call: impl FnOnce() -> R) -> Option<R> {
    let called = catch_unwind(AssertUnwindSafe(call));
    if called.is_err() {
        tracing::error!(target: target::CALLBACK, callback = what, "a callback panicked");
    }
    called.ok()
}

impl<T> fmt::Debug for Config<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("ttl", &self.ttl)
            .field("revalidate_every", &self.revalidate_every)
            .field("max_stale", &self.max_stale)
            .field("touch_every", &self.touch_every)
            .finish_non_exhaustive()
    }
}
