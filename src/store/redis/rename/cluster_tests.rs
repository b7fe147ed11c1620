//! Renames in a cluster that are interrupted at each of their steps.

use std::collections::HashMap;

use futures_util::stream::BoxStream;
use parking_lot::Mutex;

use super::{
    super::super::driver::{Event, Master, Reply, SharedKey},
    *,
};

/// Event at each deletion of the old key.
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

    async fn get_and_ttl(&self, _: &SharedKey) -> Result<(Option<Bytes>, i64), DriverError> {
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

    async fn delete(&self, key: &str) -> Result<bool, DriverError> {
        Ok(self.keys.lock().remove(key).is_some())
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
    let renamed = rename(cluster, "old".into(), "new".into(), "mark".into(), None).await;
    renamed.unwrap_err().kind()
}

#[tokio::test]
async fn it_fails_while_another_program_writes_and_leaves_the_session() {
    let cluster = cluster(Fault::Written);
    assert_eq!(renamed(&cluster).await, StoreErrorKind::Unavailable);
    assert!(cluster.get("old").await.unwrap().is_some());
    assert!(cluster.get("new").await.unwrap().is_none());
    assert!(cluster.get("mark").await.unwrap().is_none());
}

#[tokio::test]
async fn once_the_old_key_is_deleted_it_does_not_fail_any_more() {
    let cluster = cluster(Fault::Touched);
    let renamed = rename(&cluster, "old".into(), "new".into(), "mark".into(), None).await;
    assert!(renamed.unwrap());
    assert!(cluster.get("old").await.unwrap().is_none());
    assert!(cluster.get("new").await.unwrap().is_some());
    assert!(cluster.get("mark").await.unwrap().is_some());
}

#[tokio::test]
async fn the_copy_stays_when_it_may_be_the_session() {
    for fault in [Fault::Lost, Fault::LostThenRefused] {
        let cluster = cluster(fault);
        assert_eq!(renamed(&cluster).await, StoreErrorKind::Timeout);
        assert!(cluster.get("old").await.unwrap().is_none());
        assert!(cluster.get("new").await.unwrap().is_some());
        assert!(cluster.get("mark").await.unwrap().is_some());
    }
}
