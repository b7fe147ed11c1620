//! Random calls on many sessions, and a model of what must be listed at the end.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use http::request::Parts;
use socketioxide_session::{Session, SessionBridge, SessionId};

use super::{
    server::User,
    users::{cookie, ids, listed, user},
};

pub(crate) const USERS: usize = 1_000;
const SESSIONS: usize = 10_000;
const STEPS: usize = 10_000;
const TASKS: usize = 50;
const HOUR: Duration = Duration::from_hours(1);
/// Lifetime of a session that expires during the test.
pub(crate) const SHORT: Duration = Duration::from_millis(500);
/// The sessions of the one user with many.
const MANY: usize = 10_000;

/// The user of each session that must exist.
pub(crate) type Model = HashMap<SessionId, String>;

/// Random calls on the sessions of one task.
struct Actor {
    nodes: Vec<SessionBridge<User>>,
    random: fastrand::Rng,
    alive: Vec<SessionId>,
    model: Model,
}

impl Actor {
    fn new(nodes: Vec<SessionBridge<User>>, seed: u64) -> Self {
        Self {
            nodes,
            random: fastrand::Rng::with_seed(seed),
            alive: Vec::new(),
            model: Model::new(),
        }
    }

    fn node(&mut self) -> SessionBridge<User> {
        let nth = self.random.usize(..self.nodes.len());
        self.nodes[nth].clone()
    }

    fn name(&mut self) -> String {
        format!("user {}", self.random.usize(..USERS))
    }

    fn note(&mut self, session: &Session<User>) {
        let id = session.id().clone();
        self.model.insert(id.clone(), session.data().name.clone());
        self.alive.push(id);
    }

    /// Takes a session out of the model, and loads it at one of the nodes.
    async fn take(&mut self) -> Session<User> {
        let nth = self.random.usize(..self.alive.len());
        let id = self.alive.swap_remove(nth);
        let name = self.model.remove(&id).unwrap();
        let session = self.node().get(&id).await.unwrap().unwrap();
        assert_eq!(session.data().name, name);
        session
    }

    async fn run(mut self) -> Model {
        for _ in 0..SESSIONS / TASKS {
            let (node, name) = (self.node(), self.name());
            self.note(&node.create(user(&name)).await.unwrap());
        }
        for _ in 0..STEPS / TASKS {
            self.step().await;
        }
        self.model
    }

    async fn step(&mut self) {
        let (node, name) = (self.node(), self.name());
        match self.random.u8(..12) {
            0..2 => self.note(&node.create(user(&name)).await.unwrap()),
            // A login over an earlier session, which ends.
            2..5 => {
                let before = self.take().await;
                let parts = showing(&before);
                self.note(&node.sign_in(&parts, user(&name)).await.unwrap());
            }
            5..7 => {
                let session = self.take().await;
                self.note(&node.rotate(&session).await.unwrap());
            }
            // Another user in the same session.
            7..9 => {
                let session = self.take().await;
                let updated = session.update(|user| user.name.clone_from(&name)).await;
                self.note(&updated.unwrap());
            }
            9 => {
                let session = self.take().await;
                self.note(&session.touch_for(HOUR * 48).await.unwrap());
            }
            10 => {
                let _expires = node.create_for(user(&name), SHORT).await.unwrap();
            }
            _ => self.take().await.end().await.unwrap(),
        }
    }
}

/// A request with the cookie of a session.
fn showing(session: &Session<User>) -> Parts {
    let issued = cookie().issue(session.id());
    let request = http::Request::post("/login")
        .header("host", "example.com")
        .header("cookie", format!("{}={}", issued.name(), issued.value()));
    request.body(()).unwrap().into_parts().0
}

/// Runs many tasks, each with sessions of its own, on these nodes. Returns what must exist then.
pub(crate) async fn after_random_calls(nodes: &[SessionBridge<User>]) -> Model {
    let actors = (0..TASKS).map(|seed| Actor::new(nodes.to_vec(), seed as u64));
    let tasks: Vec<_> = actors.map(|actor| tokio::spawn(actor.run())).collect();
    let mut model = Model::new();
    for task in tasks {
        model.extend(task.await.unwrap());
    }
    assert!(model.len() > SESSIONS / 2, "{}", model.len());
    model
}

/// The sessions of each user are those of the model. At most some that expire are there for a moment.
pub(crate) async fn assert_agrees(sessions: &SessionBridge<User>, model: Model) {
    let mut by_user: HashMap<String, HashSet<SessionId>> = HashMap::new();
    for (id, user) in model {
        by_user.entry(user).or_default().insert(id);
    }
    let users: Vec<_> = (0..USERS).map(|nth| format!("user {nth}")).collect();
    let users = stream::iter(users).map(async |name| {
        let listed = ids(sessions, &name).await;
        (name, listed)
    });
    let mut users = users.buffer_unordered(20);
    while let Some((name, listed)) = users.next().await {
        let expected = by_user.remove(&name).unwrap_or_default();
        assert_eq!(listed, expected, "{name}");
    }
    assert!(by_user.is_empty());
}

/// One user with many sessions: all are listed, the newest first, all but one end, and then that one. Others
/// stay.
pub(crate) async fn one_user_with_many(
    sessions: &SessionBridge<User>,
    elsewhere: &SessionBridge<User>,
) {
    let eve = sessions.create(user("Eve")).await.unwrap();
    let calls = (0..MANY).map(|_| sessions.create(user("Ann")));
    let created: Vec<_> = stream::iter(calls).buffered(100).collect().await;
    let created: HashSet<_> = created
        .into_iter()
        .map(|session| session.unwrap().id().clone())
        .collect();
    let listed = listed(elsewhere, "Ann").await;
    assert_eq!(listed.len(), MANY);
    assert!(listed.iter().all(|session| created.contains(session.id())));
    let ended = elsewhere.end_other_sessions(&listed[MANY / 2]).await;
    assert_eq!(ended.unwrap(), MANY - 1);
    let left = [listed[MANY / 2].id().clone()].into();
    assert_eq!(ids(sessions, "Ann").await, left);
    assert_eq!(sessions.end_sessions_of_user("Ann").await.unwrap(), 1);
    assert!(ids(elsewhere, "Ann").await.is_empty());
    assert_eq!(ids(elsewhere, "Eve").await, [eve.id().clone()].into());
}
