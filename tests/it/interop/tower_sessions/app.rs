//! An application that logs users in with axum-login.

use std::{convert::Infallible, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    http::{Request, StatusCode, header},
    routing::{get, post},
};
use axum_login::{AuthManagerLayerBuilder, AuthSession, AuthUser, AuthnBackend, UserId};
use socketioxide_session::{
    SessionBridge, SessionId, SessionStore as _,
    interop::tower_sessions::{
        AxumLogin, PlainCookie,
        v0_14::{RecordView, ReportingStore},
    },
    store::Changes,
};
use tokio::sync::Notify;
use tower::ServiceExt as _;
use tower_sessions_0_14::{MemoryStore, Session, SessionManagerLayer};

#[derive(Debug, Clone)]
pub(super) struct User {
    id: i64,
    hash: Vec<u8>,
}

impl AuthUser for User {
    type Id = i64;

    fn id(&self) -> i64 {
        self.id
    }

    fn session_auth_hash(&self) -> &[u8] {
        &self.hash
    }
}

#[derive(Debug, Clone)]
pub(super) struct Users;

impl AuthnBackend for Users {
    type User = User;
    type Credentials = i64;
    type Error = Infallible;

    async fn authenticate(&self, id: i64) -> Result<Option<User>, Infallible> {
        self.get_user(&id).await
    }

    async fn get_user(&self, id: &UserId<Self>) -> Result<Option<User>, Infallible> {
        let hash = format!("hash of {id}").into_bytes();
        Ok(Some(User { id: *id, hash }))
    }
}

/// Position of a request that waits in its handler.
#[derive(Debug, Clone, Default)]
pub(super) struct Gate {
    pub(super) reached: Arc<Notify>,
    pub(super) opened: Arc<Notify>,
}

impl Gate {
    async fn wait(&self) {
        self.reached.notify_one();
        self.opened.notified().await;
    }
}

pub(super) struct App {
    router: Router,
    pub(super) gate: Gate,
    pub(super) view: RecordView<MemoryStore, AxumLogin<i64>>,
    pub(super) changes: Changes,
}

impl App {
    pub(super) fn new() -> Self {
        let mut app = Self::without_session_layer();
        let cookie = PlainCookie::new("id").unwrap();
        let sessions = SessionBridge::builder(cookie, app.view.clone())
            .build()
            .unwrap();
        app.router = app.router.layer(sessions.layer());
        app
    }

    /// With a second session layer, inside of tower-sessions' one.
    pub(super) fn with_nested_session_layers() -> Self {
        let cookie = PlainCookie::new("id").unwrap();
        let store = ReportingStore::new(MemoryStore::default());
        let sessions = SessionBridge::builder(cookie, store.axum_login::<i64>())
            .build()
            .unwrap();
        let mut app = Self::of(store, |router| router.layer(sessions.layer()));
        app.router = app.router.layer(sessions.layer());
        app
    }

    pub(super) fn without_session_layer() -> Self {
        Self::of(ReportingStore::new(MemoryStore::default()), |router| router)
    }

    fn of(store: ReportingStore<MemoryStore>, inside: impl FnOnce(Router) -> Router) -> Self {
        let session_layer = SessionManagerLayer::new(store.clone());
        let auth_layer = AuthManagerLayerBuilder::new(Users, session_layer).build();
        let gate = Gate::default();
        let router = Router::new()
            .route("/login/{id}", post(login))
            .route("/logout", post(logout))
            .route("/logout-with-message", post(logout_with_message))
            .route("/cycle", post(cycle))
            .route("/cycle-and-fail", post(cycle_and_fail))
            .route("/cycle-and-wait", post(cycle_and_wait))
            .route("/insert-and-wait", post(insert_and_wait))
            .route("/me", get(me))
            .with_state(gate.clone());
        let router = inside(router).layer(auth_layer);
        let view = store.axum_login();
        Self {
            router,
            gate,
            changes: view.changes().unwrap(),
            view,
        }
    }

    /// Sends a request, and gives its answer.
    pub(super) fn send(
        &self,
        path: &str,
        session: Option<&SessionId>,
    ) -> impl Future<Output = Answer> + use<> {
        let method = if path == "/me" { "GET" } else { "POST" };
        let mut request = Request::builder().method(method).uri(path);
        if let Some(id) = session {
            request = request.header(header::COOKIE, format!("id={}", id.expose()));
        }
        let router = self.router.clone();
        async move {
            let request = request.body(Body::empty()).unwrap();
            let response = router.oneshot(request).await.unwrap();
            let cookie = response.headers().get(header::SET_COOKIE);
            let value = cookie.map(|cookie| cookie.to_str().unwrap().to_owned());
            let value = value.and_then(|text| {
                let text = text.strip_prefix("id=")?.split(';').next()?.to_owned();
                text.parse().ok()
            });
            let status = response.status();
            let body = axum::body::to_bytes(response.into_body(), 1024)
                .await
                .unwrap();
            Answer {
                status,
                session: value,
                body: String::from_utf8(body.to_vec()).unwrap(),
            }
        }
    }

    pub(super) async fn login(&self, user: i64, session: Option<&SessionId>) -> SessionId {
        let answer = self.send(&format!("/login/{user}"), session).await;
        assert_eq!(answer.status, StatusCode::OK);
        answer.session.expect("a cookie")
    }

    pub(super) fn reported(&mut self) -> Vec<SessionId> {
        super::reported(&mut self.changes)
    }

    /// The user of a session, as the bridge sees it.
    pub(super) async fn user_of(&self, id: &SessionId) -> Option<i64> {
        let record = self.view.load(id).await.unwrap();
        record.map(|record| *record.data.user_id())
    }

    pub(super) async fn was_replaced(&self, id: &SessionId) -> bool {
        self.view.was_replaced(id).await.unwrap()
    }
}

pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// The session that the browser gets.
    pub(super) session: Option<SessionId>,
    pub(super) body: String,
}

type Auth = AuthSession<Users>;

async fn login(mut auth: Auth, Path(id): Path<i64>) {
    let user = auth.authenticate(id).await.unwrap().unwrap();
    auth.login(&user).await.unwrap();
}

async fn logout(mut auth: Auth) {
    auth.logout().await.unwrap();
}

async fn logout_with_message(mut auth: Auth) {
    auth.logout().await.unwrap();
    auth.session.insert("message", "goodbye").await.unwrap();
}

async fn cycle(session: Session) {
    session.cycle_id().await.unwrap();
}

async fn cycle_and_fail(session: Session) -> StatusCode {
    session.cycle_id().await.unwrap();
    StatusCode::INTERNAL_SERVER_ERROR
}

async fn cycle_and_wait(session: Session, State(gate): State<Gate>) {
    session.cycle_id().await.unwrap();
    gate.wait().await;
}

async fn insert_and_wait(session: Session, State(gate): State<Gate>) {
    session.insert("cart", 1).await.unwrap();
    gate.wait().await;
}

async fn me(auth: Auth) -> String {
    auth.user
        .map_or_else(String::new, |user| user.id.to_string())
}
