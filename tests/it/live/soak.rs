//! Many tasks that sign in, connect, update, touch, rotate and sign out at random, and a simple
//! model that must agree with what is left.

use std::sync::Arc;

use parking_lot::Mutex;
use socketioxide_session::{Session, UpdateError};

use crate::support::{
    server::{Server, Setup, User},
    socket::Client,
    soon, until,
};

const TASKS: u64 = 12;
const STEPS: usize = 400;
const SLOTS: usize = 8;

/// Expected state of one session.
struct Model {
    session: Session<User>,
    acknowledged: u32,
    over: bool,
}

type Slots = Arc<Vec<Mutex<Model>>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_soak_agrees_with_a_simple_model() {
    let server = Arc::new(Setup::new().say_why().start().await);
    let mut slots = Vec::new();
    for _ in 0..SLOTS {
        slots.push(Mutex::new(model(&server).await));
    }
    let slots: Slots = Arc::new(slots);
    let tasks = (0..TASKS).map(|seed| tokio::spawn(run(server.clone(), slots.clone(), seed)));
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    for slot in slots.iter() {
        let (session, acknowledged, over) = {
            let model = slot.lock();
            (model.session.clone(), model.acknowledged, model.over)
        };
        let stored = server.store.load(session.id()).await.unwrap();
        match over {
            true => assert!(stored.is_none() && session.has_ended()),
            false => assert_eq!(stored.unwrap().data.visits, acknowledged),
        }
    }
    // All clients have left: nothing is left.
    until("no socket is left", || server.sessions.live_sockets() == 0).await;
    server.assert_empty().await;
    // A client that goes before its connect handler runs has no disconnect handler yet.
    assert!(server.disconnects() <= server.connects());
}

async fn model(server: &Server) -> Model {
    Model {
        session: server.login("Ann").await,
        acknowledged: 0,
        over: false,
    }
}

async fn run(server: Arc<Server>, slots: Slots, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut tabs: Vec<Client> = Vec::new();
    for _ in 0..STEPS {
        let slot = &slots[random.usize(..SLOTS)];
        let session = slot.lock().session.clone();
        match random.u32(..100) {
            0..30 => connect(&server, &session, &mut tabs).await,
            30..70 => update(slot, &session).await,
            70..80 => match session.touch().await {
                Ok(_) | Err(UpdateError::Gone) => {}
                Err(error) => panic!("{error:?}"),
            },
            80..92 if !tabs.is_empty() => {
                let tab = tabs.swap_remove(random.usize(..tabs.len()));
                tab.close().await;
            }
            92..95 => rotate(&server, slot, &session).await,
            95..97 => end(&server, slot, &session).await,
            _ => tokio::task::yield_now().await,
        }
    }
    for tab in tabs {
        tab.close().await;
    }
}

async fn connect(server: &Server, session: &Session<User>, tabs: &mut Vec<Client>) {
    let mut tab = server.client(&[("cookie", &server.pair(session))]).await;
    tab.send("40").await;
    let frame = tab.frame().await;
    if frame.starts_with("40{") {
        tabs.push(tab);
    } else {
        // Refused only because it had ended here, a moment before it is gone from the store.
        assert_eq!(frame, r#"44{"message":"NO_SESSION"}"#);
        assert!(session.has_ended());
        soon("it is deleted", async {
            while server.store.load(session.id()).await.unwrap().is_some() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        tab.close().await;
    }
}

async fn update(slot: &Mutex<Model>, session: &Session<User>) {
    match session.update(|user| user.visits += 1).await {
        Ok(_) => {
            let mut model = slot.lock();
            // Data that was saved before a rotation came along with it.
            model.acknowledged += 1;
        }
        Err(UpdateError::Gone) => {}
        Err(error) => panic!("{error:?}"),
    }
}

async fn rotate(server: &Server, slot: &Mutex<Model>, session: &Session<User>) {
    if let Ok(rotated) = server.sessions.rotate(session).await {
        assert!(session.has_ended());
        let mut model = slot.lock();
        assert!(
            model.session.id() == session.id(),
            "two rotations of one id"
        );
        model.session = rotated;
    }
}

async fn end(server: &Server, slot: &Mutex<Model>, session: &Session<User>) {
    {
        let mut model = slot.lock();
        if model.session.id() != session.id() {
            return;
        }
        model.over = true;
    }
    // A rotation that is under way may have taken it elsewhere; then the new one is ended.
    session.end().await.unwrap();
    loop {
        let now = slot.lock().session.clone();
        now.end().await.unwrap();
        if slot.lock().session.id() == now.id() {
            break;
        }
    }
    let _ = server;
}
