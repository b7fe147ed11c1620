//! Renames in a cluster, where the two keys are on two servers.
//!
//! ```text
//! read the value, set a fence ──▶ copy ──▶ delete the old key if its value is the copied one ──▶ done
//!                                  ▲              │ it differs    │ missing     │ no answer
//!                                  └── read again ┘               ▼             ▼
//!                                               delete the copy; not found   an error
//! ```
//!
//! The old key is deleted only while the copy exists and is equal, so that the session can be found
//! under one of the two at every moment. The fence is a key beside the old one that lets saves of this
//! crate wait, until it expires or the old key is deleted; without it, a session that is saved all the
//! time could not be renamed. It is not needed for safety: the deletion compares.
//!
//! The mark that tells other nodes of a replaced session comes and goes with the copy, because they may miss
//! the old key from its deletion on.
//!
//! When the answer to the deletion is lost, the deletion may have been run, or may be run later; then the
//! copy stays, because it may be the session. Its id was given to no client, and it expires with the
//! session.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::{
    super::{
        commands::{self, MAX_TTL, Stored, Swap},
        driver::{Driver, DriverError, Failure, SetIf},
        error::{failed, taken},
        own_keys::rename_fence,
    },
    fence::{ATTEMPTS, FENCE, Outcome, RenamedRecord, outcome, written_all_the_time},
};
use crate::{
    observe::target,
    store::{StoreError, StoreErrorKind},
};

/// Deletes a key and its fence if its value is the expected one, and returns its remaining life.
/// Otherwise returns its value, too.
const DELETE_IF: &str = "
    local stored = redis.call('GET', KEYS[1])
    if not stored then return {0, -2} end
    local left = redis.call('PTTL', KEYS[1])
    if stored ~= ARGV[1] then return {1, left, stored} end
    redis.call('DEL', KEYS[1], KEYS[2])
    return {2, left}";

/// Runs to its end, even when the caller's future is dropped: half of it would leave the session under
/// both ids.
pub(in crate::store::redis) async fn rename(
    driver: &Arc<dyn Driver>,
    old: String,
    new: String,
    mark: String,
    record: RenamedRecord,
) -> Result<bool, StoreError> {
    let driver = driver.clone();
    let renaming = tokio::spawn(async move {
        let copying = Copying {
            driver: &*driver,
            new: &new,
            mark: &mark,
            record: &record,
        };
        copying.copy_then_delete(&old).await
    });
    renaming
        .await
        .unwrap_or_else(|error| Err(StoreError::new(StoreErrorKind::Other, error)))
}

/// A copy of the session that is under the new id.
struct Copied {
    /// Record under the old id.
    stored: Bytes,
    /// Record under the new one.
    copy: Bytes,
    ttl: Option<Duration>,
}

/// A rename, and what all of its steps need.
struct Copying<'a> {
    driver: &'a dyn Driver,
    new: &'a str,
    mark: &'a str,
    record: &'a RenamedRecord,
}

impl Copying<'_> {
    async fn copy_then_delete(&self, old: &str) -> Result<bool, StoreError> {
        let fence = [old, &rename_fence(old)];
        let fenced = self.driver.eval(FENCE, &fence, Vec::new()).await;
        let Outcome::Stored(stored) = outcome(&fenced.map_err(failed)?) else {
            return Ok(false);
        };
        let mut copied = self.renamed(stored)?;
        self.copy(&copied).await?;
        for _ in 0..ATTEMPTS {
            match delete_surely(self.driver, old, &copied.stored).await {
                Ok(Outcome::Deleted(left)) => {
                    self.finish(&copied, left).await;
                    return Ok(true);
                }
                Ok(Outcome::Stored(stored)) => copied = self.update(&copied, stored).await?,
                // It ended meanwhile.
                Ok(Outcome::Missing) => {
                    self.unmark().await;
                    let removed = delete_if(self.driver, self.new, &copied.copy).await;
                    return removed.map(|_| false).map_err(failed);
                }
                Err(error) => {
                    // A refusal proves that nothing was deleted; an error that is not known does not.
                    if error.is_reply() && error.failure() != Failure::Other {
                        self.remove(&copied.copy).await;
                    }
                    return Err(failed(error));
                }
            }
        }
        self.remove(&copied.copy).await;
        Err(written_all_the_time())
    }

    fn renamed(&self, (stored, ttl): Stored) -> Result<Copied, StoreError> {
        let copy = match self.record {
            Some(renamed) => renamed(&stored)?,
            None => stored.clone(),
        };
        Ok(Copied { stored, copy, ttl })
    }

    async fn copy(&self, copied: &Copied) -> Result<(), StoreError> {
        let copy = copied.copy.clone();
        let set = self
            .driver
            .set(self.new, copy, copied.ttl, SetIf::Missing)
            .await;
        match set {
            Ok(true) => {
                if let Err(error) = commands::mark(self.driver, self.mark).await {
                    tracing::debug!(
                        target: target::STORE,
                        error = &failed(error) as &dyn std::error::Error,
                        "a renamed session could not be marked as replaced"
                    );
                }
                Ok(())
            }
            Ok(false) => Err(taken()),
            Err(error) => {
                // It may exist all the same.
                self.remove(&copied.copy).await;
                Err(failed(error))
            }
        }
    }

    /// Brings the copy up to date with what is stored under the old id now. Removes it if that fails.
    async fn update(&self, copied: &Copied, stored: Stored) -> Result<Copied, StoreError> {
        let next = match self.renamed(stored) {
            Ok(next) => next,
            Err(error) => {
                self.remove(&copied.copy).await;
                return Err(error);
            }
        };
        let (old, new) = (copied.copy.clone(), next.copy.clone());
        let updated = match commands::save(self.driver, self.new, old, new, true).await {
            Ok(Swap::Done) => self.extend(next.ttl).await,
            Ok(Swap::Missing | Swap::Differs) => Err(taken()),
            Err(error) => Err(failed(error)),
        };
        if let Err(error) = updated {
            self.remove(&copied.copy).await;
            self.remove(&next.copy).await;
            return Err(error);
        }
        Ok(next)
    }

    /// Extends the life of the copy if the session was touched after it was copied. The rename is complete,
    /// so it does not fail any more.
    async fn finish(&self, copied: &Copied, left: Option<Duration>) {
        let was_touched = copied
            .ttl
            .is_some_and(|ttl| left.is_none_or(|left| left > ttl));
        if was_touched && let Err(error) = self.extend(left).await {
            tracing::warn!(
                target: target::STORE,
                error = &error as &dyn std::error::Error,
                "a renamed session lives as long as before its last touch"
            );
        }
    }

    /// Lets the copy live as long as the session.
    async fn extend(&self, left: Option<Duration>) -> Result<(), StoreError> {
        let touched = commands::touch(self.driver, self.new, left.unwrap_or(MAX_TTL)).await;
        touched.map(|_| ()).map_err(failed)
    }

    /// Removes the copy and the mark if the servers can be reached. They expire otherwise.
    async fn remove(&self, copy: &Bytes) {
        self.unmark().await;
        let _ = delete_if(self.driver, self.new, copy).await;
    }

    async fn unmark(&self) {
        let _ = self.driver.delete(self.mark).await;
    }
}

/// Deletes a key if it has this value; asks a second time when the answer is lost. Only the value of the
/// key, or its deletion, is an answer then. A key that is missing was deleted by the first call, or its
/// session ended, and an error proves nothing about the first call: the first error stands.
async fn delete_surely(
    driver: &dyn Driver,
    key: &str,
    value: &Bytes,
) -> Result<Outcome, DriverError> {
    match delete_if(driver, key, value).await {
        Err(lost) if !lost.is_reply() => match delete_if(driver, key, value).await {
            Ok(Outcome::Missing) | Err(_) => Err(lost),
            answered => answered,
        },
        answered => answered,
    }
}

async fn delete_if(driver: &dyn Driver, key: &str, value: &Bytes) -> Result<Outcome, DriverError> {
    let keys = [key, &rename_fence(key)];
    let reply = driver.eval(DELETE_IF, &keys, vec![value.clone()]).await?;
    Ok(outcome(&reply))
}

#[cfg(test)]
#[path = "cluster_tests.rs"]
mod tests;
