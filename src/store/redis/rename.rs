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
    commands::{self, MAX_TTL, Stored, Swap, life},
    driver::{Driver, DriverError, Reply, SetIf},
    error::{failed, taken},
    own_keys::rename_fence,
};
use crate::store::{StoreError, StoreErrorKind};

/// Maximum number of attempts when other programs write the session at the same time.
const ATTEMPTS: usize = 20;

/// Sets the fence, and returns the value and its remaining life.
const FENCE: &str = "
    local stored = redis.call('GET', KEYS[1])
    if not stored then return {0, -2} end
    redis.call('SET', KEYS[2], '', 'PX', 2000)
    return {1, redis.call('PTTL', KEYS[1]), stored}";

/// Deletes a key and its fence if its value is the expected one, and returns its remaining life.
/// Otherwise returns its value, too.
const DELETE_IF: &str = "
    local stored = redis.call('GET', KEYS[1])
    if not stored then return {0, -2} end
    local left = redis.call('PTTL', KEYS[1])
    if stored ~= ARGV[1] then return {1, left, stored} end
    redis.call('DEL', KEYS[1], KEYS[2])
    return {2, left}";

/// The result of [`FENCE`] and [`DELETE_IF`].
enum Outcome {
    Missing,
    /// The value is this one, and was left as it is.
    Stored(Stored),
    /// It was deleted, with this remaining life.
    Deleted(Option<Duration>),
}

/// Runs to its end, even when the caller's future is dropped: half of it would leave the session under
/// both ids.
pub(super) async fn rename(
    driver: &Arc<dyn Driver>,
    old: String,
    new: String,
) -> Result<bool, StoreError> {
    let driver = driver.clone();
    let renaming = tokio::spawn(async move { copy_then_delete(&*driver, &old, &new).await });
    renaming
        .await
        .unwrap_or_else(|error| Err(StoreError::new(StoreErrorKind::Other, error)))
}

async fn copy_then_delete(driver: &dyn Driver, old: &str, new: &str) -> Result<bool, StoreError> {
    let fence = [old, &rename_fence(old)];
    let fenced = driver.eval(FENCE, &fence, Vec::new()).await;
    let Outcome::Stored(mut copied) = outcome(&fenced.map_err(failed)?) else {
        return Ok(false);
    };
    copy(driver, new, &copied).await?;
    for _ in 0..ATTEMPTS {
        match delete_surely(driver, old, &copied.0).await {
            Ok(Outcome::Deleted(left)) => {
                // It was touched after it was copied.
                if copied
                    .1
                    .is_some_and(|ttl| left.is_none_or(|left| left > ttl))
                {
                    extend(driver, new, left).await?;
                }
                return Ok(true);
            }
            Ok(Outcome::Stored(stored)) => {
                update(driver, new, &copied, &stored).await?;
                copied = stored;
            }
            // It ended meanwhile.
            Ok(Outcome::Missing) => {
                let removed = delete_if(driver, new, &copied.0).await;
                return removed.map(|_| false).map_err(failed);
            }
            Err(error) => {
                // A reply proves that nothing was deleted.
                if error.is_reply() {
                    remove(driver, new, &copied).await;
                }
                return Err(failed(error));
            }
        }
    }
    remove(driver, new, &copied).await;
    let why = "another program wrote the session all the time while it was renamed";
    Err(StoreError::new(StoreErrorKind::Unavailable, why))
}

/// Deletes a key if it has this value; asks a second time when the answer is lost. A key that is missing
/// then was deleted by the first call, or its session ended, so that the first error stands.
async fn delete_surely(
    driver: &dyn Driver,
    key: &str,
    value: &Bytes,
) -> Result<Outcome, DriverError> {
    match delete_if(driver, key, value).await {
        Err(lost) if !lost.is_reply() => match delete_if(driver, key, value).await? {
            Outcome::Missing => Err(lost),
            outcome => Ok(outcome),
        },
        answered => answered,
    }
}

async fn copy(driver: &dyn Driver, new: &str, session: &Stored) -> Result<(), StoreError> {
    let (value, ttl) = session;
    match driver.set(new, value.clone(), *ttl, SetIf::Missing).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(taken()),
        Err(error) => {
            // It may exist all the same.
            remove(driver, new, session).await;
            Err(failed(error))
        }
    }
}

/// Brings the copy up to date with what is stored under the old id now. Removes it if that fails.
async fn update(
    driver: &dyn Driver,
    new: &str,
    copied: &Stored,
    stored: &Stored,
) -> Result<(), StoreError> {
    let saved = commands::save(driver, new, copied.0.clone(), stored.0.clone()).await;
    let updated = match saved {
        Ok(Swap::Done) => extend(driver, new, stored.1).await,
        Ok(Swap::Missing | Swap::Differs) => Err(taken()),
        Err(error) => Err(failed(error)),
    };
    if updated.is_err() {
        remove(driver, new, copied).await;
        remove(driver, new, stored).await;
    }
    updated
}

/// Lets the copy live as long as the session.
async fn extend(driver: &dyn Driver, new: &str, left: Option<Duration>) -> Result<(), StoreError> {
    let touched = commands::touch(driver, new, left.unwrap_or(MAX_TTL)).await;
    touched.map(|_| ()).map_err(failed)
}

/// Removes the copy if the server can be reached. It expires otherwise.
async fn remove(driver: &dyn Driver, new: &str, copied: &Stored) {
    let _ = delete_if(driver, new, &copied.0).await;
}

async fn delete_if(driver: &dyn Driver, key: &str, value: &Bytes) -> Result<Outcome, DriverError> {
    let keys = [key, &rename_fence(key)];
    let reply = driver.eval(DELETE_IF, &keys, vec![value.clone()]).await?;
    Ok(outcome(&reply))
}

fn outcome(reply: &Reply) -> Outcome {
    let Reply::List(reply) = reply else {
        return Outcome::Missing;
    };
    let left = life(reply.get(1).map_or(-1, Reply::integer));
    match (reply.first().map(Swap::of), reply.get(2)) {
        (Some(Swap::Done), _) => Outcome::Deleted(left),
        (Some(Swap::Differs), Some(Reply::Bytes(value))) => Outcome::Stored((value.clone(), left)),
        _ => Outcome::Missing,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use futures_util::stream::BoxStream;
    use parking_lot::Mutex;

    use super::{
        super::driver::{Event, Master},
        *,
    };

    /// What happens at each deletion of the old key.
    #[derive(Clone, Copy, PartialEq)]
    enum Fault {
        /// Another program writes before.
        Written,
        /// The answer is lost.
        Lost,
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
            let mut keys = self.keys.lock();
            let key = names[0].to_owned();
            let deletes_old = script == DELETE_IF && key == "old";
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
            if deletes_old && self.fault == Fault::Lost {
                return Err(DriverError::timeout());
            }
            let mut reply = vec![Reply::Integer(swap), Reply::Integer(-1)];
            reply.extend(stored.map(Reply::Bytes));
            Ok(Reply::List(reply))
        }
    }

    async fn renamed(cluster: &Arc<dyn Driver>) -> StoreErrorKind {
        let renamed = rename(cluster, "old".into(), "new".into()).await;
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
    async fn the_copy_stays_when_it_may_be_the_session() {
        let cluster = cluster(Fault::Lost);
        assert_eq!(renamed(&cluster).await, StoreErrorKind::Timeout);
        assert!(cluster.get("old").await.unwrap().is_none());
        assert!(cluster.get("new").await.unwrap().is_some());
    }
}
