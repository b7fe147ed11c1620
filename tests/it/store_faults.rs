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

/// What each fault must become.
const FAULTS: [(Fault, StoreErrorKind); 5] = [
    (
        Fault::Error(StoreErrorKind::Unavailable),
        StoreErrorKind::Unavailable,
    ),
    (Fault::Error(StoreErrorKind::Decode), StoreErrorKind::Decode),
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
        server
            .refuses(&format!("{fault:?}"), &brings, "STORE_ERROR")
            .await;
        // Who brings nothing is not even asked about.
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
    server.admits("the store is back", &brings).await;
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
        Call::Touch => session.touch().await,
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
                _ => session.touch().await.unwrap(),
            }
        }
    }
    // The deletions that failed are done again.
    soon("the deletions", async {
        while server.sessions.live_sessions() > 0 {
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
async fn a_rejection_hook_that_panics_or_hangs_keeps_nobody_waiting() {
    let calls = Arc::new(AtomicUsize::new(0));
    let (release, hang) = std::sync::mpsc::channel::<()>();
    let (count, hang) = (calls.clone(), Mutex::new(hang));
    let setup = Setup::new().bridge(|bridge| {
        bridge.on_rejection(move |_, _| {
            assert!(
                count.fetch_add(1, Ordering::SeqCst) != 0,
                "a hook that panics"
            );
            let _ = hang.lock().unwrap().recv();
        })
    });
    let server = setup.start().await;
    for _ in 0..3 {
        server
            .refuses_unasked("nothing", &Brings::nothing(), "NO_COOKIE")
            .await;
    }
    until("it panicked, and the next one hangs", || {
        calls.load(Ordering::SeqCst) == 2
    })
    .await;
    drop(release);
}

/// A server whose namespace `/hooked` says its last word with this hook.
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
    let panics = hooked(|_, _| panic!("a last word that panics")).await;
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
