//! Stores, extractors and hooks that fail, hang and panic: every client gets its answer.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use socketioxide::{extract::SocketRef, handler::ConnectHandler as _};
use socketioxide_session::{
    EndReason, Session, SessionId, SessionIdExtractor, UpdateError,
    extractor::{ExtractError, Handshake},
    store::StoreErrorKind,
    testing::{Call, Fault},
};

use crate::support::{
    check::Brings,
    log,
    server::{DynExtractor, Server, Setup, User},
    soon, until,
};

const TIMEOUT: Duration = Duration::from_millis(250);

async fn server() -> Server {
    Setup::new()
        .bridge(|bridge| bridge.store_timeout(TIMEOUT))
        .start()
        .await
}

/// Expected outcome of each fault.
const FAULTS: [(Fault, StoreErrorKind); 4] = [
    (
        Fault::Error(StoreErrorKind::Unavailable),
        StoreErrorKind::Unavailable,
    ),
    (Fault::Hang, StoreErrorKind::Timeout),
    (
        Fault::Delay(Duration::from_mins(1)),
        StoreErrorKind::Timeout,
    ),
    (Fault::Panic, StoreErrorKind::Other),
];

#[tokio::test]
async fn a_load_that_fails_is_a_store_error_for_every_client() {
    let server = server().await;
    let ann = server.login("Ann").await;
    let brings = Brings::nothing().cookie(server.pair(&ann));
    for (fault, _) in FAULTS {
        server.faults.on(Call::Load, fault);
        // The last failure is remembered for a second.
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        server
            .refuses(&format!("{fault:?}"), &brings, "STORE_ERROR")
            .await;
        // For clients without a credential the store is not called.
        server
            .refuses_unasked("nothing", &Brings::nothing(), "NO_COOKIE")
            .await;
        // Where a session is optional, a failure is not "none".
        let mut client = server.client(&[("cookie", &server.pair(&ann))]).await;
        let frame = client.refused("/lobby", "").await;
        assert_eq!(frame, r#"44/lobby,{"message":"STORE_ERROR"}"#);
        client.close().await;
        let mut http = server.http().await;
        let answer = http.get("/me", &[("cookie", &server.pair(&ann))]).await;
        assert_eq!(
            (answer.status, &*answer.body),
            (503, r#"{"error":"STORE_ERROR"}"#)
        );
    }
    server.faults.clear();
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    server.admits("the store is back", &brings).await;
}

#[tokio::test]
async fn a_record_that_does_not_decode_is_no_session_and_no_failure_of_the_store() {
    let server = server().await;
    let ann = server.login("Ann").await;
    let brings = Brings::nothing().cookie(server.pair(&ann));
    server
        .faults
        .on(Call::Load, Fault::Error(StoreErrorKind::Decode));
    server.refuses("undecodable", &brings, "NO_SESSION").await;
    let mut http = server.http().await;
    let answer = http.get("/me", &[("cookie", &server.pair(&ann))]).await;
    assert_eq!(
        (answer.status, &*answer.body),
        (401, r#"{"error":"NO_SESSION"}"#)
    );
    // Where a session is optional, the client is anonymous.
    let mut client = server.client(&[("cookie", &server.pair(&ann))]).await;
    client.connect("/lobby").await;
    assert_eq!(client.ask("/lobby", "maybe").await, "[false]");
    let refused = ann.update(|user| user.visits += 1).await;
    assert!(refused.is_ok(), "what was created here is known");
    let refused = ann.reload().await;
    assert!(matches!(refused, Err(UpdateError::Unreadable(_))));
    client.close().await;
    server.assert_empty().await;
}

#[tokio::test]
async fn the_cause_is_in_the_log_and_not_on_the_wire() {
    let server = server().await;
    let ann = server.login("Ann").await;
    server
        .faults
        .on(Call::Load, Fault::Error(StoreErrorKind::TooLarge));
    let brings = Brings::nothing().cookie(server.pair(&ann));
    server.refuses("too large", &brings, "STORE_ERROR").await;
    let log = log::captured();
    assert!(log.contains("the session is too large for the store"));
    assert!(!log.contains(ann.id().expose()));
}

/// The error of a call that was made on a session.
async fn error_of(server: &Server, call: Call, session: &Session<User>) -> StoreErrorKind {
    let failed = match call {
        Call::Create => {
            let user = session.data().clone();
            server
                .sessions
                .create(user)
                .await
                .map(|_| ())
                .map_err(UpdateError::Store)
        }
        Call::Load => session.reload().await.map(|_| ()),
        Call::Save => session
            .reload()
            .await
            .unwrap()
            .update(|_| ())
            .await
            .map(|_| ()),
        Call::Touch => session.touch().await.map(|_| ()),
        Call::Rename => server.sessions.rotate(session).await.map(|_| ()),
        _ => session.end().await.map_err(UpdateError::Store),
    };
    match failed {
        Err(UpdateError::Store(error)) => error.kind(),
        other => panic!("{call:?}: {other:?}"),
    }
}

#[tokio::test]
async fn each_of_the_six_calls_may_fail_hang_and_panic() {
    let server = server().await;
    for call in Call::ALL {
        for (fault, kind) in FAULTS {
            let session = server.login("Ann").await;
            server.faults.on(call, fault);
            let failed = soon("an error", error_of(&server, call, &session)).await;
            assert_eq!(failed, kind, "{call:?} {fault:?}");
            server.faults.clear();
            // Nothing hangs on: the next call works, unless the session has ended here.
            match call {
                Call::Delete => assert!(session.has_ended()),
                _ => drop(session.touch().await.unwrap()),
            }
        }
    }
    // The deletions that failed are done again.
    soon("the deletions", async {
        while server.sessions.pending_deletions() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_event_whose_save_fails_is_answered() {
    let server = server().await;
    let ann = server.login("Ann").await;
    let mut client = server.connected(&ann).await;
    for (fault, _) in FAULTS {
        server.faults.on(Call::Save, fault);
        assert_eq!(client.ask("/", "visit").await, "[null]", "{fault:?}");
    }
    server.faults.clear();
    assert_eq!(client.ask("/", "visit").await, "[1]");
}

struct Panics;

impl SessionIdExtractor for Panics {
    fn extract(&self, _: &Handshake<'_>) -> Result<SessionId, ExtractError> {
        panic!("an extractor that panics");
    }
}

#[tokio::test]
async fn an_extractor_that_panics_is_a_store_error() {
    let setup = Setup::new().extractor(|_, _| DynExtractor::new(Panics));
    let server = setup.start().await;
    server
        .refuses_unasked("a panic", &Brings::nothing(), "STORE_ERROR")
        .await;
}

#[tokio::test]
async fn a_rejection_hook_that_panics_or_hangs_delays_no_client() {
    let calls = Arc::new(AtomicUsize::new(0));
    let gate = Arc::new((std::sync::Mutex::new(false), std::sync::Condvar::new()));
    let hang = gate.clone();
    let count = calls.clone();
    let setup = Setup::new().bridge(|bridge| {
        bridge.on_rejection(move |_, _| {
            assert!(
                count.fetch_add(1, Ordering::SeqCst) != 0,
                "a hook that panics"
            );
            let opened = hang.0.lock().unwrap();
            drop(hang.1.wait_while(opened, |opened| !*opened).unwrap());
        })
    });
    let server = setup.start().await;
    for _ in 0..3 {
        server
            .refuses_unasked("nothing", &Brings::nothing(), "NO_COOKIE")
            .await;
    }
    // The first panicked, and all others hang, without delay to each other or to a client.
    until("all were called", || calls.load(Ordering::SeqCst) == 12).await;
    *gate.0.lock().unwrap() = true;
    gate.1.notify_all();
}

/// A server whose namespace `/hooked` has this end hook.
async fn hooked(hook: impl Fn(SocketRef, EndReason) + Send + Sync + Clone + 'static) -> Server {
    Setup::new()
        .namespace(move |io, sessions| {
            let on_connect = async |socket: SocketRef, session: Session<User>| {
                socket.emit("session", &session.data().name).unwrap();
            };
            io.ns("/hooked", on_connect.with(sessions.require().on_end(hook)));
        })
        .start()
        .await
}

#[tokio::test]
async fn a_last_word_is_said_before_the_disconnect() {
    let server = hooked(|socket, reason| {
        socket.emit("ended", reason.as_str()).unwrap();
    })
    .await;
    let ann = server.login("Ann").await;
    let mut client = server.client(&[("cookie", &server.pair(&ann))]).await;
    client.connect("/hooked").await;
    ann.end().await.unwrap();
    assert_eq!(client.frame().await, r#"42/hooked,["ended","deleted"]"#);
    assert_eq!(client.frame().await, "41/hooked,");
    server.assert_empty().await;
}

#[tokio::test]
async fn a_last_word_that_panics_or_hangs_keeps_no_socket_open() {
    let panics = hooked(|_, _| panic!("an end hook that panics")).await;
    let (release, hang) = std::sync::mpsc::channel::<()>();
    let hang = Arc::new(Mutex::new(hang));
    let hangs = hooked(move |_, _| {
        let _ = hang.lock().unwrap().recv();
    })
    .await;
    for server in [panics, hangs] {
        let ann = server.login("Ann").await;
        let mut clients = Vec::new();
        for _ in 0..2 {
            let mut client = server.client(&[("cookie", &server.pair(&ann))]).await;
            client.connect("/hooked").await;
            clients.push(client);
        }
        ann.end().await.unwrap();
        for mut client in clients {
            assert_eq!(client.frame().await, "41/hooked,");
        }
        server.assert_empty().await;
    }
    drop(release);
}
