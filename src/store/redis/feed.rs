//! The changes that the server reports.
//!
//! Default-mode tracking on the connections that read: the server remembers which keys were read,
//! and tells once of each when it changes, so every report must be followed by a load. `NOLOOP`
//! would silence our own changes and with them disarm the key, unseen; so it is not used, and our own
//! changes come back as reports.

use std::{collections::HashSet, sync::Arc, time::Duration};

use fred::{
    clients::Client,
    error::{Error, ErrorKind},
    interfaces::{ClientLike as _, EventInterface as _, TrackingInterface as _},
    types::{
        ClusterHash, CustomCommand, Value,
        client::Invalidation,
        config::{Options, Server},
    },
};
use futures_util::{future::try_join_all, stream};
use parking_lot::Mutex;
use tokio::{
    runtime::Handle,
    sync::{
        broadcast::error::RecvError,
        mpsc::{UnboundedSender, unbounded_channel},
    },
    time::MissedTickBehavior,
};

use crate::{
    id::SessionId,
    store::{Change, Changes},
};

/// How soon tracking is tried again that could not be started.
const RETRY: Duration = Duration::from_millis(500);
/// How often the server is asked whether it is there: while nothing is asked of it, nobody would notice
/// that it hangs.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// How long a node may take for an answer to it.
const DEADLINE: Duration = Duration::from_millis(500);
const PING: &[&str] = &["PING"];
const TRACK: &[&str] = &["CLIENT", "TRACKING", "ON"];

/// Follows all clients. It begins with `Lost`; once every connection is tracked, `Lagged` follows.
pub(super) fn changes(clients: &[Client], prefix: &Arc<str>) -> Option<Changes> {
    let runtime = Handle::try_current().ok()?;
    let (sender, receiver) = unbounded_channel();
    let _ = sender.send(Change::Disconnected);
    let down = Arc::new(Mutex::new(clients.len()));
    for client in clients {
        let follower = Follower {
            client: client.clone(),
            prefix: prefix.clone(),
            sender: sender.clone(),
            down: down.clone(),
            is_down: true,
            tracked: HashSet::new(),
        };
        runtime.spawn(follower.run());
    }
    Some(Changes::new(stream::unfold(
        receiver,
        async |mut receiver| Some((receiver.recv().await?, receiver)),
    )))
}

/// Follows one client until nobody listens any more.
struct Follower {
    client: Client,
    prefix: Arc<str>,
    sender: UnboundedSender<Change>,
    /// How many clients are not tracked now. `Lost` and `Lagged` are sent under the lock: else one
    /// client's `Lagged` could overtake the loss of another, and the feed pass for whole.
    down: Arc<Mutex<usize>>,
    is_down: bool,
    /// The nodes of a cluster that track what this client reads.
    tracked: HashSet<Server>,
}

impl Follower {
    async fn run(mut self) {
        let mut invalidations = self.client.invalidation_rx();
        let mut errors = self.client.error_rx();
        let mut reconnects = self.client.reconnect_rx();
        let sender = self.sender.clone();
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.track().await;
        loop {
            tokio::select! {
                () = sender.closed() => return,
                told = invalidations.recv() => match told {
                    Ok(invalidation) => self.report(&invalidation),
                    Err(RecvError::Lagged(_)) => self.skipped(),
                    Err(RecvError::Closed) => return self.lost(),
                },
                _ = heartbeat.tick() => self.beat().await,
                error = errors.recv() => match error {
                    Ok(_) | Err(RecvError::Lagged(_)) => self.lost(),
                    Err(RecvError::Closed) => return self.lost(),
                },
                back = reconnects.recv() => match back {
                    Ok(_) | Err(RecvError::Lagged(_)) => {
                        self.lost();
                        self.track().await;
                    }
                    Err(RecvError::Closed) => return self.lost(),
                },
            }
        }
    }

    fn report(&self, invalidation: &Invalidation) {
        for key in &invalidation.keys {
            let id = key.as_str().and_then(|key| key.strip_prefix(&*self.prefix));
            if let Some(Ok(id)) = id.map(str::parse::<SessionId>) {
                self.send(Change::Session(id));
            }
        }
    }

    async fn beat(&mut self) {
        let nodes = self.nodes();
        let all_there = self.on_each(&nodes, PING).await.is_ok();
        if !all_there {
            if !self.is_down {
                self.lost();
            }
        } else if self.is_down || nodes.iter().any(|node| !self.tracked.contains(node)) {
            // What was read from a node that has joined since is not tracked there.
            self.lost();
            self.track().await;
        }
    }

    /// The nodes of a cluster; else none, which stands for the one server.
    fn nodes(&self) -> Vec<Server> {
        if self.client.is_clustered() {
            self.client.active_connections()
        } else {
            Vec::new()
        }
    }

    /// Says something to each node, with a deadline: fred's own command for all waits for those that
    /// hang, and lets all others wait meanwhile.
    async fn on_each(&self, nodes: &[Server], words: &[&'static str]) -> Result<(), Error> {
        let say = async |node: Option<&Server>| {
            let options = Options {
                cluster_node: node.cloned(),
                timeout: Some(DEADLINE),
                fail_fast: true,
                ..Options::default()
            };
            let command = CustomCommand::new_static(words[0], ClusterHash::Random, false);
            let client = self.client.with_options(&options);
            let said = client.custom::<Value, _>(command, words[1..].to_vec());
            match tokio::time::timeout(DEADLINE, said).await {
                Ok(said) => said.map(|_| ()),
                Err(_elapsed) => Err(Error::new(ErrorKind::Timeout, "no answer")),
            }
        };
        if nodes.is_empty() {
            return say(None).await;
        }
        let said = nodes.iter().map(|node| say(Some(node)));
        try_join_all(said).await.map(|_: Vec<()>| ())
    }

    fn lost(&mut self) {
        let mut down = self.down.lock();
        if !std::mem::replace(&mut self.is_down, true) {
            *down += 1;
        }
        self.send(Change::Disconnected);
    }

    /// Some reports were not read in time. While a client is down, its return will say so.
    fn skipped(&self) {
        let down = self.down.lock();
        if *down == 0 {
            self.send(Change::Resync);
        }
    }

    fn up(&mut self) {
        let mut down = self.down.lock();
        if std::mem::replace(&mut self.is_down, false) {
            *down -= 1;
            if *down == 0 {
                self.send(Change::Resync);
            }
        }
    }

    /// Has the server track what this client reads from now on. While the connection is down, its
    /// reconnection is what leads here again.
    async fn track(&mut self) {
        let mut nodes = self.nodes();
        let mut told = false;
        while let Err(error) = self.on_each(&nodes, TRACK).await {
            if !self.client.is_connected() || self.sender.is_closed() {
                return;
            }
            if !std::mem::replace(&mut told, true) {
                tracing::warn!(%error, "Redis does not track sessions; trying again and again");
            }
            tokio::time::sleep(RETRY).await;
            nodes = self.nodes();
        }
        self.tracked = nodes.into_iter().collect();
        self.up();
    }

    fn send(&self, change: Change) {
        // Fails only when nobody listens any more.
        let _ = self.sender.send(change);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_feed_is_back_when_all_clients_are() {
        let (sender, mut receiver) = unbounded_channel();
        let down = Arc::new(Mutex::new(2));
        let [mut one, mut other] = [(); 2].map(|()| Follower {
            client: Client::default(),
            prefix: "session:".into(),
            sender: sender.clone(),
            down: down.clone(),
            is_down: true,
            tracked: HashSet::new(),
        });
        let mut told = || receiver.try_recv().ok();
        one.up();
        one.skipped();
        assert_eq!(told(), None);
        other.up();
        assert_eq!(told(), Some(Change::Resync));
        one.skipped();
        assert_eq!(told(), Some(Change::Resync));
        one.lost();
        one.lost();
        other.skipped();
        other.up();
        assert_eq!(told(), Some(Change::Disconnected));
        assert_eq!(told(), Some(Change::Disconnected));
        assert_eq!(told(), None);
        one.up();
        assert_eq!(told(), Some(Change::Resync));
        assert_eq!(told(), None);
    }
}
