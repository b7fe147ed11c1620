//! Reports after which nothing has changed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::SystemTime,
};

use tokio::{task::JoinHandle, time::sleep};

use super::{
    super::{
        Attachment, Config, EndReason, LiveSessions,
        tests_support::{DAY, live_with, sessions, tab, until},
    },
    *,
};
use crate::{
    id::SessionId,
    store::{Change, Created, MemoryStore, Saved, SessionStore as _, StoreErrorKind},
    testing::{Call, Fault, Faults},
};

/// A live session that is reported every millisecond, as one that the server's table has no room for.
struct Noisy {
    live: LiveSessions<u32>,
    store: MemoryStore<u32>,
    faults: Faults,
    id: SessionId,
    tab: Attachment<u32>,
    reporting: Arc<AtomicBool>,
    noise: JoinHandle<()>,
}

impl Drop for Noisy {
    fn drop(&mut self) {
        self.noise.abort();
    }
}

impl Noisy {
    async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    async fn start_with(set: impl FnOnce(&mut Config<u32>)) -> Self {
        let (live, store, faults) = live_with(DAY, set);
        let id = sessions(&store, 1).await.remove(0);
        let tab = tab(&live, &id).await;
        let reporting = Arc::new(AtomicBool::new(true));
        let noise = {
            let (faults, id, reporting) = (faults.clone(), id.clone(), reporting.clone());
            tokio::spawn(async move {
                loop {
                    if reporting.load(Ordering::SeqCst) {
                        faults.report(&Change::Session(id.clone()));
                    }
                    sleep(Duration::from_millis(1)).await;
                }
            })
        };
        Self {
            live,
            store,
            faults,
            id,
            tab,
            reporting,
            noise,
        }
    }

    fn loads(&self) -> usize {
        self.faults.calls(Call::Load)
    }

    /// The number of loads within this time.
    async fn loads_within(&self, time: Duration) -> usize {
        let before = self.loads();
        sleep(time).await;
        self.loads() - before
    }

    /// Changes the data, as another node does it.
    async fn change(&self) {
        let record = self.store.load(&self.id).await.unwrap().unwrap();
        let saved = self.store.save(&self.id, &1, &record.revision).await;
        assert!(matches!(saved, Ok(Saved::Saved(_))));
    }

    /// Reports the session once, in the silence after the noise, and returns whether it is loaded at once.
    async fn is_followed_at_once(&self) -> bool {
        self.faults.report(&Change::Session(self.id.clone()));
        self.loads_within(Duration::from_millis(1)).await == 1
    }
}

#[tokio::test(start_paused = true)]
async fn reports_that_find_nothing_are_followed_more_and_more_slowly() {
    let node = Noisy::start().await;
    let first = node.loads_within(Duration::from_secs(30)).await;
    assert!((10..60).contains(&first), "{first} loads");
    let later = node.loads_within(Duration::from_mins(10)).await;
    assert!((110..=121).contains(&later), "{later} loads");
}

#[tokio::test(start_paused = true)]
async fn an_end_and_a_change_are_noticed_within_the_longest_interval() {
    let node = Noisy::start().await;
    sleep(Duration::from_mins(1)).await;
    node.change().await;
    let changed = until("it is noticed", || *node.tab.view().snapshot.data == 1);
    tokio::time::timeout(MAX_INTERVAL, changed).await.unwrap();
    // A change begins anew.
    assert!(node.loads_within(Duration::from_millis(20)).await > 3);
    sleep(Duration::from_mins(1)).await;
    assert!(node.store.delete(&node.id).await.unwrap());
    sleep(MAX_INTERVAL).await;
    assert_eq!(node.tab.end_reason(), Some(EndReason::Deleted));
}

/// What is known is not fresh meanwhile, so that an admission loads the session.
#[tokio::test(start_paused = true)]
async fn the_pace_delays_no_admission() {
    let node = Noisy::start().await;
    sleep(Duration::from_mins(1)).await;
    assert!(node.store.delete(&node.id).await.unwrap());
    sleep(Duration::from_millis(1)).await;
    assert!(node.live.resolve(&node.id).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn the_first_report_after_a_quiet_time_is_followed_at_once() {
    let node = Noisy::start().await;
    sleep(Duration::from_mins(1)).await;
    node.reporting.store(false, Ordering::SeqCst);
    sleep(QUIET * 2).await;
    for _ in 0..3 {
        assert!(node.is_followed_at_once().await);
        sleep(Duration::from_millis(1)).await;
    }
}

/// Ten parallel requests of another program each touch the session, and the last one ends it.
#[tokio::test(start_paused = true)]
async fn a_burst_of_reports_delays_the_next_one_by_no_more_than_the_burst() {
    let node = Noisy::start().await;
    sleep(Duration::from_millis(50)).await;
    assert!(node.store.delete(&node.id).await.unwrap());
    sleep(Duration::from_millis(25)).await;
    assert_eq!(node.tab.end_reason(), Some(EndReason::Deleted));
}

/// The reports of what this node writes find what it knows already.
#[tokio::test(start_paused = true)]
async fn writes_of_this_node_slow_no_check() {
    let node = Noisy::start().await;
    node.reporting.store(false, Ordering::SeqCst);
    for _ in 0..100 {
        let view = node.tab.view();
        let updated = node.live.update(&view, |data| {
            *data += 1;
            Ok::<_, ()>(())
        });
        updated.await.unwrap();
        sleep(Duration::from_millis(100)).await;
    }
    assert!(node.is_followed_at_once().await);
}

/// As express-session does with each request.
#[tokio::test(start_paused = true)]
async fn touches_by_another_program_slow_no_check() {
    let node = Noisy::start().await;
    node.reporting.store(false, Ordering::SeqCst);
    for _ in 0..100 {
        assert!(node.store.touch(&node.id, &0, DAY).await.unwrap());
        assert_eq!(node.loads_within(Duration::from_millis(100)).await, 1);
    }
    assert!(node.is_followed_at_once().await);
}

/// So many requests that two loads can't tell whether the session was touched in between.
#[tokio::test(start_paused = true)]
async fn touches_without_a_pause_delay_an_end_for_no_longer_than_loads_differ() {
    let node = Noisy::start().await;
    node.reporting.store(false, Ordering::SeqCst);
    for _ in 0..3_000 {
        assert!(node.store.touch(&node.id, &0, DAY).await.unwrap());
        sleep(Duration::from_millis(10)).await;
    }
    assert!(node.store.delete(&node.id).await.unwrap());
    sleep(2 * TOLERANCE).await;
    assert_eq!(node.tab.end_reason(), Some(EndReason::Deleted));
}

/// The store reports nothing of a routine load, so it says nothing of how often reports come.
#[tokio::test(start_paused = true)]
async fn loads_without_a_report_slow_no_check() {
    let node = Noisy::start().await;
    sleep(Duration::from_millis(2)).await;
    node.reporting.store(false, Ordering::SeqCst);
    sleep(Duration::from_millis(5)).await;
    for _ in 0..20 {
        sleep(Duration::from_secs(3)).await;
        node.live.revalidate().await;
    }
    assert!(node.is_followed_at_once().await);
}

/// As a program that writes the same value again with each request.
#[tokio::test(start_paused = true)]
async fn reports_that_come_seldom_slow_no_check() {
    let node = Noisy::start().await;
    sleep(Duration::from_millis(2)).await;
    node.reporting.store(false, Ordering::SeqCst);
    for _ in 0..100 {
        sleep(Duration::from_millis(1_500)).await;
        assert!(node.is_followed_at_once().await);
    }
}

/// The application ends the session before another program's lifetime is over, which goes on growing.
#[tokio::test(start_paused = true)]
async fn touches_beyond_the_absolute_end_slow_no_check() {
    let end = Instant::now() + Duration::from_mins(30);
    // The wall clock stands still in this test.
    let latest = move |_: &u32| Some(SystemTime::now() + (end - Instant::now()));
    let node = Noisy::start_with(|config| config.max_lifetime = Some(Arc::new(latest))).await;
    node.reporting.store(false, Ordering::SeqCst);
    for _ in 0..100 {
        sleep(2 * TOLERANCE).await;
        assert!(node.store.touch(&node.id, &0, DAY).await.unwrap());
        assert_eq!(node.loads_within(Duration::from_millis(1)).await, 1);
    }
}

/// A handle keeps the entry, and what is reported without a socket is not checked.
#[tokio::test(start_paused = true)]
async fn a_session_that_is_watched_again_begins_anew() {
    let mut node = Noisy::start().await;
    sleep(Duration::from_mins(1)).await;
    let view = node.tab.view();
    let other: SessionId = "other".parse().unwrap();
    assert!(matches!(
        node.store.create(&other, &0, DAY).await,
        Ok(Created::Created(_))
    ));
    node.tab = tab(&node.live, &other).await;
    sleep(QUIET / 2).await;
    node.tab = tab(&node.live, &node.id).await;
    assert!(node.loads_within(Duration::from_millis(20)).await > 3);
    drop(view);
}

/// As when a paced server has time enough to keep the session in its table for a while.
#[tokio::test(start_paused = true)]
async fn reports_are_followed_slowly_until_they_pause_for_longer_than_the_interval() {
    let node = Noisy::start().await;
    sleep(Duration::from_mins(1)).await;
    node.reporting.store(false, Ordering::SeqCst);
    let before = node.loads();
    for _ in 0..10 {
        sleep(Duration::from_secs(2)).await;
        node.faults.report(&Change::Session(node.id.clone()));
    }
    assert!((2..=4).contains(&(node.loads() - before)));
}

/// An outage between two loads says nothing of how often reports come.
#[tokio::test(start_paused = true)]
async fn loads_that_fail_slow_no_check() {
    let node = Noisy::start().await;
    sleep(Duration::from_millis(2)).await;
    node.reporting.store(false, Ordering::SeqCst);
    let down = Fault::Error(StoreErrorKind::Unavailable);
    node.faults.on(Call::Load, down);
    node.faults.report(&Change::Session(node.id.clone()));
    sleep(Duration::from_mins(1)).await;
    node.faults.clear();
    sleep(Duration::from_secs(2)).await;
    assert!(node.is_followed_at_once().await);
}
