//! The room of a user, and sessions that change their user.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use socketioxide::{extract::SocketRef, handler::ConnectHandler as _};
use socketioxide_session::{
    MemoryStore, Session, SessionId, SessionStore as _, UpdateError,
    store::{Created, Saved, StoreErrorKind},
};

use crate::support::{
    log::OwnLog,
    server::{Server, Setup, User},
    socket::Client,
    until,
    users::{ids, user},
};

fn memory() -> MemoryStore<User> {
    MemoryStore::new().user_id(|user: &User| Some(user.name.clone()))
}

async fn server() -> Server {
    Setup::new().say_why().store(memory()).start().await
}

/// Sends to the room of a user; each of these sockets must get it, and no other.
async fn reaches(
    server: &Server,
    name: &str,
    within: &mut [&mut Client],
    others: &mut [&mut Client],
) {
    let room = server.sessions.user_room(name);
    server.io.to(room).emit("news", name).await.unwrap();
    for socket in within {
        let frame = socket.frame_of(r#"42["news""#).await;
        assert_eq!(frame, format!(r#"42["news",{}]"#, serde_json::json!(name)));
    }
    for socket in others {
        // An answer comes after what was sent before it.
        socket.ask_and_be_ignored("/", "maybe").await;
        let frame = socket.frame().await;
        assert!(frame.starts_with("437"), "{frame}");
    }
}

#[tokio::test]
async fn the_room_of_a_user_has_the_sockets_of_all_sessions_whatever_the_id() {
    let long = "x".repeat(1024);
    for name in ["Ann", "é b", "a\0\n", "~x", "a:b {c} [d]*", "日本", &long] {
        let server = server().await;
        let (one, two) = (server.login(name).await, server.login(name).await);
        let mut tabs = [
            server.connected(&one).await,
            server.connected(&one).await,
            server.connected(&two).await,
        ];
        let another: String = name.chars().skip(1).collect();
        let other = server.login(&another).await;
        let mut other = server.connected(&other).await;
        let [a, b, c] = &mut tabs;
        reaches(&server, name, &mut [a, b, c], &mut [&mut other]).await;
        // The name of the room is short and visible, and shows no long id.
        let room = server.sessions.user_room(name);
        assert!(room.len() <= 69 && room.bytes().all(|byte| byte.is_ascii_graphic()));
        // The index has them under the same id.
        let both = [one.id().clone(), two.id().clone()].into();
        assert_eq!(ids(&server.sessions, name).await, both);
        assert_eq!(server.sessions.end_sessions_of_user(name).await.unwrap(), 2);
        for tab in &mut tabs {
            tab.frame_of("41").await;
        }
    }
}

#[tokio::test]
async fn an_id_that_is_too_long_is_an_error_where_it_is_written() {
    let server = server().await;
    let too_long = "x".repeat(1025);
    let error = server.sessions.create(user(&too_long)).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Encode);
    let ann = server.login("Ann").await;
    let saved = ann.update(|user| user.name.clone_from(&too_long)).await;
    let Err(UpdateError::Store(error)) = saved else {
        panic!("{saved:?}");
    };
    assert_eq!(error.kind(), StoreErrorKind::Encode);
    assert_eq!(ann.reload().await.unwrap().data().name, "Ann");
    assert!(ids(&server.sessions, &too_long).await.is_empty());
}

#[tokio::test]
async fn sockets_join_the_room_when_their_session_gains_a_user() {
    let server = server().await;
    let guest = server.login("").await;
    let mut tabs = [
        server.connected(&guest).await,
        server.connected(&guest).await,
    ];
    let mut stranger = server.connected(&server.login("").await).await;
    let [one, two] = &mut tabs;
    reaches(
        &server,
        "",
        &mut [],
        &mut [&mut *one, &mut *two, &mut stranger],
    )
    .await;
    let ann = guest.update(|user| user.name = "Ann".into()).await.unwrap();
    reaches(
        &server,
        "Ann",
        &mut [&mut *one, &mut *two],
        &mut [&mut stranger],
    )
    .await;
    // One that comes later is in the room, too.
    let mut late = server.connected(&ann).await;
    reaches(
        &server,
        "Ann",
        &mut [one, two, &mut late],
        &mut [&mut stranger],
    )
    .await;
    assert!(!ann.has_ended());
}

/// Program that changes the user of a session.
#[derive(Clone, Copy, PartialEq, Debug)]
enum By {
    AnUpdate,
    AnotherProgram,
    /// With a store that reports no changes.
    AnotherProgramInSilence,
}

async fn change(server: &Server, session: &Session<User>, by: By, name: &str) {
    if by == By::AnUpdate {
        let updated = session.update(|user| name.clone_into(&mut user.name)).await;
        assert_eq!(updated.unwrap().data().name, name);
        return;
    }
    let record = server.store.load(session.id()).await.unwrap().unwrap();
    let (store, user) = (&server.store, user(name));
    let saved = store.save(session.id(), &user, &record.revision);
    assert!(matches!(saved.await.unwrap(), Saved::Saved(_)));
}

#[tokio::test]
async fn a_session_whose_user_changes_or_goes_away_ends_its_sockets_whatever_changes_it() {
    for by in [
        By::AnUpdate,
        By::AnotherProgram,
        By::AnotherProgramInSilence,
    ] {
        for name in ["Eve", ""] {
            let setup = Setup::new().say_why().store(memory());
            let setup = setup.bridge(|bridge| bridge.revalidate_every(Duration::from_millis(50)));
            let setup = match by {
                By::AnotherProgramInSilence => setup.without_reports(),
                _ => setup,
            };
            let server = setup.start().await;
            let (ann, other) = (server.login("Ann").await, server.login("Ann").await);
            let mut tabs = [server.connected(&ann).await, server.connected(&ann).await];
            let mut stays = server.connected(&other).await;
            change(&server, &ann, by, name).await;
            for tab in &mut tabs {
                let why = tab.frame_of("42").await;
                assert_eq!(why, r#"42["ended","user-changed"]"#, "{by:?}");
                assert_eq!(tab.frame().await, "41");
            }
            assert!(ann.has_ended());
            // The session exists: it is that of the new user, for whom the cookie is good.
            let mut again = server.connected(&ann).await;
            reaches(&server, "Ann", &mut [&mut stays], &mut [&mut again]).await;
            if !name.is_empty() {
                reaches(&server, name, &mut [&mut again], &mut [&mut stays]).await;
                assert_eq!(ids(&server.sessions, name).await, [ann.id().clone()].into());
            }
            assert_eq!(
                ids(&server.sessions, "Ann").await,
                [other.id().clone()].into()
            );
        }
    }
}

/// A change of anything else ends nothing.
#[tokio::test]
async fn a_change_of_other_data_leaves_the_sockets_alone() {
    let server = server().await;
    let ann = server.login("Ann").await;
    let mut tab = server.connected(&ann).await;
    let _updated = ann.update(|user| user.visits += 1).await.unwrap();
    let name = r#"[{"name":"Ann","visits":1}]"#;
    assert_eq!(tab.ask("/", "whoami").await, name);
    reaches(&server, "Ann", &mut [&mut tab], &mut []).await;
}

/// The application's closure panics for one user. No session of that user is written, because it would be
/// missing from "log out everywhere".
#[tokio::test]
async fn a_user_id_that_panics_is_an_error_where_it_is_written() {
    let memory = MemoryStore::new().user_id(|user: &User| {
        assert_ne!(user.name, "odd", "this user has no id");
        Some(user.name.clone())
    });
    let server = Setup::new().store(memory).start().await;
    let error = server.sessions.create(user("odd")).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Other);
    let ann = server.login("Ann").await;
    let mut tab = server.connected(&ann).await;
    assert!(ann.update(|user| user.name = "odd".into()).await.is_err());
    let name = r#"[{"name":"Ann","visits":0}]"#;
    assert_eq!(tab.ask("/", "whoami").await, name);
    assert_eq!(
        ids(&server.sessions, "Ann").await,
        [ann.id().clone()].into()
    );
}

/// Another program wrote the record. Its sockets are admitted, without the room of a user.
#[tokio::test]
async fn a_user_id_that_panics_is_logged_where_the_data_is_read() {
    let log = OwnLog::begin();
    let plain = MemoryStore::new();
    let memory = plain.clone().user_id(|user: &User| {
        assert_ne!(user.name, "odd", "this user has no id");
        Some(user.name.clone())
    });
    let server = Setup::new().store(memory).start().await;
    let id = SessionId::generate().unwrap();
    let (odd, hour) = (user("odd"), Duration::from_hours(1));
    let created = plain.create(&id, &odd, hour).await;
    assert!(matches!(created, Ok(Created::Created(_))));
    let odd = server.sessions.get(&id).await.unwrap().unwrap();
    let line = "a callback panicked callback=\"`user_id`\"";
    assert_eq!(log.count(line), 0);
    let mut tab = server.connected(&odd).await;
    assert_eq!(log.count(line), 1, "{}", log.text());
    let name = r#"[{"name":"odd","visits":0}]"#;
    assert_eq!(tab.ask("/", "whoami").await, name);
}

/// A client left, and came back on its transport with another session. The application holds the first
/// socket, so the first session has it still. Rooms go by the id of the transport, which is the same.
#[tokio::test]
async fn a_session_that_gains_a_user_puts_no_successor_of_its_socket_into_the_room() {
    let held: Arc<Mutex<Vec<SocketRef>>> = Arc::default();
    let holding = held.clone();
    let setup = Setup::new().store(memory());
    let setup = setup.namespace(move |io, sessions| {
        let on_connect = async move |socket: SocketRef, session: Session<User>| {
            let _ = socket.emit("session", session.data());
            holding.lock().push(socket);
        };
        io.ns("/held", on_connect.with(sessions.require()));
    });
    let server = setup.start().await;
    let (first, second) = (server.login("").await, server.login("Eve").await);
    let auth = |session: &Session<User>| {
        let token = server.token.issue(session.id()).unwrap();
        format!(r#"{{"token":"{token}"}}"#)
    };
    for comes_back in [false, true] {
        let mut client = server.client(&[]).await;
        client.connect_with("/held", &auth(&first)).await;
        client.send("41/held,").await;
        let namespace = || server.io.of("/held").unwrap();
        until("it has left", || namespace().sockets().is_empty()).await;
        if comes_back {
            client.connect_with("/held", &auth(&second)).await;
        }
        let ann = server.sessions.get(first.id()).await.unwrap().unwrap();
        let ann = ann.update(|user| user.name = "Ann".into()).await.unwrap();
        let room = server.sessions.user_room("Ann");
        let in_room = namespace().within(room).sockets();
        assert!(in_room.is_empty(), "{in_room:?}");
        let rooms = namespace().rooms().await.unwrap();
        assert!(!rooms.iter().any(|room| room.ends_with("Ann")), "{rooms:?}");
        // For the second round.
        let _ = ann.update(|user| user.name = String::new()).await.unwrap();
    }
    assert_eq!(held.lock().len(), 3);
}
