//! The metrics, as Prometheus scrapes them after real sockets did things. One process has one
//! recorder, so this is a test binary of its own.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::match_bool, reason = "both sides of a choice, side by side")]

mod recorder;
#[allow(
    dead_code,
    unused_imports,
    reason = "shared with the integration tests"
)]
#[path = "../it/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use recorder::Scrape;
use socketioxide_session::{
    Keyring, MemoryStore, SecretKey, Session, SessionBridge, SessionId, SignedCookie,
    store::{Change, StoreErrorKind},
    testing::{Call, Fault, FaultyStore},
};
use support::{
    polling::Polling,
    server::{Server, Setup, User},
    until,
};

const GUIDE: &str = include_str!("../../src/docs/operation.md");
const MAX_EMISSIONS: usize = 8;

#[tokio::test]
async fn what_sockets_do_is_scraped() {
    // The bridge is built before there is a recorder.
    let server = Setup::new().say_why().start().await;
    let scrape = Scrape::install();
    admissions(&server, &scrape).await;
    polling(&server, &scrape).await;
    an_end_is_reported(&server, &scrape).await;
    a_conflict(&server, &scrape).await;
    a_deletion_is_owed(&server, &scrape).await;
    a_feed_breaks(&server, &scrape).await;
    two_bridges_share_a_gauge(&server, &scrape).await;
    durations_are_in_seconds(&server, &scrape).await;
    a_call_whose_caller_goes_away_is_dropped(&server, &scrape).await;
    a_bridge_that_is_dropped_takes_its_share_back(&scrape).await;
    no_path_of_an_admission_is_loud(&server, &scrape).await;
    each_further_session_of_a_client_is_a_call_of_the_store(&server, &scrape).await;
    a_recorder_may_block_and_ask(&server, &scrape).await;
    for name in documented() {
        assert!(
            scrape.text().contains(&format!("\n{name}")),
            "{name} was not emitted"
        );
    }
    let text = scrape.text();
    let emitted = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    for name in emitted.filter_map(|line| line.split(' ').next()) {
        assert!(
            documented().contains(&name.to_owned()),
            "{name} is not documented"
        );
    }
    assert!(!text.contains("namespace"), "{text}");
}

/// The names in the table of the guide.
fn documented() -> Vec<String> {
    let rows = GUIDE
        .lines()
        .filter_map(|line| line.strip_prefix("| `socketio_session_"));
    let names: Vec<_> = rows
        .filter_map(|row| row.split('`').next())
        .map(|name| format!("socketio_session_{name}"))
        .collect();
    assert_eq!(names.len(), 13);
    names
}

async fn admissions(server: &Server, scrape: &Scrape) {
    let ann = server.login("Ann").await;
    let mut tab = server.client(&[("cookie", &server.pair(&ann))]).await;
    let before = scrape.emissions();
    tab.connect("/").await;
    // The call of the store that loads the session is among them.
    let emissions = scrape.emissions() - before;
    assert!(
        (4..=MAX_EMISSIONS).contains(&emissions),
        "{emissions} emissions"
    );
    assert_eq!(scrape.value(r#"admissions_total{kind="session"}"#), 1);
    assert_eq!(
        scrape.value(r#"store_calls_total{call="load",outcome="ok"}"#),
        1
    );
    assert_eq!(scrape.value(r#"store_call_seconds_count{call="load"}"#), 1);
    assert_eq!(
        scrape.value(r#"admission_seconds_count{outcome="session"}"#),
        1
    );
    assert_eq!(
        (scrape.value("live_sessions"), scrape.value("live_sockets")),
        (1, 1)
    );

    tab.connect("/admin").await;
    assert_eq!(
        (scrape.value("live_sessions"), scrape.value("live_sockets")),
        (1, 2)
    );
    let mut guest = server.client(&[]).await;
    guest.connect("/lobby").await;
    assert_eq!(scrape.value(r#"admissions_total{kind="anonymous"}"#), 1);
    let refused = guest.refused("/", "").await;
    assert_eq!(refused, r#"44{"message":"NO_COOKIE"}"#);
    let no_cookie = r#"rejections_total{code="NO_COOKIE",reason="no-cookie"}"#;
    assert_eq!(scrape.value(no_cookie), 1);
    let mut forged = server.client(&[("cookie", "sid=forged")]).await;
    forged.refused("/", "").await;
    let malformed = r#"rejections_total{code="NO_SESSION",reason="malformed"}"#;
    assert_eq!(scrape.value(malformed), 1);
    assert_eq!(
        scrape.value(r#"admission_seconds_count{outcome="rejected"}"#),
        2
    );

    tab.close().await;
    until("nothing is live", || {
        (scrape.value("live_sessions"), scrape.value("live_sockets")) == (0, 0)
    })
    .await;
}

async fn polling(server: &Server, scrape: &Scrape) {
    let ann = server.login("Ann").await;
    let before = scrape.emissions();
    let pair = server.pair(&ann);
    let fields: [(&str, &[u8]); 1] = [("cookie", pair.as_bytes())];
    let mut tab = Polling::open(server.http().await, "", &fields).await;
    tab.post("40").await;
    tab.packet_of("42").await;
    let emissions = scrape.emissions() - before;
    assert!(
        (5..=MAX_EMISSIONS).contains(&emissions),
        "{emissions} emissions"
    );
    assert_eq!(scrape.value("bound_transports"), 1);
    tab.post("1").await;
    until("the transport is closed", || {
        scrape.value("bound_transports") == 0
    })
    .await;
}

async fn an_end_is_reported(server: &Server, scrape: &Scrape) {
    let ann = server.login("Ann").await;
    let mut tab = server.connected(&ann).await;
    server.store.delete(ann.id()).await.unwrap();
    assert_eq!(tab.frame().await, r#"42["ended","deleted"]"#);
    assert_eq!(tab.frame().await, "41");
    let disconnects = r#"report_to_disconnect_seconds_count{reason="deleted"}"#;
    until("the disconnect is measured", || {
        scrape.value(disconnects) == 1
    })
    .await;
    assert_eq!(scrape.value(r#"ends_total{reason="deleted"}"#), 1);
    // An end of this node's own is no report.
    let bob = server.login("Bob").await;
    let mut tab = server.connected(&bob).await;
    bob.end().await.unwrap();
    assert_eq!(tab.frame_of("41").await, "41");
    server.assert_empty().await;
    assert_eq!(scrape.value(r#"ends_total{reason="deleted"}"#), 2);
    assert_eq!(scrape.value(disconnects), 1);
}

async fn a_conflict(server: &Server, scrape: &Scrape) {
    let ann = server.login("Ann").await;
    let stored = server.store.load(ann.id()).await.unwrap().unwrap();
    let other = User {
        visits: 7,
        ..ann.data().clone()
    };
    let saved = server.store.save(ann.id(), &other, &stored.revision).await;
    assert!(saved.is_ok());
    let updated = ann.update(|user| user.visits += 1).await.unwrap();
    assert_eq!(updated.data().visits, 8);
    assert_eq!(scrape.value("conflicts_total"), 1);
}

async fn a_deletion_is_owed(server: &Server, scrape: &Scrape) {
    let ann: Session<User> = server.login("Ann").await;
    server
        .faults
        .on(Call::Delete, Fault::Error(StoreErrorKind::Unavailable));
    assert!(ann.end().await.is_err());
    assert_eq!(scrape.value("pending_deletions"), 1);
    let failed = r#"store_calls_total{call="delete",outcome="unavailable"}"#;
    assert!(scrape.value(failed) >= 1);
    server.faults.clear();
    until("it is deleted", || scrape.value("pending_deletions") == 0).await;
}

async fn a_feed_breaks(server: &Server, scrape: &Scrape) {
    server.faults.report(&Change::Disconnected);
    until("the loss is counted", || {
        scrape.value("feed_losses_total") == 1
    })
    .await;
    server.faults.report(&Change::Resync);
}

async fn two_bridges_share_a_gauge(server: &Server, scrape: &Scrape) {
    let other = Server::start().await;
    let (ann, bob) = (server.login("Ann").await, other.login("Bob").await);
    let (here, there) = (server.connected(&ann).await, other.connected(&bob).await);
    assert_eq!(
        (scrape.value("live_sessions"), scrape.value("live_sockets")),
        (2, 2)
    );
    here.close().await;
    there.close().await;
    until("nothing is live", || scrape.value("live_sockets") == 0).await;
}

/// A disconnect is measured from the first report on, however many follow.
async fn durations_are_in_seconds(server: &Server, scrape: &Scrape) {
    let delay = Duration::from_millis(400);
    let (load, disconnect) = (
        r#"store_call_seconds_sum{call="load"}"#,
        r#"report_to_disconnect_seconds_sum{reason="deleted"}"#,
    );
    let ann = server.login("Ann").await;
    let mut tab = server.connected(&ann).await;
    let before = (scrape.seconds(load), scrape.seconds(disconnect));
    let began = Instant::now();
    server.faults.on(Call::Load, Fault::Delay(delay));
    server.store.delete(ann.id()).await.unwrap();
    tokio::time::sleep(delay / 2).await;
    server.faults.report(&Change::Session(ann.id().clone()));
    assert_eq!(tab.frame_of("41").await, "41");
    server.faults.clear();
    let count = r#"report_to_disconnect_seconds_count{reason="deleted"}"#;
    until("the disconnect is measured", || scrape.value(count) == 2).await;
    let took = began.elapsed().as_secs_f64();
    // There may be two loads, because the second report came during the first one.
    let loads = scrape.seconds(load) - before.0;
    assert!(
        (0.39..=2.0 * took).contains(&loads),
        "{loads} s of {took} s"
    );
    let disconnected = scrape.seconds(disconnect) - before.1;
    assert!(
        (0.39..=took).contains(&disconnected),
        "{disconnected} s of {took} s"
    );
}

async fn a_call_whose_caller_goes_away_is_dropped(server: &Server, scrape: &Scrape) {
    let ann = server.login("Ann").await;
    server.faults.on(Call::Touch, Fault::Hang);
    let touch = tokio::time::timeout(Duration::from_millis(50), ann.touch());
    assert!(touch.await.is_err());
    server.faults.clear();
    let dropped = r#"store_calls_total{call="touch",outcome="dropped"}"#;
    until("it is counted", || scrape.value(dropped) == 1).await;
}

async fn a_bridge_that_is_dropped_takes_its_share_back(scrape: &Scrape) {
    let keys = Keyring::new(SecretKey::generate().unwrap());
    let cookie = SignedCookie::new("sid", &keys).unwrap();
    let (store, faults) = FaultyStore::new(MemoryStore::<u32>::new());
    let sessions = SessionBridge::builder(cookie, store).build().unwrap();
    let session = sessions.create(0).await.unwrap();
    faults.on(Call::Delete, Fault::Error(StoreErrorKind::Unavailable));
    assert!(session.end().await.is_err());
    assert_eq!(scrape.value("pending_deletions"), 1);
    drop((session, sessions));
    until("the gauge is zero", || {
        scrape.value("pending_deletions") == 0
    })
    .await;
}

/// Over polling, which also binds the transport, an admission emits seven metrics, and two more for each
/// further session.
async fn each_further_session_of_a_client_is_a_call_of_the_store(server: &Server, scrape: &Scrape) {
    for further in 0..4 {
        let ann = server.login("Ann").await;
        let mut cookies = server.pair(&ann);
        for _ in 0..further {
            // The store has no such session.
            let id = SessionId::generate().unwrap();
            let other = server.cookie.issue(&id);
            cookies = format!("{cookies}; {}={}", other.name(), other.value());
        }
        let before = scrape.emissions();
        let fields: [(&str, &[u8]); 1] = [("cookie", cookies.as_bytes())];
        let mut tab = Polling::open(server.http().await, "", &fields).await;
        tab.post("40").await;
        tab.packet_of("42").await;
        assert_eq!(scrape.emissions() - before, 7 + 2 * further);
        tab.post("1").await;
        until("the transport is closed", || {
            (
                scrape.value("bound_transports"),
                scrape.value("live_sockets"),
            ) == (0, 0)
        })
        .await;
    }
}

async fn no_path_of_an_admission_is_loud(server: &Server, scrape: &Scrape) {
    let ann = server.login("Ann").await;
    let gone = server.login("Bob").await;
    gone.end().await.unwrap();
    let (pair, gone) = (server.pair(&ann), server.pair(&gone));
    let two = format!("{pair}; {gone}");
    for (namespace, cookie, expected) in [
        ("/", &*pair, "40"),
        ("/lobby", "sid=forged", "40"),
        ("/lobby", &gone, "40"),
        ("/", &two, "40"),
        ("/", &gone, "44"),
        ("/", "sid=forged", "44"),
    ] {
        let mut tab = server.client(&[("cookie", cookie)]).await;
        let before = scrape.emissions();
        assert!(tab.refused(namespace, "").await.starts_with(expected));
        let emissions = scrape.emissions() - before;
        assert!(
            emissions <= MAX_EMISSIONS,
            "{namespace} {cookie} {emissions}"
        );
    }
    server
        .faults
        .on(Call::Load, Fault::Error(StoreErrorKind::Unavailable));
    let unknown = server.pair(&Server::start().await.login("Cid").await);
    let mut tab = server.client(&[("cookie", &unknown)]).await;
    let before = scrape.emissions();
    assert_eq!(tab.refused("/", "").await, r#"44{"message":"STORE_ERROR"}"#);
    assert!((4..=MAX_EMISSIONS).contains(&(scrape.emissions() - before)));
    server.faults.clear();
}

/// While a recorder is running, every other thread can use the bridge and the very session.
async fn a_recorder_may_block_and_ask(server: &Server, scrape: &Scrape) {
    let ann = server.login("Ann").await;
    let (sessions, session) = (server.sessions.clone(), ann.clone());
    scrape.ask(move || {
        let numbers = [
            sessions.live_sessions(),
            sessions.live_sockets(),
            sessions.bound_transports(),
            sessions.pending_deletions(),
        ];
        assert!(numbers.iter().all(|number| *number < 10));
        assert!(session.has_ended() || session.latest().data().name == "Ann");
    });
    let mut tab = server.connected(&ann).await;
    let pair = server.pair(&ann);
    let mut polling = Polling::open(server.http().await, "", &[("cookie", pair.as_bytes())]).await;
    polling.post("40").await;
    polling.packet_of("42").await;
    server
        .faults
        .on(Call::Delete, Fault::Error(StoreErrorKind::Unavailable));
    assert!(ann.end().await.is_err());
    assert_eq!(tab.frame_of("41").await, "41");
    server.faults.clear();
    until("it is deleted", || server.sessions.pending_deletions() == 0).await;
    let (during, unanswered) = scrape.asked();
    assert!(unanswered.is_empty(), "{unanswered:?}");
    for name in [
        "live_sessions",
        "live_sockets",
        "bound_transports",
        "pending_deletions",
    ] {
        assert!(
            during.contains(&format!("socketio_session_{name}")),
            "{during:?}"
        );
    }
}
