//! Writes in the background while the server hangs.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{FutureExt as _, stream::BoxStream};
use tokio::{runtime::Handle, sync::Semaphore, task::yield_now};

use super::background::{Background, MAX_CONCURRENT, MAX_WAITING};
use crate::{
    id::SessionId,
    store::redis::{
        codec::Records,
        connections::Connections,
        driver::{Driver, DriverError, Event, Master, Reply, SetIf, SharedKey},
        sessions::Sessions,
    },
};

const HOUR: Duration = Duration::from_hours(1);

/// A server that answers a script for each permit.
struct Hanging {
    scripts: AtomicUsize,
    answers: Semaphore,
}

#[async_trait]
impl Driver for Hanging {
    fn is_clustered(&self) -> bool {
        false
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
        unreachable!("the index needs no events")
    }

    async fn track(&self, _: &Master) -> Result<(), DriverError> {
        unreachable!("the index tracks nothing")
    }

    async fn get(&self, _: &str) -> Result<Option<Bytes>, DriverError> {
        unreachable!("the index is read in scripts")
    }

    async fn get_and_ttl(&self, _: &SharedKey) -> Result<(Option<Bytes>, i64), DriverError> {
        unreachable!("the index is read in scripts")
    }

    async fn set(
        &self,
        _: &str,
        _: Bytes,
        _: Option<Duration>,
        _: SetIf,
    ) -> Result<bool, DriverError> {
        unreachable!("the index is written in scripts")
    }

    async fn delete(&self, _: &str) -> Result<bool, DriverError> {
        unreachable!("the index is written in scripts")
    }

    async fn eval(&self, _: &'static str, _: &[&str], _: Vec<Bytes>) -> Result<Reply, DriverError> {
        self.scripts.fetch_add(1, Ordering::SeqCst);
        self.answers.acquire().await.unwrap().forget();
        let entry = || Reply::Bytes(Bytes::from_static(b"1,1"));
        let life = i64::try_from((HOUR * 2).as_millis()).unwrap();
        Ok(Reply::List(vec![
            Reply::Integer(life),
            entry(),
            entry(),
            entry(),
        ]))
    }
}

fn hanging() -> (Arc<Hanging>, Arc<Background<String>>) {
    let server = Arc::new(Hanging {
        scripts: AtomicUsize::new(0),
        answers: Semaphore::new(0),
    });
    let connections = Arc::new(Connections::new(vec![server.clone()], None));
    let sessions = Sessions::new(connections, "session:".into(), Arc::new(Records::default()));
    (server, Arc::new(Background::new(sessions)))
}

/// Runs all tasks until none of them goes on.
async fn settle() {
    settle_within(10 * MAX_WAITING).await;
}

async fn settle_within(turns: usize) {
    for _ in 0..turns {
        yield_now().await;
    }
}

fn renew(index: &Arc<Background<String>>, nth: usize) {
    let id: SessionId = format!("id-{nth}").parse().unwrap();
    index.renew(format!("user {nth}"), &id, Some(HOUR));
}

/// Also when sessions are loaded all the time, the tasks that wait are bounded, and so are the scripts that
/// run. What was dropped is written by a later load.
#[tokio::test(start_paused = true)]
async fn writes_that_wait_for_a_server_that_hangs_are_bounded() {
    let (server, index) = hanging();
    let scripts = || server.scripts.load(Ordering::SeqCst);
    for nth in 0..3 * MAX_WAITING {
        renew(&index, nth);
    }
    settle().await;
    assert_eq!(scripts(), MAX_CONCURRENT);
    assert_eq!(index.room.available_permits(), 0);
    let tasks = Handle::current().metrics().num_alive_tasks();
    assert!(tasks <= MAX_WAITING + 1, "{tasks} tasks");

    server.answers.add_permits(10 * MAX_WAITING);
    settle().await;
    assert_eq!(scripts(), MAX_WAITING);
    assert_eq!(index.room.available_permits(), MAX_WAITING);
    // One that was written is not written again, and one that was dropped is, after a while.
    let (written, dropped) = (0, 2 * MAX_WAITING);
    renew(&index, written);
    renew(&index, dropped);
    settle().await;
    assert_eq!(scripts(), MAX_WAITING);
    tokio::time::advance(Duration::from_secs(5)).await;
    renew(&index, written);
    renew(&index, dropped);
    settle().await;
    assert_eq!(scripts(), MAX_WAITING + 1);
}

#[tokio::test(start_paused = true)]
async fn a_flush_waits_for_all_of_them() {
    let (server, index) = hanging();
    index.flush().await;
    for nth in 0..2 * MAX_CONCURRENT {
        renew(&index, nth);
    }
    // One that fails by a panic.
    index.spawn(async { panic!("a write that panics") });
    let mut flush = pin!(index.flush());
    for _ in 0..2 * MAX_CONCURRENT {
        settle_within(4 * MAX_CONCURRENT).await;
        assert!(flush.as_mut().now_or_never().is_none());
        server.answers.add_permits(1);
    }
    flush.await;
    assert_eq!(server.scripts.load(Ordering::SeqCst), 2 * MAX_CONCURRENT);
}
