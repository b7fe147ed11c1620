//! The application decides whether a session may go on.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use parking_lot::Mutex;
use socketioxide_session::{Session, testing::HandshakeBuilder};

use crate::support::server::{Server, Setup, User};

const NO_SESSION: &str = r#"44{"message":"NO_SESSION"}"#;
const STORE_ERROR: &str = r#"44{"message":"STORE_ERROR"}"#;
/// Longer than a test runs, so that only `revalidate` loads live sessions again.
const SELDOM: Duration = Duration::from_hours(1);

/// What the application answers.
#[derive(Clone, Default)]
struct Judge {
    suspended: Arc<Mutex<HashSet<String>>>,
    trouble: Arc<Mutex<Option<Trouble>>>,
    asked: Arc<AtomicUsize>,
}

#[derive(Debug, Clone, Copy)]
enum Trouble {
    Error,
    Panic,
    Hang,
}

impl Judge {
    async fn admits(&self, user: &User) -> Result<bool, std::io::Error> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        // So that all that come at the same time wait for this answer.
        tokio::task::yield_now().await;
        let trouble = *self.trouble.lock();
        match trouble {
            None => Ok(!self.suspended.lock().contains(&user.name)),
            Some(Trouble::Error) => Err(std::io::Error::other("the users are away")),
            Some(Trouble::Panic) => panic!("a closure of the application that panics"),
            Some(Trouble::Hang) => std::future::pending().await,
        }
    }

    fn suspend(&self, name: &str) {
        self.suspended.lock().insert(name.to_owned());
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    async fn server(&self, revalidate_every: Duration) -> Server {
        let judge = self.clone();
        let setup = Setup::new().say_why().bridge(move |bridge| {
            bridge
                .revalidate_every(revalidate_every)
                .max_stale(SELDOM * 2)
                .store_timeout(Duration::from_millis(200))
                .verify(move |user| {
                    let judge = judge.clone();
                    async move { judge.admits(&user).await }
                })
        });
        setup.start().await
    }
}

async fn refused(server: &Server, session: &Session<User>) -> String {
    let headers = [("cookie", &*server.pair(session))];
    server.client(&headers).await.refused("/", "").await
}

#[tokio::test]
async fn a_session_that_is_refused_ends_its_sockets_and_opens_none() {
    let judge = Judge::default();
    let server = judge.server(SELDOM).await;
    let (phone, laptop, bob) = (
        server.login("Ann").await,
        server.login("Ann").await,
        server.login("Bob").await,
    );
    let mut tabs = [
        server.connected(&phone).await,
        server.connected(&phone).await,
        server.connected(&laptop).await,
    ];
    let mut bobs = server.connected(&bob).await;
    judge.suspend("Ann");
    server.sessions.revalidate().await;
    // It returns when all of them are checked.
    assert!(phone.has_ended() && laptop.has_ended() && !bob.has_ended());
    for tab in &mut tabs {
        assert_eq!(tab.frame().await, r#"42["ended","revoked"]"#);
        assert_eq!(tab.frame().await, "41");
    }
    let name = r#"[{"name":"Bob","visits":0}]"#;
    assert_eq!(bobs.ask("/", "whoami").await, name);
    assert_eq!(refused(&server, &phone).await, NO_SESSION);
    let request = HandshakeBuilder::request("/").session_cookie(&server.cookie, phone.id());
    let rejected = server.sessions.from_request(&request.into_parts()).await;
    assert_eq!(rejected.unwrap_err().reason(), "revoked");
    assert!(server.sessions.get(phone.id()).await.unwrap().is_none());
    // The record is left alone: the user may come back.
    judge.suspended.lock().clear();
    let again = server.store.load(phone.id()).await.unwrap();
    assert_eq!(again.unwrap().data.name, "Ann");
}

#[tokio::test]
async fn it_is_asked_with_each_load_of_a_live_session() {
    let judge = Judge::default();
    let server = judge.server(Duration::from_millis(50)).await;
    let ann = server.login("Ann").await;
    let mut tab = server.connected(&ann).await;
    judge.suspend("Ann");
    assert_eq!(tab.frame().await, r#"42["ended","revoked"]"#);
    assert_eq!(tab.frame().await, "41");
}

#[tokio::test]
async fn callers_that_share_a_load_share_its_answer() {
    for admitted in [true, false] {
        let judge = Judge::default();
        let server = judge.server(SELDOM).await;
        let ann = server.login("Ann").await;
        let (id, cookie) = (ann.id().clone(), server.cookie.clone());
        // A handle holds what is known of the session.
        drop(ann);
        if !admitted {
            judge.suspend("Ann");
        }
        let requests = (0..20).map(|_| {
            let request = HandshakeBuilder::request("/").session_cookie(&cookie, &id);
            let sessions = server.sessions.clone();
            async move { sessions.from_request(&request.into_parts()).await.is_ok() }
        });
        let found = join_all(requests).await;
        assert_eq!(found, [admitted; 20]);
        assert_eq!((judge.asked(), server.loads()), (1, 1));
    }
}

#[tokio::test]
async fn without_an_answer_nothing_is_admitted_and_live_sockets_stay() {
    for trouble in [Trouble::Error, Trouble::Panic, Trouble::Hang] {
        let judge = Judge::default();
        let server = judge.server(SELDOM).await;
        let (ann, bob) = (server.login("Ann").await, server.login("Bob").await);
        let mut tab = server.connected(&ann).await;
        *judge.trouble.lock() = Some(trouble);
        server.sessions.revalidate().await;
        let bob_pair = server.pair(&bob);
        let mut refused = server.client(&[("cookie", &*bob_pair)]).await;
        // What is known of a session that has a handle was never verified.
        drop(bob);
        assert_eq!(refused.refused("/", "").await, STORE_ERROR, "{trouble:?}");
        let name = r#"[{"name":"Ann","visits":0}]"#;
        assert_eq!(tab.ask("/", "whoami").await, name, "{trouble:?}");
        assert!(!ann.has_ended());
        // The answer counts again when there is one.
        *judge.trouble.lock() = None;
        judge.suspend("Ann");
        server.sessions.revalidate().await;
        assert_eq!(tab.frame().await, r#"42["ended","revoked"]"#);
    }
}
