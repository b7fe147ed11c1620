//! The feed, over a server of which each answer is chosen.

use futures_util::stream::BoxStream;
use tokio::sync::mpsc::UnboundedReceiver;

use super::{
    super::driver::{Reply, SetIf, SharedKey},
    *,
};

/// A server, and the only connection to it.
#[derive(Default)]
struct Server {
    /// The reply to `CLIENT TRACKING`, if it is an error.
    tracking: Mutex<Option<&'static str>>,
    tracked: Mutex<usize>,
    mark: Mutex<Option<Bytes>>,
    events: Mutex<Option<UnboundedReceiver<Event>>>,
}

#[async_trait::async_trait]
impl Driver for Server {
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
        let address = String::new();
        vec![Master {
            address,
            slot: None,
        }]
    }

    fn events(&self) -> BoxStream<'static, Event> {
        let events = self.events.lock().take().unwrap();
        let next =
            async |mut events: UnboundedReceiver<Event>| Some((events.recv().await?, events));
        stream::unfold(events, next).boxed()
    }

    async fn track(&self, _: &Master) -> Result<(), DriverError> {
        *self.tracked.lock() += 1;
        match *self.tracking.lock() {
            Some(error) => Err(DriverError::reply(error)),
            None => Ok(()),
        }
    }

    async fn get(&self, _: &str) -> Result<Option<Bytes>, DriverError> {
        Ok(self.mark.lock().clone())
    }

    async fn get_and_ttl(&self, _: &SharedKey) -> Result<(Option<Bytes>, i64), DriverError> {
        unreachable!("the feed loads nothing")
    }

    async fn set(
        &self,
        _: &str,
        value: Bytes,
        ttl: Option<Duration>,
        condition: SetIf,
    ) -> Result<bool, DriverError> {
        assert_eq!((ttl, condition), (None, SetIf::Missing));
        let mut mark = self.mark.lock();
        let missing = mark.is_none();
        mark.get_or_insert(value);
        Ok(missing)
    }

    async fn delete(&self, _: &str) -> Result<bool, DriverError> {
        unreachable!("the feed deletes nothing")
    }

    async fn eval(&self, _: &'static str, _: &[&str], _: Vec<Bytes>) -> Result<Reply, DriverError> {
        unreachable!("the feed runs no script")
    }
}

fn server() -> (Arc<Server>, UnboundedSender<Event>) {
    let (sender, events) = unbounded_channel();
    let server = Arc::new(Server::default());
    *server.events.lock() = Some(events);
    (server, sender)
}

fn feed(servers: &[&Arc<Server>]) -> Changes {
    let servers = servers
        .iter()
        .map(|server| (*server).clone() as Arc<dyn Driver>);
    let servers: Vec<_> = servers.collect();
    changes(&servers, &"session:".into(), Duration::from_secs(1)).unwrap()
}

/// Next report of the feed within some time.
async fn within(feed: &mut Changes, seconds: u64) -> Vec<Change> {
    let mut reported = Vec::new();
    let all = async {
        while let Some(change) = feed.next().await {
            reported.push(change);
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(seconds), all).await;
    reported
}

#[tokio::test(start_paused = true)]
async fn the_feed_is_back_when_all_connections_are() {
    let (one, one_event) = server();
    let (other, other_event) = server();
    *other.tracking.lock() = Some("LOADING Redis is loading the dataset in memory");
    let mut feed = feed(&[&one, &other]);
    assert_eq!(within(&mut feed, 5).await, [Change::Disconnected]);
    one_event.send(Event::Skipped).unwrap();
    assert_eq!(within(&mut feed, 5).await, []);
    *other.tracking.lock() = None;
    assert_eq!(within(&mut feed, 5).await, [Change::Resync]);
    other_event.send(Event::Skipped).unwrap();
    assert_eq!(within(&mut feed, 5).await, [Change::Resync]);
    *one.tracking.lock() = Some("LOADING Redis is loading the dataset in memory");
    one_event.send(Event::Broken).unwrap();
    other_event.send(Event::Skipped).unwrap();
    assert_eq!(within(&mut feed, 5).await, [Change::Disconnected]);
    *one.tracking.lock() = None;
    assert_eq!(within(&mut feed, 5).await, [Change::Resync]);
}

#[tokio::test(start_paused = true)]
async fn refused_tracking_is_tried_again_once_a_minute() {
    let (server, _events) = server();
    *server.tracking.lock() = Some("NOPERM User app has no permissions to run this command");
    let mut feed = feed(&[&server]);
    // Reported once: a feed without reports costs no loads.
    assert_eq!(within(&mut feed, 190).await, [Change::Disconnected]);
    assert_eq!(*server.tracked.lock(), 4);
    *server.tracking.lock() = None;
    assert_eq!(within(&mut feed, 62).await, [Change::Resync]);
}

#[tokio::test(start_paused = true)]
async fn a_mark_that_is_missing_or_another_one_is_a_flush() {
    let (server, _events) = server();
    let mut feed = feed(&[&server]);
    let up = [Change::Disconnected, Change::Resync];
    assert_eq!(within(&mut feed, 10).await, up);
    *server.mark.lock() = None;
    assert_eq!(within(&mut feed, 10).await, [Change::Resync]);
    // Another node was faster to set it again.
    *server.mark.lock() = Some("another".into());
    assert_eq!(within(&mut feed, 10).await, [Change::Resync]);
}

#[tokio::test(start_paused = true)]
async fn only_keys_of_sessions_are_reported() {
    let (server, events) = server();
    let mut feed = feed(&[&server]);
    within(&mut feed, 2).await;
    let keys = [
        "session:a",
        "session:",
        "other:a",
        "session:{",
        "[socketioxide-session]mark",
    ];
    let keys = keys.map(Bytes::from).to_vec();
    events.send(Event::Changed(keys)).unwrap();
    let expected = [Change::Session("a".parse().unwrap())];
    assert_eq!(within(&mut feed, 2).await, expected);
}
