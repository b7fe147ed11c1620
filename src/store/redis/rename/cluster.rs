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
    record: RenamedRecord,
) -> Result<bool, StoreError> {
    let driver = driver.clone();
    let renaming = tokio::spawn(async move {
        let copying = Copying {
            driver: &*driver,
            new: &new,
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
    /// What is stored under the old id.
    stored: Bytes,
    /// What is stored under the new one.
    copy: Bytes,
    ttl: Option<Duration>,
}

/// A rename, and what all of its steps need.
struct Copying<'a> {
    driver: &'a dyn Driver,
    new: &'a str,
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
            Ok(true) => Ok(()),
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

    /// Removes the copy if the server can be reached. It expires otherwise.
    async fn remove(&self, copy: &Bytes) {
        let _ = delete_if(self.driver, self.new, copy).await;
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
mod tests {
    use std::collections::HashMap;

    use futures_util::stream::BoxStream;
    use parking_lot::Mutex;

    use super::{
        super::super::driver::{Event, Master, Reply},
        *,
    };

    /// What happens at each deletion of the old key.
    #[derive(Clone, Copy, PartialEq)]
    enum Fault {
        /// Another program writes before.
        Written,
        /// The answer is lost.
        Lost,
        /// The answer is lost, and the second attempt is refused.
        LostThenRefused,
        /// The session was touched after it was copied, and the touch of its copy is refused.
        Touched,
    }

    struct Cluster {
        keys: Mutex<HashMap<String, Bytes>>,
        fault: Fault,
    }

    fn cluster(fault: Fault) -> Arc<dyn Driver> {
        let keys = Mutex::new([("old".to_owned(), Bytes::from("0"))].into());
        Arc::new(Cluster { keys, fault })
    }

    #[async_trait::async_trait]
    impl Driver for Cluster {
        fn is_clustered(&self) -> bool {
            true
        }

        fn is_connected(&self) -> bool {
            true
        }

        fn has_push(&self) -> bool {
            true
        }

        fn masters(&self) -> Vec<Master> {
            Vec::new()
        }

        fn events(&self) -> BoxStream<'static, Event> {
            unreachable!("a rename needs no events")
        }

        async fn track(&self, _: &Master) -> Result<(), DriverError> {
            unreachable!("a rename tracks nothing")
        }

        async fn get(&self, key: &str) -> Result<Option<Bytes>, DriverError> {
            Ok(self.keys.lock().get(key).cloned())
        }

        async fn get_and_ttl(&self, _: &str) -> Result<(Option<Bytes>, i64), DriverError> {
            unreachable!("a rename reads in scripts")
        }

        async fn set(
            &self,
            key: &str,
            value: Bytes,
            _: Option<Duration>,
            _: SetIf,
        ) -> Result<bool, DriverError> {
            Ok(self.keys.lock().insert(key.to_owned(), value).is_none())
        }

        async fn delete(&self, _: &str) -> Result<bool, DriverError> {
            unreachable!("a rename deletes in scripts")
        }

        async fn eval(
            &self,
            script: &'static str,
            names: &[&str],
            args: Vec<Bytes>,
        ) -> Result<Reply, DriverError> {
            if self.fault == Fault::Touched && script != FENCE && script != DELETE_IF {
                return Err(DriverError::reply("OOM command not allowed"));
            }
            let mut keys = self.keys.lock();
            let key = names[0].to_owned();
            let deletes_old = script == DELETE_IF && key == "old";
            if deletes_old && self.fault == Fault::LostThenRefused && !keys.contains_key("old") {
                return Err(DriverError::reply("LOADING the server is starting"));
            }
            if deletes_old && self.fault == Fault::Written {
                keys.insert(key.clone(), format!("{:x}", fastrand::u64(..)).into());
            }
            let stored = keys.get(&key).cloned();
            let swap = match &stored {
                None => 0,
                Some(stored) if script != FENCE && stored == &args[0] => 2,
                Some(_) => 1,
            };
            // A save gives a second argument.
            if let (2, Some(value)) = (swap, args.get(1)) {
                keys.insert(key, value.clone());
                return Ok(Reply::Integer(2));
            }
            if swap == 2 && script == DELETE_IF {
                keys.remove(&key);
            }
            if deletes_old && matches!(self.fault, Fault::Lost | Fault::LostThenRefused) {
                return Err(DriverError::timeout());
            }
            let left = match (self.fault, script == FENCE) {
                (Fault::Touched, true) => 1_000,
                (Fault::Touched, false) => 9_000,
                _ => -1,
            };
            let mut reply = vec![Reply::Integer(swap), Reply::Integer(left)];
            reply.extend(stored.map(Reply::Bytes));
            Ok(Reply::List(reply))
        }
    }

    async fn renamed(cluster: &Arc<dyn Driver>) -> StoreErrorKind {
        let renamed = rename(cluster, "old".into(), "new".into(), None).await;
        renamed.unwrap_err().kind()
    }

    #[tokio::test]
    async fn it_fails_while_another_program_writes_and_leaves_the_session() {
        let cluster = cluster(Fault::Written);
        assert_eq!(renamed(&cluster).await, StoreErrorKind::Unavailable);
        assert!(cluster.get("old").await.unwrap().is_some());
        assert!(cluster.get("new").await.unwrap().is_none());
    }

    #[tokio::test]
    async fn once_the_old_key_is_deleted_it_does_not_fail_any_more() {
        let cluster = cluster(Fault::Touched);
        let renamed = rename(&cluster, "old".into(), "new".into(), None).await;
        assert!(renamed.unwrap());
        assert!(cluster.get("old").await.unwrap().is_none());
        assert!(cluster.get("new").await.unwrap().is_some());
    }

    #[tokio::test]
    async fn the_copy_stays_when_it_may_be_the_session() {
        for fault in [Fault::Lost, Fault::LostThenRefused] {
            let cluster = cluster(fault);
            assert_eq!(renamed(&cluster).await, StoreErrorKind::Timeout);
            assert!(cluster.get("old").await.unwrap().is_none());
            assert!(cluster.get("new").await.unwrap().is_some());
        }
    }
}
