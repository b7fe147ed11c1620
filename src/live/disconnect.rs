//! When the sockets of an ended session are disconnected.

use std::{future::Future, pin::Pin, time::Duration};

use super::reason::EndReason;

/// Time after which the sockets of a replaced session are disconnected at the latest. By then the
/// client has its new credential.
const INERT: Duration = Duration::from_secs(1);
/// Time after the end of the answer that carried the new credential.
const AFTER_ANSWER: Duration = Duration::from_millis(200);

/// When retired sockets are disconnected. Until then they are inert.
pub(crate) enum Disconnect {
    Now,
    /// When this future ends; what it returns replaces the reason.
    After(Pin<Box<dyn Future<Output = Option<EndReason>> + Send>>),
}

impl Disconnect {
    /// After a second.
    pub(crate) fn later() -> Self {
        Self::After(Box::pin(async {
            tokio::time::sleep(INERT).await;
            None
        }))
    }

    /// A moment after `answered`, but within a second.
    pub(crate) fn soon_after(answered: impl Future<Output = ()> + Send + 'static) -> Self {
        Self::After(Box::pin(async {
            let moment = async {
                answered.await;
                tokio::time::sleep(AFTER_ANSWER).await;
            };
            let _ = tokio::time::timeout(INERT, moment).await;
            None
        }))
    }

    /// As before, but no later than `ended` ends, with its reason.
    pub(super) fn at_the_latest(
        self,
        ended: impl Future<Output = EndReason> + Send + 'static,
    ) -> Self {
        let Self::After(when) = self else {
            return self;
        };
        Self::After(Box::pin(async {
            tokio::select! {
                reason = ended => Some(reason),
                decided = when => decided,
            }
        }))
    }

    /// When `decided` ends, with its reason, but within a second.
    pub(super) fn decided(decided: impl Future<Output = EndReason> + Send + 'static) -> Self {
        Self::After(Box::pin(async {
            tokio::time::timeout(INERT, decided).await.ok()
        }))
    }
}
