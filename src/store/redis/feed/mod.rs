//! The changes that the servers report.
//!
//! 1. Default-mode tracking on the connections that read: the server remembers which keys were read,
//!    and reports each once when it changes, so that every report must be followed by a load.
//!    `NOLOOP` would silence our own changes and with them disarm the key unnoticed; so it is not used,
//!    and our own changes come back as reports.
//! 2. The feed begins with [`Change::Disconnected`]. [`Change::Resync`] follows once every connection is
//!    tracked at every server.
//! 3. A heartbeat at each server notices one that hangs, one that became a replica, and a flush, which
//!    is not reported. Only a missing answer counts as a loss: an error proves that the server runs.
//! 4. A server that refuses `CLIENT TRACKING` is asked again once a minute. Until then the feed stays
//!    disconnected.

mod marks;

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt as _, future::try_join_all, stream};
use tokio::{
    runtime::Handle,
    sync::mpsc::{UnboundedSender, unbounded_channel},
    time::{Instant, MissedTickBehavior},
};

use self::marks::{Marks, in_time};
use super::driver::{Driver, DriverError, Event, Failure, Master};
use crate::{
    id::SessionId,
    lock::Mutex,
    observe::target,
    store::{Change, Changes},
};

/// Delay before tracking is tried again after a failure.
const RETRY: Duration = Duration::from_millis(500);
/// Delay before tracking is tried again after the server refused it.
const RETRY_REFUSED: Duration = Duration::from_mins(1);
/// Follows all connections.
pub(super) fn changes(
    drivers: &[Arc<dyn Driver>],
    prefix: &Arc<str>,
    heartbeat: Duration,
) -> Option<Changes> {
    let runtime = Handle::try_current().ok()?;
    let (sender, receiver) = unbounded_channel();
    let _ = sender.send(Change::Disconnected);
    let shared = Arc::new(Shared {
        down: Mutex::new(drivers.len()),
        ..Shared::default()
    });
    for driver in drivers {
        let follower = Follower {
            driver: driver.clone(),
            prefix: prefix.clone(),
            sender: sender.clone(),
            shared: shared.clone(),
            is_down: true,
            refused: None,
            tracked: HashSet::new(),
            marks: Marks::new(shared.warned_of_marks.clone()),
        };
        runtime.spawn(follower.run(heartbeat));
    }
    Some(Changes::new(stream::unfold(
        receiver,
        async |mut receiver| Some((receiver.recv().await?, receiver)),
    )))
}

/// The state that the followers of one feed share.
#[derive(Default)]
struct Shared {
    /// The number of connections that are not tracked now. `Disconnected` and `Resync` are sent under
    /// the lock: otherwise the `Resync` of one connection could overtake the loss of another, and the
    /// feed pass for complete.
    down: Mutex<usize>,
    warned_of_tracking: AtomicBool,
    warned_of_marks: Arc<AtomicBool>,
}

/// Follows one connection until the feed is dropped.
struct Follower {
    driver: Arc<dyn Driver>,
    prefix: Arc<str>,
    sender: UnboundedSender<Change>,
    shared: Arc<Shared>,
    is_down: bool,
    /// When the server refused tracking last.
    refused: Option<Instant>,
    /// The addresses of the servers that track what this connection reads.
    tracked: HashSet<String>,
    /// The marks that a flush deletes.
    marks: Marks,
}

impl Follower {
    async fn run(mut self, heartbeat: Duration) {
        let mut events = self.driver.events();
        let sender = self.sender.clone();
        let mut heartbeat = tokio::time::interval(heartbeat);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.track().await;
        loop {
            tokio::select! {
                () = sender.closed() => return,
                event = events.next() => match event {
                    Some(Event::Changed(keys)) => self.report(&keys),
                    Some(Event::Skipped) => self.skipped(),
                    Some(Event::Broken) => self.lost(),
                    Some(Event::Restored) => {
                        self.lost();
                        self.track().await;
                    }
                    None => return self.lost(),
                },
                _ = heartbeat.tick() => self.beat().await,
            }
        }
    }

    fn report(&self, keys: &[Bytes]) {
        for key in keys {
            let key = std::str::from_utf8(key).ok();
            let id = key.and_then(|key| key.strip_prefix(&*self.prefix));
            if let Some(Ok(id)) = id.map(str::parse::<SessionId>) {
                self.send(Change::Session(id));
            }
        }
    }

    async fn beat(&mut self) {
        let masters = self.driver.masters();
        match self.marks.have_changed(&*self.driver, &masters).await {
            Err(_) if self.is_down => {}
            Err(_) => self.lost(),
            Ok(_) if self.is_down => {
                let waits = |refused: Instant| refused.elapsed() < RETRY_REFUSED;
                if !self.refused.is_some_and(waits) {
                    self.track().await;
                }
            }
            // Reads from a server that has joined since are not tracked there.
            Ok(_)
                if !masters
                    .iter()
                    .all(|master| self.tracked.contains(&master.address)) =>
            {
                self.lost();
                self.track().await;
            }
            Ok(true) => self.skipped(),
            Ok(false) => {}
        }
    }

    /// Has every server track what this connection reads from now on. While the connection is down, its
    /// reconnection leads here again.
    async fn track(&mut self) {
        let mut logged = false;
        let masters = loop {
            let masters = self.driver.masters();
            let Err(error) = self.track_at(&masters).await else {
                break masters;
            };
            if matches!(error.failure(), Failure::Denied | Failure::Other) {
                self.tracking_is_refused(&error);
                return;
            }
            if !self.driver.is_connected() || self.sender.is_closed() {
                return;
            }
            if !std::mem::replace(&mut logged, true) {
                tracing::warn!(
                    target: target::FEED,
                    error = error.cause(),
                    "Redis does not report changes of sessions yet; trying again"
                );
            }
            tokio::time::sleep(RETRY).await;
        };
        self.refused = None;
        // Before `Resync`: a flush after it must find marks that are known.
        let looked_at = self.marks.have_changed(&*self.driver, &masters).await;
        self.tracked = masters.into_iter().map(|master| master.address).collect();
        if looked_at.is_ok() {
            self.up();
        }
    }

    async fn track_at(&self, masters: &[Master]) -> Result<(), DriverError> {
        if masters.is_empty() {
            return Err(DriverError::timeout());
        }
        let tracked = masters
            .iter()
            .map(|master| in_time(&*self.driver, self.driver.track(master)));
        try_join_all(tracked).await.map(|_: Vec<()>| ())
    }

    fn tracking_is_refused(&mut self, error: &DriverError) {
        self.refused = Some(Instant::now());
        if !self.shared.warned_of_tracking.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                target: target::FEED,
                error = error.cause(),
                "Redis refuses CLIENT TRACKING, so that it reports no changes of sessions; \
                 trying again every minute"
            );
        }
    }

    fn lost(&mut self) {
        let mut down = self.shared.down.lock();
        if !std::mem::replace(&mut self.is_down, true) {
            *down += 1;
        }
        self.send(Change::Disconnected);
    }

    /// Some reports are missing. While a connection is down, its return leads to the same.
    fn skipped(&self) {
        let down = self.shared.down.lock();
        if *down == 0 {
            self.send(Change::Resync);
        }
    }

    fn up(&mut self) {
        let mut down = self.shared.down.lock();
        if std::mem::replace(&mut self.is_down, false) {
            *down -= 1;
            if *down == 0 {
                self.send(Change::Resync);
            }
        }
    }

    fn send(&self, change: Change) {
        // Fails only when the feed was dropped.
        let _ = self.sender.send(change);
    }
}

#[cfg(test)]
mod tests;
