//! Operation: spans, log levels, the end of the process, and a store that is away.

use std::time::Duration;

use socketioxide_session::{
    SessionStore as _,
    store::StoreErrorKind,
    testing::{Call, Fault, HandshakeBuilder},
};

use crate::support::{
    log::{OwnLog, with_spans},
    polling::Polling,
    server::{Server, Setup, User},
    soon, until,
};

// --- Spans --------------------------------------------------------------------------------------

#[tokio::test]
async fn an_admission_has_a_span_with_namespace_and_fingerprint() {
    let log = OwnLog::begin();
    let _spans = with_spans(&log, "socketioxide_session=debug");
    let server = Server::start().await;
    let ann = server.login("Ann").await;
    let mut tab = server.connected(&ann).await;
    tab.connect("/admin").await;
    let mut stranger = server.client(&[]).await;
    stranger.refused("/", "").await;
    let text = log.text();
    let fingerprint = ann.id().fingerprint();
    let line = |namespace: &str| {
        format!(
            "admission{{namespace=\"{namespace}\" session=\"{fingerprint}\"}}: \
             socketioxide_session::admission: close"
        )
    };
    for namespace in ["/", "/admin"] {
        assert!(text.contains(&line(namespace)), "{text}");
    }
    // The lines in between are within the span, and their fields are those of the guide.
    let rejection = text
        .lines()
        .find(|line| line.contains("session rejected"))
        .unwrap();
    for part in [
        "admission{namespace=\"/\"}",
        "socketioxide_session::rejection",
        "code=\"NO_COOKIE\"",
        "reason=\"no-cookie\"",
        "namespace=\"/\"",
    ] {
        assert!(rejection.contains(part), "{part} in {rejection}");
    }
    for secret in [ann.id().expose(), &*server.pair(&ann), &*tab.sid] {
        assert!(!text.contains(secret), "{text}");
    }
}

#[tokio::test]
async fn a_span_that_is_off_records_nothing_in_the_span_around() {
    let log = OwnLog::begin();
    let _spans = with_spans(&log, "application=debug,socketioxide_session=info");
    let server = Server::start().await;
    let ann = server.login("Ann").await;
    let span = tracing::debug_span!(target: "application", "own", session = tracing::field::Empty);
    let entered = span.enter();
    let mut tab = server.client(&[("cookie", &server.pair(&ann))]).await;
    tab.connect("/").await;
    drop(entered);
    assert!(!log.text().contains(&ann.id().fingerprint()));
}

#[tokio::test]
async fn a_whole_visit_leaves_no_secret_in_the_log() {
    let log = OwnLog::begin();
    let _spans = with_spans(&log, "socketioxide_session=trace");
    let setup = Setup::new().say_why().bridge(|bridge| {
        bridge
            .ttl(Duration::from_hours(1))
            .touch_on_activity(Duration::from_millis(1))
    });
    let server = setup.start().await;
    let user = User {
        name: "a-name-in-the-data".into(),
        visits: 0,
    };
    let mut secrets = vec![user.name.clone()];
    // A sign-in that ends another session, a visit by cookie and by token, over both transports.
    let old = server.login("Old").await;
    let parts = HandshakeBuilder::request("/login").session_cookie(&server.cookie, old.id());
    let ann = server.sessions.sign_in(&parts.into_parts(), user).await;
    let ann = ann.unwrap();
    let token = server.token.issue(ann.id()).unwrap();
    let pair = server.pair(&ann);
    let mut tab = server.connected(&ann).await;
    tab.connect("/lobby").await;
    assert_eq!(tab.ask("/", "visit").await, "[1]");
    let mut by_token = server.client(&[]).await;
    let auth = format!(r#"{{"token":"{token}"}}"#);
    by_token.connect_with("/", &auth).await;
    let fields: [(&str, &[u8]); 1] = [("cookie", pair.as_bytes())];
    let query = format!("&token={token}");
    let mut polling = Polling::open(server.http().await, &query, &fields).await;
    polling.post("40").await;
    polling.packet_of("42").await;
    // A store that fails, credentials that are no good, a page of another origin.
    server
        .faults
        .on_all(Fault::Error(StoreErrorKind::Unavailable));
    assert!(ann.reload().await.is_err());
    server.faults.clear();
    let forged = format!("{pair}x");
    for headers in [
        vec![("cookie", &*forged)],
        vec![("cookie", &*pair), ("origin", "https://evil.example")],
    ] {
        server.client(&headers).await.refused("/", "").await;
    }
    let bad = format!(r#"{{"token":"{token}x"}}"#);
    server.client(&[]).await.refused("/", &bad).await;
    // A rotation, a sign-out whose deletion fails at first, and a last attempt.
    let rotated = server.sessions.rotate(&ann).await.unwrap();
    server
        .faults
        .on(Call::Delete, Fault::Error(StoreErrorKind::Unavailable));
    let parts = HandshakeBuilder::request("/logout").session_cookie(&server.cookie, rotated.id());
    let signed_out = server.sessions.sign_out(&parts.into_parts()).await;
    assert!(signed_out.is_err());
    server.faults.clear();
    until("it is deleted", || server.sessions.pending_deletions() == 0).await;
    let mut late = server.client(&[("cookie", &server.pair(&rotated))]).await;
    assert_eq!(late.refused("/", "").await, r#"44{"message":"NO_SESSION"}"#);

    for session in [&old, &ann, &rotated] {
        secrets.push(session.id().expose().to_owned());
        secrets.push(server.pair(session));
        // As a browser sends it, and as the server decodes it.
        let issued = server.cookie.issue(session.id());
        secrets.push(issued.value().to_owned());
    }
    secrets.extend([
        token,
        tab.sid.clone(),
        by_token.sid.clone(),
        polling.sid.clone(),
    ]);
    let text = log.text();
    assert!(text.contains(&ann.id().fingerprint()), "{text}");
    for target in ["admission", "rejection", "end", "store"] {
        let target = format!("socketioxide_session::{target}: ");
        assert!(text.contains(&target), "{target} in {text}");
    }
    for secret in secrets {
        assert!(!text.contains(&secret), "{secret} in {text}");
    }
}

#[tokio::test]
async fn rejected_clients_do_not_fill_the_log() {
    let log = OwnLog::begin();
    let _info = with_spans(&log, "socketioxide_session=info");
    let server = Server::start().await;
    let gone = server.login("Ann").await;
    gone.end().await.unwrap();
    let gone = server.pair(&gone);
    for _ in 0..5 {
        for (headers, code) in [
            (vec![], "NO_COOKIE"),
            (vec![("cookie", "sid=forged")], "NO_SESSION"),
            (vec![("cookie", &*gone)], "NO_SESSION"),
            (vec![("origin", "https://evil.example")], "FORBIDDEN"),
        ] {
            let mut client = server.client(&headers).await;
            let refused = client.refused("/", "").await;
            assert_eq!(refused, format!(r#"44{{"message":"{code}"}}"#));
            server.http().await.get("/me", &headers).await;
        }
    }
    // How to allow the origin, once.
    let text = log.text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 1, "{text}");
    for part in [
        "WARN",
        "code=\"FORBIDDEN\"",
        "allow_origin(\"https://evil.example\")",
    ] {
        assert!(lines[0].contains(part), "{part} in {text}");
    }
    // Failures of the store are logged each time.
    server
        .faults
        .on(Call::Load, Fault::Error(StoreErrorKind::Unavailable));
    let ann = server.pair(&Server::start().await.login("Ann").await);
    for n in 1..=2 {
        let mut client = server.client(&[("cookie", &ann)]).await;
        client.refused("/", "").await;
        assert_eq!(log.count("STORE_ERROR"), n, "{}", log.text());
    }
}

// --- Shutdown -----------------------------------------------------------------------------------

#[tokio::test]
async fn a_shutdown_writes_what_is_owed_and_the_clients_come_back_elsewhere() {
    let setup = || {
        Setup::new().bridge(|bridge| {
            bridge
                .ttl(Duration::from_hours(1))
                .touch_on_activity(Duration::from_mins(1))
        })
    };
    let server = setup().start().await;
    let user = server.login("Ann").await.data().clone();
    let ann = server
        .sessions
        .create_for(user, Duration::from_mins(30))
        .await
        .unwrap();
    let bob = server.login("Bob").await;
    server
        .faults
        .on(Call::Delete, Fault::Error(StoreErrorKind::Unavailable));
    assert!(bob.end().await.is_err());
    assert_eq!(server.sessions.pending_deletions(), 1);
    server.faults.clear();
    // A use whose touch is owed, on a store that takes its time.
    server
        .faults
        .on(Call::Touch, Fault::Delay(Duration::from_millis(300)));
    let mut tab = server.connected(&ann).await;
    let within = Duration::from_secs(5);
    assert_eq!(server.sessions.shutdown(within).await, 0);
    assert_eq!(server.sessions.pending_deletions(), 0);
    assert_eq!(server.faults.calls(Call::Touch), 1);
    let stored = server.store.load(ann.id()).await.unwrap().unwrap();
    assert!(
        stored.ttl.unwrap() > Duration::from_mins(59),
        "{:?}",
        stored.ttl
    );
    server.faults.clear();
    let mut late = server.client(&[("cookie", &server.pair(&ann))]).await;
    assert_eq!(
        late.refused("/", "").await,
        r#"44{"message":"STORE_ERROR"}"#
    );
    // The sockets that are here go on until the server is closed.
    assert!(tab.ask("/", "whoami").await.contains("Ann"));
    server.io.close().await;
    soon("the transport is closed", tab.closed()).await;
}

#[tokio::test]
async fn a_shutdown_admits_no_client_whose_session_is_being_loaded() {
    let server = Server::start().await;
    let ann = server.pair(&server.login("Ann").await);
    let mut tab = server.client(&[("cookie", &ann)]).await;
    server
        .faults
        .on(Call::Load, Fault::Delay(Duration::from_millis(300)));
    tab.send("40").await;
    until("it is loaded", || server.faults.calls(Call::Load) == 1).await;
    server.sessions.shutdown(Duration::from_secs(5)).await;
    assert_eq!(tab.frame().await, r#"44{"message":"STORE_ERROR"}"#);
    assert_eq!(server.sessions.live_sockets(), 0);
}

#[tokio::test]
async fn a_shutdown_returns_and_logs_what_is_left() {
    let log = OwnLog::begin();
    let server = Server::start().await;
    let ann = server.login("Ann").await;
    server.faults.on(Call::Delete, Fault::Hang);
    let end = tokio::spawn({
        let ann = ann.clone();
        async move { ann.end().await }
    });
    until("the deletion is owed", || {
        server.sessions.pending_deletions() == 1
    })
    .await;
    let left = server.sessions.shutdown(Duration::from_millis(50)).await;
    assert_eq!(left, 1);
    assert_eq!(log.count("ended sessions are not deleted at shutdown"), 1);
    end.abort();
}

// --- The store is away --------------------------------------------------------------------------

#[tokio::test]
async fn after_store_unreachable_the_page_connects_again_on_its_transport() {
    let setup = Setup::new().say_why().bridge(|bridge| {
        bridge
            .revalidate_every(Duration::from_millis(50))
            .max_stale(Duration::from_millis(300))
    });
    let server = setup.start().await;
    let ann = server.login("Ann").await;
    let mut tab = server.connected(&ann).await;
    server
        .faults
        .on(Call::Load, Fault::Error(StoreErrorKind::Unavailable));
    assert_eq!(
        tab.frame_of("42").await,
        r#"42["ended","store-unreachable"]"#
    );
    // It is a disconnect of the namespace: the transport stays open.
    assert_eq!(tab.frame().await, "41");
    server.removed("/", &tab).await;
    assert_eq!(tab.refused("/", "").await, r#"44{"message":"STORE_ERROR"}"#);
    server.faults.clear();
    soon("it is admitted again", async {
        loop {
            let answer = tab.refused("/", "").await;
            if answer.starts_with("40{") {
                break;
            }
            assert_eq!(answer, r#"44{"message":"STORE_ERROR"}"#);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    tab.frame_of("42[\"session\"").await;
    assert!(tab.ask("/", "whoami").await.contains("Ann"));
}
