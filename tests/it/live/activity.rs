//! Sessions that are kept alive by being used.

use std::time::Duration;

use socketioxide_session::{
    Keyring, MemoryStore, SecretKey, SessionBridge, SignedCookie,
    bridge::SessionBridgeBuilder,
    testing::{Call, FaultyStore, HandshakeBuilder},
};

use crate::support::server::Setup;

#[tokio::test(start_paused = true)]
async fn activity_touches_at_most_once_per_interval_and_never_shortens() {
    let minute = Duration::from_mins(1);
    let keys = Keyring::new(SecretKey::generate().unwrap());
    let cookie = SignedCookie::new("sid", &keys).unwrap();
    let (store, faults) = FaultyStore::new(MemoryStore::<u32>::new());
    let sessions = SessionBridge::builder(cookie.clone(), store)
        .ttl(minute * 30)
        .touch_on_activity(minute * 5)
        .build()
        .unwrap();
    let session = sessions.create(0).await.unwrap();
    let parts = HandshakeBuilder::request("/").session_cookie(&cookie, session.id());
    let parts = parts.into_parts();
    // Used every minute for three hours: it outlives its 30 minutes, and is touched every fifth.
    for _ in 0..180 {
        tokio::time::sleep(minute).await;
        let _ = sessions.from_request(&parts).await.unwrap();
    }
    tokio::time::sleep(minute).await;
    let touches = faults.calls(Call::Touch);
    assert!((29..=36).contains(&touches), "{touches} touches");
    // A longer life is not shortened.
    let long = sessions.create_for(0, minute * 600).await.unwrap();
    let parts = HandshakeBuilder::request("/").session_cookie(&cookie, long.id());
    let parts = parts.into_parts();
    tokio::time::sleep(minute * 10).await;
    let _ = sessions.from_request(&parts).await.unwrap();
    tokio::time::sleep(minute).await;
    assert_eq!(faults.calls(Call::Touch), touches);
    // Not used any more, it expires.
    tokio::time::sleep(minute * 31).await;
    assert!(session.reload().await.is_err());
}

#[tokio::test]
async fn an_event_keeps_the_session_alive() {
    let setup = Setup::new().bridge(|bridge| {
        bridge
            .ttl(Duration::from_secs(6))
            .touch_on_activity(Duration::from_millis(200))
    });
    let server = setup.start().await;
    let ann = server.login("Ann").await;
    let mut tab = server.connected(&ann).await;
    for _ in 0..20 {
        assert_eq!(
            tab.ask("/", "whoami").await,
            r#"[{"name":"Ann","visits":0}]"#
        );
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    assert!(!ann.has_ended());
    assert!(server.faults.calls(Call::Touch) >= 2);
}

/// Number of touches of a session that is used every ten seconds for `time`.
async fn touches(
    time: Duration,
    set: impl FnOnce(SessionBridgeBuilder<u32>) -> SessionBridgeBuilder<u32>,
) -> usize {
    let keys = Keyring::new(SecretKey::generate().unwrap());
    let cookie = SignedCookie::new("sid", &keys).unwrap();
    let (store, faults) = FaultyStore::new(MemoryStore::<u32>::new());
    let builder = SessionBridge::builder(cookie.clone(), store);
    let sessions = set(builder).build().unwrap();
    let session = sessions.create(0).await.unwrap();
    let parts = HandshakeBuilder::request("/").session_cookie(&cookie, session.id());
    let parts = parts.into_parts();
    let began = tokio::time::Instant::now();
    while began.elapsed() < time {
        tokio::time::sleep(Duration::from_secs(10)).await;
        let _ = sessions.from_request(&parts).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    faults.calls(Call::Touch)
}

/// Without any setting: once in a tenth of the lifetime, but every five minutes at most.
#[tokio::test(start_paused = true)]
async fn activity_extends_the_session_by_default() {
    let minute = Duration::from_mins(1);
    // It outlives its half an hour, by a touch every three minutes.
    let touched = touches(minute * 90, |bridge| bridge.ttl(minute * 30)).await;
    assert!((27..=30).contains(&touched), "{touched} touches");
    let touched = touches(minute * 90, |bridge| bridge.ttl(minute * 60 * 24)).await;
    assert!((16..=18).contains(&touched), "{touched} touches");
    // The lifetime is the bridge's default.
    let touched = touches(minute * 90, |bridge| bridge).await;
    assert!((1..=30).contains(&touched), "{touched} touches");
}

#[tokio::test(start_paused = true)]
async fn activity_can_be_left_out_of_account() {
    let minute = Duration::from_mins(1);
    let touched = touches(minute * 90, |bridge| {
        bridge.ttl(minute * 120).no_touch_on_activity()
    });
    assert_eq!(touched.await, 0);
}
