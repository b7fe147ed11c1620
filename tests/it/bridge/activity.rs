//! The uses that keep a session alive, and its lifetime.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use socketioxide::extract::{AckSender, SocketRef};
use socketioxide::handler::ConnectHandler as _;
use socketioxide_session::{
    Keyring, MemoryStore, SecretKey, Session, SessionBridge, SignedCookie,
    bridge::{BridgeConfigError, SessionBridgeBuilder},
    socketio::active,
    store::StoreErrorKind,
    testing::{Call, Fault, Faults, FaultyStore, HandshakeBuilder, SampleData},
};

use crate::support::{
    polling::Polling,
    read_only::ReadOnly,
    server::{Server, Setup, User},
    until,
};

const MINUTE: Duration = Duration::from_mins(1);

/// The data of a session whose lifetime depends on it.
#[derive(Debug, Clone, PartialEq)]
struct Visitor {
    minutes: u64,
    latest: Option<SystemTime>,
}

struct App {
    sessions: SessionBridge<Visitor>,
    cookie: SignedCookie,
    faults: Faults,
}

impl App {
    fn new(
        set: impl FnOnce(SessionBridgeBuilder<Visitor>) -> SessionBridgeBuilder<Visitor>,
    ) -> Self {
        let keys = Keyring::new(SecretKey::generate().unwrap());
        let cookie = SignedCookie::new("sid", &keys).unwrap();
        let (store, faults) = FaultyStore::new(MemoryStore::new());
        let builder = SessionBridge::builder(cookie.clone(), store);
        let sessions = set(builder).build().unwrap();
        Self {
            sessions,
            cookie,
            faults,
        }
    }

    async fn visitor(&self, minutes: u64) -> Session<Visitor> {
        let visitor = Visitor {
            minutes,
            latest: None,
        };
        self.sessions.create(visitor).await.unwrap()
    }

    /// An HTTP request of this session.
    async fn request(&self, session: &Session<Visitor>) -> Option<Session<Visitor>> {
        let parts = HandshakeBuilder::request("/").session_cookie(&self.cookie, session.id());
        self.sessions.from_request(&parts.into_parts()).await.ok()
    }

    fn touches(&self) -> usize {
        self.faults.calls(Call::Touch)
    }
}

fn by_data(bridge: SessionBridgeBuilder<Visitor>) -> SessionBridgeBuilder<Visitor> {
    bridge
        .ttl_of(|visitor| MINUTE * u32::try_from(visitor.minutes).unwrap())
        .max_lifetime(|visitor| visitor.latest)
}

#[track_caller]
fn assert_expires_in(session: &Session<Visitor>, expected: Duration) {
    let left = session
        .expires_at()
        .unwrap()
        .duration_since(SystemTime::now());
    let left = left.unwrap();
    let difference = left.abs_diff(expected);
    assert!(
        difference < Duration::from_secs(2),
        "{left:?} for {expected:?}"
    );
}

// --- Lifetimes from the data --------------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn two_lifetimes_slide_side_by_side() {
    let app = App::new(by_data);
    let (short, long) = (app.visitor(10).await, app.visitor(600).await);
    assert_expires_in(&short, MINUTE * 10);
    assert_expires_in(&long, MINUTE * 600);
    // Used for two hours, both outlive ten minutes and none is shortened.
    for _ in 0..24 {
        tokio::time::sleep(MINUTE * 5).await;
        for session in [&short, &long] {
            let used = app.request(session).await.unwrap();
            assert!(!used.has_ended());
        }
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_expires_in(&long.reload().await.unwrap(), MINUTE * 600);
    assert_expires_in(&short.reload().await.unwrap(), MINUTE * 10);
    tokio::time::sleep(MINUTE * 11).await;
    assert!(app.request(&short).await.is_none());
    assert!(app.request(&long).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn an_update_that_changes_the_lifetime_touches_at_once() {
    let app = App::new(by_data);
    let session = app.visitor(10).await;
    let same = session
        .update(|visitor| visitor.latest = None)
        .await
        .unwrap();
    assert_eq!(app.touches(), 0);
    let longer = same.update(|visitor| visitor.minutes = 60).await.unwrap();
    assert_eq!(app.touches(), 1);
    assert_expires_in(&longer, MINUTE * 60);
    assert_expires_in(&longer.reload().await.unwrap(), MINUTE * 60);
    // A shorter answer does not shorten a session that exists, until it is signed in again.
    let shorter = longer.update(|visitor| visitor.minutes = 5).await.unwrap();
    assert_expires_in(&shorter, MINUTE * 60);
    let parts = HandshakeBuilder::request("/login").session_cookie(&app.cookie, shorter.id());
    let visitor = Visitor {
        minutes: 5,
        latest: None,
    };
    let signed_in = app.sessions.sign_in(&parts.into_parts(), visitor).await;
    assert_expires_in(&signed_in.unwrap(), MINUTE * 5);
    // A rotation evaluates it, too.
    let session = app.visitor(10).await;
    tokio::time::sleep(MINUTE * 4).await;
    let rotated = app.sessions.rotate(&session).await.unwrap();
    assert_expires_in(&rotated, MINUTE * 10);
}

#[tokio::test(start_paused = true)]
async fn the_update_succeeds_although_the_touch_after_it_fails() {
    let app = App::new(by_data);
    let session = app.visitor(10).await;
    app.faults
        .on(Call::Touch, Fault::Error(StoreErrorKind::Unavailable));
    let updated = session
        .update(|visitor| visitor.minutes = 60)
        .await
        .unwrap();
    assert_eq!(updated.data().minutes, 60);
    assert_expires_in(&updated, MINUTE * 10);
    app.faults.clear();
    assert_expires_in(&updated.touch().await.unwrap(), MINUTE * 60);
}

#[tokio::test(start_paused = true)]
async fn an_absolute_lifetime_caps_everything_and_takes_effect_at_once() {
    let app = App::new(by_data);
    let session = app.visitor(60).await;
    let latest = SystemTime::now() + MINUTE * 20;
    let capped = session
        .update(|visitor| visitor.latest = Some(latest))
        .await
        .unwrap();
    assert_expires_in(&capped, MINUTE * 20);
    assert_expires_in(&capped.touch().await.unwrap(), MINUTE * 20);
    assert_expires_in(&capped.touch_for(MINUTE * 90).await.unwrap(), MINUTE * 20);
    assert_expires_in(&capped.reload().await.unwrap(), MINUTE * 20);
    let limited = Visitor {
        minutes: 60,
        latest: Some(latest),
    };
    for created in [
        app.sessions.create(limited.clone()).await.unwrap(),
        app.sessions
            .create_for(limited.clone(), MINUTE * 90)
            .await
            .unwrap(),
    ] {
        assert_expires_in(&created, MINUTE * 20);
    }
    // Lifted again, it lives on.
    let lifted = capped
        .update(|visitor| visitor.latest = None)
        .await
        .unwrap();
    assert_expires_in(&lifted, MINUTE * 60);
    // In the past, it is over.
    let past = SystemTime::now() - MINUTE;
    let _ = lifted.update(|visitor| visitor.latest = Some(past)).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(app.request(&lifted).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn closures_that_panic_end_neither_the_worker_nor_the_limit() {
    let app = App::new(|bridge| bridge.ttl_of(|_| panic!("ttl_of")));
    let session = app.visitor(1).await;
    assert_expires_in(&session, MINUTE * 60 * 24);
    let app = App::new(|bridge| {
        bridge.max_lifetime(|visitor| {
            assert_ne!(visitor.minutes, 2, "max_lifetime");
            None
        })
    });
    let session = app.visitor(1).await;
    let _ = session.update(|visitor| visitor.minutes = 2).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(app.request(&session).await.is_none());
    assert!(session.reload().await.is_err());
    // None is created whose limit is not known.
    let (minutes, latest) = (2, None);
    let created = app.sessions.create(Visitor { minutes, latest }).await;
    let kind = created.unwrap_err().kind();
    assert_eq!(kind, StoreErrorKind::NoLifetime);
}

#[tokio::test(start_paused = true)]
async fn touch_for_extends_and_never_shortens() {
    let app = App::new(|bridge| bridge.ttl(MINUTE * 30));
    let session = app.visitor(0).await;
    let longer = session.touch_for(MINUTE * 90).await.unwrap();
    assert_expires_in(&longer, MINUTE * 90);
    let same = longer.touch_for(MINUTE).await.unwrap();
    assert_expires_in(&same, MINUTE * 90);
    assert_expires_in(&same.reload().await.unwrap(), MINUTE * 90);
}

// --- What counts --------------------------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn a_failed_touch_is_made_by_a_later_use() {
    let app = App::new(|bridge| bridge.ttl(MINUTE * 10).touch_on_activity(MINUTE * 8));
    let session = app.visitor(0).await;
    tokio::time::sleep(MINUTE * 9).await;
    app.faults
        .on(Call::Touch, Fault::Error(StoreErrorKind::Unavailable));
    assert!(app.request(&session).await.is_some());
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(app.touches(), 1);
    app.faults.clear();
    assert!(app.request(&session).await.is_some());
    tokio::time::sleep(MINUTE * 5).await;
    assert_eq!(app.touches(), 2);
    assert!(app.request(&session).await.is_some());
}

/// A server with events that take no session, and a session that lives for an hour but ten minutes.
async fn server_with_events(
    bridge: fn(SessionBridgeBuilder<User>) -> SessionBridgeBuilder<User>,
) -> Server {
    let add_events = |io: &socketioxide::SocketIo, sessions: &SessionBridge<User>| {
        let on_connect = async |socket: SocketRef| {
            socket.on("quiet", async |ack: AckSender| {
                ack.send("quiet").ok();
            });
            let handler = async |_: SocketRef, ack: AckSender| {
                ack.send("active").ok();
            };
            socket.on("active", active::<User, _>(handler));
            socket.on(
                "other",
                active::<u32, _>(async |ack: AckSender| {
                    ack.send("other").ok();
                }),
            );
            socket.emit("session", "in").ok();
        };
        io.ns("/events", on_connect.with(sessions.require()));
        io.ns("/guests", on_connect.with(sessions.optional()));
    };
    let setup = Setup::new().namespace(add_events).bridge(bridge);
    setup.start().await
}

/// Touches of a session whose next touch is due at once.
fn due_at_once(bridge: SessionBridgeBuilder<User>) -> SessionBridgeBuilder<User> {
    bridge.ttl(MINUTE * 60).touch_on_activity(MINUTE)
}

async fn due(server: &Server) -> Session<User> {
    let user = User {
        name: "Ann".into(),
        visits: 0,
    };
    server.sessions.create_for(user, MINUTE * 30).await.unwrap()
}

#[tokio::test]
async fn an_admission_counts_although_no_handler_takes_the_session() {
    let server = server_with_events(due_at_once).await;
    let ann = due(&server).await;
    let mut tab = server.client(&[("cookie", &server.pair(&ann))]).await;
    assert_eq!(server.faults.calls(Call::Touch), 0, "the opening is none");
    tab.connect("/events").await;
    until("it is touched", || server.faults.calls(Call::Touch) == 1).await;
    let expires_in = |session: &Session<User>| {
        session
            .expires_at()
            .unwrap()
            .duration_since(SystemTime::now())
            .unwrap()
    };
    until("it is known", || expires_in(&ann.latest()) > MINUTE * 59).await;
}

#[tokio::test]
async fn events_count_where_their_handler_is_wrapped() {
    // Nothing is due at the admission.
    let server = server_with_events(|bridge| {
        bridge
            .ttl(MINUTE * 60)
            .touch_on_activity(Duration::from_secs(3))
    })
    .await;
    let ann = server.login("Ann").await;
    let mut tab = server.client(&[("cookie", &server.pair(&ann))]).await;
    tab.connect("/events").await;
    // Longer than the interval after the session was created.
    tokio::time::sleep(Duration::from_millis(3_200)).await;
    assert_eq!(tab.ask("/events", "quiet").await, r#"["quiet"]"#);
    assert_eq!(tab.ask("/events", "other").await, r#"["other"]"#);
    assert_eq!(server.faults.calls(Call::Touch), 0);
    // Nor do polls.
    let pair = server.pair(&ann);
    let fields: [(&str, &[u8]); 1] = [("cookie", pair.as_bytes())];
    let mut polling = Polling::open(server.http().await, "", &fields).await;
    polling.post("40/guests,").await;
    polling.packet_of("42/guests").await;
    until("its admission is a use", || {
        server.faults.calls(Call::Touch) == 1
    })
    .await;
    tokio::time::sleep(Duration::from_millis(3_200)).await;
    for _ in 0..5 {
        polling.post(r#"42/guests,1["quiet"]"#).await;
        polling.packet_of("43/guests").await;
    }
    assert_eq!(server.faults.calls(Call::Touch), 1);
    for _ in 0..5 {
        assert_eq!(tab.ask("/events", "active").await, r#"["active"]"#);
    }
    until("it is touched", || server.faults.calls(Call::Touch) >= 2).await;
    // An anonymous socket has nothing to keep alive, and its events are handled.
    let mut guest = server.client(&[]).await;
    guest.connect("/guests").await;
    assert_eq!(guest.ask("/guests", "active").await, r#"["active"]"#);
}

#[tokio::test]
async fn after_the_end_a_wrapped_handler_runs_as_any_other() {
    let server = server_with_events(due_at_once).await;
    let ann = server.login("Ann").await;
    let mut tab = server.client(&[("cookie", &server.pair(&ann))]).await;
    tab.connect("/events").await;
    let touches = server.faults.calls(Call::Touch);
    let rotated = server.sessions.rotate(&ann).await.unwrap();
    // It is inert for a second.
    assert_eq!(tab.ask("/events", "active").await, r#"["active"]"#);
    assert_eq!(server.faults.calls(Call::Touch), touches);
    assert!(!rotated.has_ended());
}

#[tokio::test]
async fn being_connected_counts_only_where_it_is_to_count() {
    for counts in [false, true] {
        let server = server_with_events(match counts {
            true => |bridge| {
                bridge
                    .ttl(Duration::from_secs(6))
                    .touch_on_activity(Duration::from_millis(200))
                    .touch_while_connected()
            },
            // So that nothing is due at the admission.
            false => |bridge| {
                bridge
                    .ttl(Duration::from_secs(6))
                    .touch_on_activity(Duration::from_secs(4))
            },
        })
        .await;
        let ann = server.login("Ann").await;
        let mut tab = server.client(&[("cookie", &server.pair(&ann))]).await;
        tab.connect("/events").await;
        if counts {
            // Sixty intervals are two lifetimes.
            until("it was touched again and again", || {
                server.faults.calls(Call::Touch) >= 60
            })
            .await;
            assert!(!ann.has_ended());
            let touches = server.faults.calls(Call::Touch);
            tab.close().await;
            until("it expires when the tab is closed", || {
                ann.has_ended() || ann.expires_at().is_none()
            })
            .await;
            assert!(server.faults.calls(Call::Touch) <= touches + 1);
        } else {
            until("it expires", || ann.has_ended()).await;
            assert_eq!(server.faults.calls(Call::Touch), 0);
        }
    }
}

// --- Settings -----------------------------------------------------------------------------------

#[test]
fn settings_that_contradict_each_other_are_named() {
    let keys = Keyring::new(SecretKey::generate().unwrap());
    let cookie = SignedCookie::new("sid", &keys).unwrap();
    let builder = || SessionBridge::builder(cookie.clone(), Arc::new(MemoryStore::<u32>::new()));
    let read_only =
        || SessionBridge::builder(cookie.clone(), ReadOnly(MemoryStore::<SampleData>::new()));
    let error = |builder: SessionBridgeBuilder<u32>| builder.build().unwrap_err();
    let hour = MINUTE * 60;
    let century = hour * 24 * 365 * 100;
    for (builder, message) in [
        (
            builder().touch_while_connected().no_touch_on_activity(),
            "`touch_while_connected` and `no_touch_on_activity` can't both be set",
        ),
        (
            builder().ttl(hour).ttl_of(|_| MINUTE),
            "`ttl` and `ttl_of` can't both be set",
        ),
        (
            builder().ttl(MINUTE).touch_on_activity(hour),
            "`touch_on_activity` is too long for `ttl`",
        ),
        (
            builder().touch_on_activity(hour).ttl(hour),
            "`touch_on_activity` is too long for `ttl`",
        ),
        (
            builder().revalidate_every(hour).max_stale(MINUTE),
            "`revalidate_every` is too long for `max_stale`",
        ),
        (
            builder().ttl(century + MINUTE),
            "`ttl` is longer than a hundred years",
        ),
    ] {
        assert_eq!(error(builder).to_string(), message);
    }
    for (setting, builder) in [
        ("ttl", builder().ttl(Duration::ZERO)),
        (
            "touch_on_activity",
            builder().touch_on_activity(Duration::ZERO),
        ),
        (
            "revalidate_every",
            builder().revalidate_every(Duration::ZERO),
        ),
        ("max_stale", builder().max_stale(Duration::ZERO)),
        ("store_timeout", builder().store_timeout(Duration::ZERO)),
    ] {
        assert_eq!(error(builder), BridgeConfigError::Zero { setting });
    }
    // A default yields to what was set.
    for builder in [
        builder().touch_on_activity(hour * 48),
        builder().ttl(Duration::from_secs(5)),
        builder().ttl_of(|_| MINUTE).touch_on_activity(hour),
        builder().max_stale(Duration::from_secs(5)),
        builder().revalidate_every(hour),
        builder()
            .ttl(Duration::from_secs(5))
            .touch_while_connected(),
        builder().revalidate_every(hour).max_stale(hour),
        // The last of the two calls counts.
        builder().touch_on_activity(MINUTE).no_touch_on_activity(),
    ] {
        assert!(builder.build().is_ok());
    }
    for (builder, setting) in [
        (read_only().touch_on_activity(MINUTE), "touch_on_activity"),
        (read_only().touch_while_connected(), "touch_while_connected"),
    ] {
        let error = builder.build().unwrap_err();
        assert_eq!(error, BridgeConfigError::NoTouch { setting });
    }
    for builder in [read_only(), read_only().ttl(hour).no_touch_on_activity()] {
        assert!(builder.build().is_ok());
    }
}
