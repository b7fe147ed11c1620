//! The marks that a flush of the database deletes.
//!
//! There is one at each server. Its value is another one each time that it is set: one node may set it
//! again before another node has noticed that it was deleted.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::time::timeout;

use super::super::{
    driver::{Driver, DriverError, Failure, Master, SetIf},
    own_keys::flush_mark,
};
use crate::observe::target;

/// The state of the marks.
pub(super) struct Marks {
    of: HashMap<Master, Mark>,
    /// Whether the log says already that the marks are refused.
    warned: Arc<AtomicBool>,
}

struct Mark {
    key: String,
    /// Empty while it is unknown.
    value: Bytes,
}

impl Marks {
    pub(super) fn new(warned: Arc<AtomicBool>) -> Self {
        let of = HashMap::new();
        Self { of, warned }
    }

    /// Whether a mark is another one than the last time. Sets those that are missing.
    ///
    /// # Errors
    ///
    /// When a server doesn't answer. An error reply is an answer.
    pub(super) async fn have_changed(
        &mut self,
        driver: &dyn Driver,
        masters: &[Master],
    ) -> Result<bool, DriverError> {
        self.of.retain(|master, _| masters.contains(master));
        for master in masters {
            if !self.of.contains_key(master) {
                let (key, value) = (flush_mark(master), Bytes::new());
                self.of.insert(master.clone(), Mark { key, value });
            }
        }
        let values = self.of.values_mut().map(async |mark| {
            let value = in_time(driver, set_and_get(driver, &mark.key)).await?;
            let changed = mark.value != value;
            mark.value = value;
            Ok::<_, DriverError>(changed)
        });
        let mut any = false;
        for changed in join_all(values).await {
            match changed {
                Ok(changed) => any |= changed,
                Err(error) if error.is_reply() => self.log_refusal(&error),
                Err(error) => return Err(error),
            }
        }
        Ok(any)
    }

    fn log_refusal(&self, error: &DriverError) {
        let refused = error.failure() == Failure::Denied;
        if refused && !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                target: target::FEED,
                error = error.cause(),
                "the Redis user may not use the keys [socketioxide-session]*, \
                 so that a flushed database is not noticed at once"
            );
        }
    }
}

/// Sets a mark if it is missing, and returns its value. The `SET` finds a replica, too.
async fn set_and_get(driver: &dyn Driver, key: &str) -> Result<Bytes, DriverError> {
    // The second time when the flush came between the two commands.
    for _ in 0..2 {
        let value = format!("{:032x}", fastrand::u128(..));
        let set = driver.set(key, value.into(), None, SetIf::Missing).await;
        if let Err(error) = set
            && !matches!(error.failure(), Failure::NotNow | Failure::Demoted)
        {
            return Err(error);
        }
        if let Some(value) = driver.get(key).await? {
            return Ok(value);
        }
    }
    Ok(Bytes::new())
}

/// Calls a server, which is to answer in time.
pub(super) async fn in_time<R>(
    driver: &dyn Driver,
    call: impl Future<Output = Result<R, DriverError>>,
) -> Result<R, DriverError> {
    let called = timeout(driver.patience(), call).await;
    called.unwrap_or_else(|_elapsed| Err(DriverError::timeout()))
}
