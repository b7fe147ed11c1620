//! Sockets of ended sessions, and user code that panics, blocks or never ends meanwhile.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use socketioxide::{extract::SocketRef, handler::ConnectHandler as _};
use socketioxide_session::{Session, SessionStore as _};
use tokio::sync::Notify;

use super::quick;
use crate::support::{
    server::{Server, Setup, User},
    soon, until,
};

/// Behavior of a disconnect handler.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Handler {
    PanicsAtOnce,
    PanicsInItsFuture,
    NeverEnds,
}

impl Handler {
    const ALL: [Self; 3] = [Self::PanicsAtOnce, Self::PanicsInItsFuture, Self::NeverEnds];

    fn add_to(self, socket: &SocketRef) {
        match self {
            Self::PanicsAtOnce => socket.on_disconnect(|_: SocketRef| {
                let panics = true;
                assert!(!panics, "the synchronous part of a disconnect handler");
                async {}
            }),
            Self::PanicsInItsFuture => socket.on_disconnect(async |_: SocketRef| {
                let panics = true;
                assert!(!panics, "the future of a disconnect handler");
            }),
            Self::NeverEnds => socket.on_disconnect(async || std::future::pending::<()>().await),
        }
    }
}

/// A server whose namespace `/odd` has such a disconnect handler for the first of its sockets.
async fn odd(handler: Handler) -> Server {
    let setup = Setup::new().bridge(quick).namespace(move |io, sessions| {
        let count = Arc::new(AtomicUsize::new(0));
        let on_connect = async move |socket: SocketRef| {
            socket.join("news");
            if count.fetch_add(1, Ordering::SeqCst) == 0 {
                handler.add_to(&socket);
            }
            socket.emit("session", "in").ok();
        };
        io.ns("/odd", on_connect.with(sessions.require()));
    });
    setup.start().await
}

/// Lets this much time pass at once.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

impl Server {
    fn in_room(&self, namespace: &str, room: &str) -> usize {
        let namespace = self.io.of(namespace).unwrap();
        namespace.within(room.to_owned()).sockets().len()
    }

    fn connected_in(&self, namespace: &str) -> usize {
        let sockets = self.io.of(namespace).unwrap().sockets();
        sockets.iter().filter(|socket| socket.connected()).count()
    }
}

#[tokio::test]
async fn a_disconnect_handler_that_panics_or_hangs_harms_no_other_socket() {
    for handler in Handler::ALL {
        for elsewhere in [false, true] {
            let server = odd(handler).await;
            let ann = server.login("Ann").await;
            let cookie = server.pair(&ann);
            let mut tabs = Vec::new();
            for _ in 0..5 {
                let mut tab = server.client(&[("cookie", &cookie)]).await;
                tab.connect("/odd").await;
                tabs.push(tab);
            }
            match elsewhere {
                true => assert!(server.store.delete(ann.id()).await.unwrap()),
                false => ann.end().await.unwrap(),
            }
            for tab in &mut tabs {
                assert_eq!(tab.frame().await, "41/odd,", "{handler:?}");
            }
            assert!(server.store.load(ann.id()).await.unwrap().is_none());
            // socketioxide tells the client before it takes the socket out of its rooms.
            until("they are out of all rooms", || {
                server.connected_in("/odd") == 0
                    && server.in_room("/odd", "news") == 0
                    && server.in_room("/odd", &ann.room()) == 0
            })
            .await;
            server.assert_empty().await;
            // A handler whose future panics or never ends keeps the socket in its namespace, for a
            // minute.
            if handler != Handler::PanicsAtOnce {
                pass(Duration::from_secs(61)).await;
            }
            until("it is gone", || {
                server.io.of("/odd").unwrap().sockets().is_empty()
            })
            .await;
        }
    }
}

/// The client leaves by itself. socketioxide keeps the socket in its namespace then; the session lets
/// go of it with the next check.
#[tokio::test]
async fn a_client_whose_disconnect_handler_does_not_end_is_let_go() {
    for handler in [Handler::PanicsInItsFuture, Handler::NeverEnds] {
        let server = odd(handler).await;
        let ann = server.login("Ann").await;
        let mut tab = server.client(&[("cookie", &server.pair(&ann))]).await;
        tab.connect("/odd").await;
        assert_eq!(server.sessions.live_sockets(), 1);
        tab.close().await;
        until("it is let go", || server.sessions.live_sockets() == 0).await;
        server.assert_empty().await;
        // Nothing asks the store about it any more.
        let loads = server.loads();
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(server.loads(), loads);
        ann.end().await.unwrap();
        server.assert_empty().await;
    }
}

#[tokio::test]
async fn after_its_namespace_or_server_was_closed_no_socket_is_live() {
    for whole in [true, false] {
        let server = Setup::new().bridge(quick).start().await;
        let ann = server.login("Ann").await;
        let mut tab = server.client(&[("cookie", &server.pair(&ann))]).await;
        tab.connect("/admin").await;
        assert_eq!(server.sessions.live_sockets(), 1);
        match whole {
            true => soon("closed", server.io.close()).await,
            false => server.io.delete_ns("/admin"),
        }
        until("nothing is live", || {
            server.sessions.live_sockets() == 0 && server.sessions.live_sessions() == 0
        })
        .await;
    }
}

/// A middleware that runs after ours rejects the socket, and the application holds it: it never enters
/// its namespace, and nothing tells that it never will. After a minute it is let go.
#[tokio::test]
async fn a_socket_that_a_later_middleware_rejected_is_let_go() {
    let held = Arc::new(Mutex::new(Vec::new()));
    let setup = {
        let held = held.clone();
        Setup::new().bridge(quick).namespace(move |io, sessions| {
            let reject = async move |socket: SocketRef| {
                held.lock().unwrap().push(socket);
                Err::<(), _>("NOT_AN_ADMIN")
            };
            let on_connect = async |_: SocketRef| {};
            io.ns("/no", on_connect.with(reject).with(sessions.require()));
        })
    };
    let server = setup.start().await;
    let ann = server.login("Ann").await;
    let mut tab = server.client(&[("cookie", &server.pair(&ann))]).await;
    let frame = tab.refused("/no", "").await;
    assert_eq!(frame, r#"44/no,{"message":"NOT_AN_ADMIN"}"#);
    tab.close().await;
    assert_eq!(held.lock().unwrap().len(), 1);
    pass(Duration::from_secs(3_601)).await;
    server.assert_empty().await;
    assert_eq!(server.sessions.live_sockets(), 0);
}

// --- Successors ---------------------------------------------------------------------------------

impl Server {
    fn token_of(&self, session: &Session<User>) -> String {
        format!(
            r#"{{"token":"{}"}}"#,
            self.token.issue(session.id()).unwrap()
        )
    }
}

/// After a rotation, a client connects again on its transport. The old socket is captured in its own
/// handler, and its disconnect handler takes a while: the new one keeps its rooms.
#[tokio::test]
async fn a_successor_on_the_same_transport_keeps_its_rooms() {
    let disconnect = Arc::new(Notify::new());
    let setup = {
        let disconnect = disconnect.clone();
        Setup::new().namespace(move |io, sessions| {
            let on_connect = async move |socket: SocketRef| {
                socket.join("chat");
                let captured = socket.clone();
                socket.on("echo", async move |_: SocketRef| {
                    captured.emit("echo", "").ok();
                });
                socket.on_disconnect(async move || disconnect.notified().await);
                socket.emit("session", "in").ok();
            };
            io.ns("/chat", on_connect.with(sessions.require()));
        })
    };
    let server = setup.start().await;
    let ann = server.login("Ann").await;
    let mut tab = server.client(&[]).await;
    tab.connect_with("/chat", &server.token_of(&ann)).await;
    let new = server.sessions.rotate(&ann).await.unwrap();
    tab.frame_of("41/chat,").await;
    disconnect.notify_one();
    // socketioxide ignores a connect while the old disconnect handler runs.
    until("the old socket is gone", || {
        server.io.of("/chat").unwrap().sockets().is_empty()
    })
    .await;
    tab.connect_with("/chat", &server.token_of(&new)).await;
    // Until the old socket is looked at the last time.
    for _ in 0..30 {
        assert_eq!(server.in_room("/chat", "chat"), 1);
        assert_eq!(server.in_room("/chat", &new.room()), 1);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A later middleware rejected the first attempt, and the application holds that socket.
#[tokio::test]
async fn a_rejected_socket_leaves_the_rooms_of_its_successor_alone() {
    let held = Arc::new(Mutex::new(Vec::new()));
    let reject_next = Arc::new(AtomicBool::new(true));
    let setup = {
        let held = held.clone();
        Setup::new().namespace(move |io, sessions| {
            let reject = async move |socket: SocketRef| {
                if reject_next.swap(false, Ordering::SeqCst) {
                    held.lock().unwrap().push(socket);
                    return Err("TRY_AGAIN");
                }
                Ok(())
            };
            let on_connect = async move |socket: SocketRef| {
                socket.join("chat");
                socket.emit("session", "in").ok();
            };
            io.ns("/chat", on_connect.with(reject).with(sessions.require()));
        })
    };
    let server = setup.start().await;
    let (ann, bob) = (server.login("Ann").await, server.login("Bob").await);
    let mut tab = server.client(&[]).await;
    let frame = tab.refused("/chat", &server.token_of(&ann)).await;
    assert!(frame.contains("TRY_AGAIN"), "{frame}");
    ann.end().await.unwrap();
    tab.connect_with("/chat", &server.token_of(&bob)).await;
    for _ in 0..20 {
        assert_eq!(server.in_room("/chat", "chat"), 1);
        assert_eq!(server.in_room("/chat", &bob.room()), 1);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(held.lock().unwrap().len(), 1);
}

/// The same, but the session of the rejected socket ends while the later middleware decides on its
/// successor.
#[tokio::test]
async fn a_rejected_socket_leaves_the_rooms_of_a_connecting_successor_alone() {
    let held = Arc::new(Mutex::new(Vec::new()));
    let (arrived, admit) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let setup = {
        let (held, arrived, admit) = (held.clone(), arrived.clone(), admit.clone());
        Setup::new().namespace(move |io, sessions| {
            let decide = async move |socket: SocketRef| {
                let mut first = Some(socket);
                {
                    let mut held = held.lock().unwrap();
                    if held.is_empty() {
                        held.extend(first.take());
                    }
                }
                if first.is_none() {
                    return Err("TRY_AGAIN");
                }
                arrived.notify_one();
                admit.notified().await;
                Ok(())
            };
            let on_connect = async move |socket: SocketRef| {
                socket.emit("session", "in").ok();
            };
            io.ns("/chat", on_connect.with(decide).with(sessions.require()));
        })
    };
    let server = setup.start().await;
    let (ann, bob) = (server.login("Ann").await, server.login("Bob").await);
    let mut tab = server.client(&[]).await;
    let frame = tab.refused("/chat", &server.token_of(&ann)).await;
    assert!(frame.contains("TRY_AGAIN"), "{frame}");
    tab.send(&format!("40/chat,{}", server.token_of(&bob)))
        .await;
    soon("the successor connects", arrived.notified()).await;
    ann.end().await.unwrap();
    // Longer than any interval at which the old socket is looked at.
    tokio::time::sleep(Duration::from_millis(100)).await;
    admit.notify_one();
    tab.frame_of("42/chat,").await;
    assert_eq!(server.in_room("/chat", &bob.room()), 1);
    assert_eq!(held.lock().unwrap().len(), 1);
}

// --- Others are not delayed ---------------------------------------------------------------------

/// The synchronous part of one user's disconnect handler blocks: another user's logout on another
/// node is noticed all the same.
#[tokio::test]
async fn a_disconnect_handler_that_blocks_delays_no_other_end() {
    let (release, blocks) = std::sync::mpsc::channel::<()>();
    let blocks = Arc::new(Mutex::new(blocks));
    let blocked = Arc::new(Notify::new());
    let setup = {
        let blocked = blocked.clone();
        Setup::new().namespace(move |io, sessions| {
            let on_connect = async move |socket: SocketRef| {
                socket.on_disconnect(move |_: SocketRef| {
                    blocked.notify_one();
                    let _ = blocks.lock().unwrap().recv();
                    async {}
                });
                socket.emit("session", "in").ok();
            };
            io.ns("/blocks", on_connect.with(sessions.require()));
        })
    };
    let server = setup.start().await;
    let (ann, bob) = (server.login("Ann").await, server.login("Bob").await);
    let mut anns = server.client(&[("cookie", &server.pair(&ann))]).await;
    anns.connect("/blocks").await;
    let mut bobs = server.connected(&bob).await;
    server.store.delete(ann.id()).await.unwrap();
    soon("its handler blocks", blocked.notified()).await;
    server.store.delete(bob.id()).await.unwrap();
    assert_eq!(bobs.frame().await, "41");
    drop(release);
    server.assert_empty().await;
}

/// Rejections of strangers, whose hook is slow, silence no end hook.
#[tokio::test]
async fn rejections_keep_no_end_hook_from_running() {
    let (release, blocks) = std::sync::mpsc::channel::<()>();
    let blocks = Mutex::new(blocks);
    let setup = Setup::new().say_why().bridge(|bridge| {
        bridge.on_rejection(move |_, _| {
            let _ = blocks.lock().unwrap().recv();
        })
    });
    let server = setup.start().await;
    let ann = server.login("Ann").await;
    let mut tab = server.connected(&ann).await;
    let mut stranger = server.client(&[]).await;
    for _ in 0..200 {
        let frame = stranger.refused("/", "").await;
        assert_eq!(frame, r#"44{"message":"NO_COOKIE"}"#);
    }
    ann.end().await.unwrap();
    assert_eq!(tab.frame().await, r#"42["ended","deleted"]"#);
    drop(release);
}
