//! `Session` and `MaybeSession` in the handlers of socketioxide.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use socketioxide::{
    extract::{AckSender, SocketRef},
    handler::ConnectHandler as _,
    socket::DisconnectReason,
};
use socketioxide_session::{
    MaybeSession, MemoryStore, Session, SessionBridge, socketio::SocketSessionError,
};

use tokio::sync::Notify;

use crate::support::{
    log::OwnLog,
    server::{Server, Setup, User},
    until,
};

type Log = Arc<Mutex<Vec<String>>>;

fn log() -> (Log, impl Fn(String) + Clone + Send + Sync + 'static) {
    let log = Log::default();
    let writer = log.clone();
    (log, move |line| writer.lock().unwrap().push(line))
}

#[tokio::test]
async fn several_namespaces_and_tabs_share_one_session() {
    let server = Server::start().await;
    let ann = server.login("Ann").await;
    let mut one = server.connected(&ann).await;
    one.connect("/admin").await;
    one.connect("/lobby").await;
    let mut two = server.connected(&ann).await;
    assert_eq!(server.sessions.live_sessions(), 1);
    assert_eq!(server.sessions.live_sockets(), 4);
    assert_eq!(server.loads(), 1, "they share one load");
    assert_eq!(one.ask("/", "visit").await, "[1]");
    assert_eq!(
        two.ask("/", "whoami").await,
        r#"[{"name":"Ann","visits":1}]"#
    );
    assert_eq!(
        one.ask("/admin", "whoami").await,
        r#"[{"name":"Ann","visits":1}]"#
    );
    one.close().await;
    two.close().await;
    until("all are gone", || server.disconnects() == 4).await;
    server.assert_empty().await;
}

/// socketioxide sends the connect packet before it runs the connect handler.
#[tokio::test]
async fn an_event_right_after_the_connect_packet_needs_a_handler_from_a_middleware() {
    let (release, ready) = (Arc::new(Notify::new()), Arc::new(AtomicBool::new(false)));
    let (released, added) = (release.clone(), ready.clone());
    let setup = Setup::new().namespace(move |io, sessions| {
        let add_early = async |socket: SocketRef| {
            socket.on("early", async |session: Session<User>, ack: AckSender| {
                ack.send(&session.data().name).ok();
            });
            Ok::<_, Infallible>(())
        };
        let on_connect = async move |socket: SocketRef, _: Session<User>| {
            released.notified().await;
            socket.on("late", async |_: Session<User>, ack: AckSender| {
                ack.send("late").ok();
            });
            added.store(true, Ordering::SeqCst);
        };
        io.ns(
            "/events",
            on_connect.with(add_early).with(sessions.require()),
        );
    });
    let server = setup.start().await;
    let ann = server.login("Ann").await;
    let mut tab = server.client(&[("cookie", &server.pair(&ann))]).await;
    tab.send("40/events,").await;
    assert!(tab.frame().await.starts_with("40/events,{"));
    // It has no handler yet, so it is lost: the next answer is that of the next event.
    tab.send(r#"42/events,7["late"]"#).await;
    assert_eq!(tab.ask("/events", "early").await, r#"["Ann"]"#);
    release.notify_one();
    until("the handler is there", || ready.load(Ordering::SeqCst)).await;
    assert_eq!(tab.ask("/events", "late").await, r#"["late"]"#);
}

#[tokio::test]
async fn an_anonymous_socket_has_none_and_handlers_that_want_one_do_not_run() {
    let log = OwnLog::begin();
    let server = Server::start().await;
    let mut client = server.client(&[]).await;
    client.connect("/lobby").await;
    assert_eq!(client.ask("/lobby", "maybe").await, "[false]");
    client.ask_and_be_ignored("/lobby", "whoami").await;
    assert_eq!(client.ask("/lobby", "maybe").await, "[false]");
    assert_eq!(log.count("an event was dropped"), 1);
    let ann = server.login("Ann").await;
    let mut client = server.client(&[("cookie", &server.pair(&ann))]).await;
    client.connect("/lobby").await;
    assert_eq!(client.ask("/lobby", "maybe").await, "[true]");
}

#[tokio::test]
async fn the_room_reaches_every_socket_of_the_session_and_no_other() {
    let server = Server::start().await;
    let (ann, bob) = (server.login("Ann").await, server.login("Bob").await);
    let mut tabs = [server.connected(&ann).await, server.connected(&ann).await];
    let mut other = server.connected(&bob).await;
    assert!(!ann.room().contains(ann.id().expose()));
    server.io.to(ann.room()).emit("news", &1).await.unwrap();
    for tab in &mut tabs {
        assert_eq!(tab.frame().await, r#"42["news",1]"#);
    }
    assert_eq!(
        other.ask("/", "whoami").await,
        r#"[{"name":"Bob","visits":0}]"#
    );
}

#[tokio::test]
async fn disconnect_handlers_see_the_session_also_after_its_end() {
    let (log, write) = log();
    let setup = Setup::new().namespace(move |io, sessions| {
        let on_connect = async move |socket: SocketRef, session: Session<User>| {
            socket.emit("session", &session.data().name).unwrap();
            socket.on_disconnect(
                async move |session: Session<User>, reason: DisconnectReason| {
                    write(format!(
                        "{} {} {reason:?}",
                        session.data().name,
                        session.has_ended()
                    ));
                },
            );
        };
        io.ns("/presence", on_connect.with(sessions.require()));
    });
    let server = setup.start().await;
    let ann = server.login("Ann").await;
    let cookie = server.pair(&ann);
    let mut one = server.client(&[("cookie", &cookie)]).await;
    one.connect("/presence").await;
    one.send("41/presence,").await;
    until("it left", || log.lock().unwrap().len() == 1).await;
    let mut two = server.client(&[("cookie", &cookie)]).await;
    two.connect("/presence").await;
    ann.end().await.unwrap();
    until("it was put out", || log.lock().unwrap().len() == 2).await;
    let expected = [
        "Ann false ClientNSDisconnect",
        "Ann true ServerNSDisconnect",
    ];
    assert_eq!(*log.lock().unwrap(), expected);
    server.assert_empty().await;
}

#[tokio::test]
async fn without_the_middleware_no_handler_runs_and_the_client_is_put_out() {
    let (log, write) = log();
    let setup = Setup::new().namespace(move |io, _| {
        let (one, two) = (write.clone(), write);
        io.ns("/bare", async move |_: SocketRef, _: Session<User>| {
            one("session".into());
        });
        io.ns(
            "/bare-maybe",
            async move |_: SocketRef, _: MaybeSession<User>| two("maybe".into()),
        );
    });
    let server = setup.start().await;
    for namespace in ["/bare", "/bare-maybe"] {
        let mut client = server.client(&[]).await;
        client.send(&format!("40{namespace},")).await;
        assert!(client.frame().await.starts_with(&format!("40{namespace},")));
        assert_eq!(client.frame().await, format!("41{namespace},"));
    }
    assert!(log.lock().unwrap().is_empty());
    assert_eq!(
        SocketSessionError::MissingMiddleware.to_string(),
        "NO_SESSION"
    );
}

#[tokio::test]
async fn other_middlewares_see_the_session_when_they_run_after_ours() {
    let log = OwnLog::begin();
    let setup = Setup::new().namespace(|io, sessions| {
        let on_connect = async |socket: SocketRef| socket.emit("session", "in").unwrap();
        let only_ann = async |session: Session<User>| match &*session.data().name {
            "Ann" => Ok(()),
            _ => Err("NOT_ANN"),
        };
        // The last one named is called first.
        io.ns("/after", on_connect.with(only_ann).with(sessions.require()));
        io.ns(
            "/before",
            on_connect.with(sessions.require()).with(only_ann),
        );
    });
    let server = setup.start().await;
    let (ann, bob) = (server.login("Ann").await, server.login("Bob").await);
    let mut client = server.client(&[("cookie", &server.pair(&ann))]).await;
    client.connect("/after").await;
    let refused = client.refused("/before", "").await;
    assert_eq!(refused, r#"44/before,{"message":"NO_SESSION"}"#);
    assert!(log.text().contains("the last one runs first"));
    client.close().await;
    let mut client = server.client(&[("cookie", &server.pair(&bob))]).await;
    let refused = client.refused("/after", "").await;
    assert_eq!(refused, r#"44/after,{"message":"NOT_ANN"}"#);
    server.assert_empty().await;
}

#[tokio::test]
async fn two_bridges_of_two_types_on_one_namespace() {
    let setup = Setup::new().namespace(|io, sessions| {
        let keys = crate::support::server::keyring(1, &[]);
        let cookie = socketioxide_session::SignedCookie::new("cart", &keys).unwrap();
        let carts = SessionBridge::builder(cookie, MemoryStore::<Vec<u32>>::new())
            .build()
            .unwrap();
        let on_connect =
            async |socket: SocketRef,
                   user: Session<User>,
                   MaybeSession(cart): MaybeSession<Vec<u32>>| {
                let both = (&user.data().name, cart.map(|cart| cart.data().clone()));
                socket.emit("session", &both).unwrap();
                socket.on(
                    "both",
                    async |_: Session<User>, cart: MaybeSession<Vec<u32>>, ack: AckSender| {
                        ack.send(&cart.0.is_none()).unwrap();
                    },
                );
            };
        io.ns(
            "/shop",
            on_connect.with(sessions.require()).with(carts.optional()),
        );
    });
    let server = setup.start().await;
    let ann = server.login("Ann").await;
    let mut client = server.client(&[("cookie", &server.pair(&ann))]).await;
    client.connect("/shop").await;
    assert_eq!(client.ask("/shop", "both").await, "[true]");
}
