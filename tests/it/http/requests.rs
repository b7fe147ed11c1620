//! Sessions in ordinary HTTP requests.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Router, body::Body, http::Request, response::Response, routing::get};
use http_body_util::BodyExt as _;
use socketioxide_session::{
    Keyring, MaybeSession, MemoryStore, SecretKey, Session, SessionBridge, SessionId,
    SessionRejection, SignedCookie,
    http::RequestSessionError,
    store::StoreErrorKind,
    testing::{Call, Fault, Faults, FaultyStore, HandshakeBuilder, cookie_header},
};
use tower::ServiceExt as _;

use crate::support::{log::OwnLog, until};

struct App {
    sessions: SessionBridge<String>,
    cookie: SignedCookie,
    faults: Faults,
}

impl App {
    fn new() -> Self {
        let keys = Keyring::new(SecretKey::generate().unwrap());
        let cookie = SignedCookie::new("sid", &keys).unwrap();
        let (store, faults) = FaultyStore::new(MemoryStore::<String>::new());
        let sessions = SessionBridge::builder(cookie.clone(), store)
            .build()
            .unwrap();
        Self {
            sessions,
            cookie,
            faults,
        }
    }

    async fn ask(&self, router: Router, id: Option<&SessionId>) -> (u16, String, Response) {
        let mut request = Request::get("/");
        if let Some(id) = id {
            request = request.header("cookie", cookie_header(&self.cookie, id));
        }
        let answer = router.oneshot(request.body(Body::empty()).unwrap()).await;
        let (parts, body) = answer.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        (
            parts.status.as_u16(),
            body,
            Response::from_parts(parts, Body::empty()),
        )
    }
}

fn router<T: Send + Sync + 'static>(
    sessions: &SessionBridge<T>,
    handler: axum::routing::MethodRouter,
) -> Router {
    Router::new().route("/", handler).layer(sessions.layer())
}

#[tokio::test]
async fn a_request_is_resolved_at_its_first_use_and_once() {
    let app = App::new();
    let ann = app.sessions.create("Ann".into()).await.unwrap();
    let nobody_asks = router(&app.sessions, get(async || "page"));
    let (status, ..) = app.ask(nobody_asks, Some(ann.id())).await;
    assert_eq!((status, app.faults.calls(Call::Load)), (200, 0));

    let three_ask = router(
        &app.sessions,
        get(
            async |one: Session<String>,
                   two: MaybeSession<String>,
                   three: Option<Session<String>>| {
                let (two, three) = (two.0.unwrap(), three.unwrap());
                format!("{} {} {}", one.data(), two.data(), three.data())
            },
        ),
    );
    let (_, body, _) = app.ask(three_ask, Some(ann.id())).await;
    assert_eq!((&*body, app.faults.calls(Call::Load)), ("Ann Ann Ann", 1));
}

#[tokio::test]
async fn rejections_are_json_with_their_status() {
    let app = App::new();
    let router = || {
        router(
            &app.sessions,
            get(async |user: Session<String>| user.data().clone()),
        )
    };
    let (status, body, answer) = app.ask(router(), None).await;
    assert_eq!((status, &*body), (401, r#"{"error":"NO_COOKIE"}"#));
    assert_eq!(answer.headers()["content-type"], "application/json");
    assert_eq!(answer.headers()["cache-control"], "no-store");

    let unknown = SessionId::generate().unwrap();
    let (status, body, _) = app.ask(router(), Some(&unknown)).await;
    assert_eq!((status, &*body), (401, r#"{"error":"NO_SESSION"}"#));

    app.faults
        .on(Call::Load, Fault::Error(StoreErrorKind::Unavailable));
    let another = SessionId::generate().unwrap();
    let (status, body, _) = app.ask(router(), Some(&another)).await;
    assert_eq!((status, &*body), (503, r#"{"error":"STORE_ERROR"}"#));
}

#[tokio::test]
async fn no_session_is_none_and_a_failure_is_not() {
    let app = App::new();
    let optional = || {
        router(
            &app.sessions,
            get(
                async |one: Option<Session<String>>, two: MaybeSession<String>| {
                    assert_eq!(one.is_some(), two.0.is_some());
                    one.map_or("anonymous".to_owned(), |one| one.data().clone())
                },
            ),
        )
    };
    let ann = app.sessions.create("Ann".into()).await.unwrap();
    let unknown = SessionId::generate().unwrap();
    for (id, expected) in [
        (None, "anonymous"),
        (Some(&unknown), "anonymous"),
        (Some(ann.id()), "Ann"),
    ] {
        let (status, body, _) = app.ask(optional(), id).await;
        assert_eq!((status, &*body), (200, expected));
    }
    // Nothing keeps what is known of the session fresh any more.
    let id = ann.id().clone();
    drop(ann);
    app.faults
        .on(Call::Load, Fault::Error(StoreErrorKind::Unavailable));
    let (status, body, _) = app.ask(optional(), Some(&id)).await;
    assert_eq!((status, &*body), (503, r#"{"error":"STORE_ERROR"}"#));
}

type Outcome = Result<Session<String>, RequestSessionError>;

/// A bridge that counts the rejections that its hook gets.
fn counting(app: &App) -> (SessionBridge<String>, Arc<AtomicUsize>) {
    let rejections = Arc::<AtomicUsize>::default();
    let count = rejections.clone();
    let builder = SessionBridge::builder(app.cookie.clone(), MemoryStore::<String>::new());
    let sessions = builder.on_rejection(move |_, _| {
        count.fetch_add(1, Ordering::SeqCst);
    });
    (sessions.build().unwrap(), rejections)
}

#[tokio::test]
async fn a_visitor_who_is_let_in_without_a_session_is_no_rejection() {
    let log = OwnLog::begin();
    let app = App::new();
    let (sessions, rejections) = counting(&app);
    let unknown = SessionId::generate().unwrap();
    for id in [None, Some(&unknown)] {
        for handler in [
            get(async |_: MaybeSession<String>| "in"),
            get(async |_: Option<Session<String>>| "in"),
            get(async |_: MaybeSession<String>, _: Option<Session<String>>| "in"),
        ] {
            let (status, body, _) = app.ask(router(&sessions, handler), id).await;
            assert_eq!((status, &*body), (200, "in"));
        }
    }
    assert_eq!(log.count("session rejected"), 0, "{}", log.text());
    assert_eq!(log.count("client without a session"), 8);
    for id in [None, Some(&unknown)] {
        let request = HandshakeBuilder::request("/");
        let request = match id {
            Some(id) => request.session_cookie(&app.cookie, id),
            None => request,
        };
        let found = sessions.from_request_optional(&request.into_parts()).await;
        assert!(found.unwrap().is_none());
    }
    assert_eq!(log.count("session rejected"), 0, "{}", log.text());
    // One that is turned away is a rejection, and one only.
    for handler in [
        get(async |_: MaybeSession<String>, _: Session<String>| "never"),
        get(async |_: Outcome, _: Session<String>| "never"),
    ] {
        let before = log.count("session rejected");
        let (status, ..) = app.ask(router(&sessions, handler), None).await;
        assert_eq!((status, log.count("session rejected")), (401, before + 1));
    }
    until("the hook ran", || rejections.load(Ordering::SeqCst) == 2).await;
}

#[tokio::test]
async fn without_the_layer_a_handler_answers_500() {
    let app = App::new();
    for handler in [
        get(async |user: Session<String>| user.data().clone()),
        get(async |user: Result<Session<String>, RequestSessionError>| {
            assert!(matches!(user, Err(RequestSessionError::MissingLayer)));
            http::StatusCode::INTERNAL_SERVER_ERROR
        }),
        get(async |_: Option<Session<String>>| "never"),
        get(async |_: MaybeSession<String>| "never"),
    ] {
        let router = Router::new().route("/", handler);
        let (status, body, _) = app.ask(router, None).await;
        assert_eq!((status, &*body), (500, ""));
    }
    // A layer of another type of session is no layer.
    let cookie = app.cookie.clone();
    let others = SessionBridge::builder(cookie, MemoryStore::<u32>::new())
        .build()
        .unwrap();
    let router = router(
        &others,
        get(async |user: Session<String>| user.data().clone()),
    );
    assert_eq!(app.ask(router, None).await.0, 500);
}

#[tokio::test]
async fn plain_parts_are_resolved_too() {
    let app = App::new();
    let ann = app.sessions.create("Ann".into()).await.unwrap();
    let parts = HandshakeBuilder::request("/").session_cookie(&app.cookie, ann.id());
    let session = app
        .sessions
        .from_request(&parts.into_parts())
        .await
        .unwrap();
    assert_eq!(session.data(), "Ann");
    let parts = HandshakeBuilder::request("/").into_parts();
    let refused = app.sessions.from_request(&parts).await.unwrap_err();
    assert!(matches!(refused, SessionRejection::NoCookie));
    assert_eq!(
        (refused.code(), refused.status().as_u16()),
        ("NO_COOKIE", 401)
    );
}

#[tokio::test]
async fn errors_of_changes_are_responses() {
    use axum::response::IntoResponse as _;
    let app = App::new();
    let ann = app.sessions.create("Ann".into()).await.unwrap();
    ann.end().await.unwrap();
    let gone = ann.update(|_| ()).await.unwrap_err();
    assert_eq!(gone.into_response().status(), 401);
    app.faults
        .on(Call::Create, Fault::Error(StoreErrorKind::TooLarge));
    let failed = app.sessions.create("Bob".into()).await.unwrap_err();
    assert_eq!(failed.into_response().status(), 503);
}

/// The client sees a code, and the cause is in the log, once.
#[tokio::test]
async fn a_503_is_logged_with_its_cause() {
    use axum::response::IntoResponse as _;
    let own_log = OwnLog::begin();
    let app = App::new();
    let ann = app.sessions.create("Ann".into()).await.unwrap();
    app.faults.on_all(Fault::Error(StoreErrorKind::Unavailable));
    let create = app.sessions.create("Bob".into()).await.unwrap_err();
    let update = ann.update(|_| ()).await.unwrap_err();
    let end = ann.end().await.unwrap_err();
    assert_eq!(own_log.count("a handler answers 503"), 0);
    for response in [
        create.into_response(),
        update.into_response(),
        end.into_response(),
    ] {
        assert_eq!(response.status(), 503);
    }
    let text = own_log.text();
    let lines: Vec<_> = text
        .lines()
        .filter(|line| line.contains("a handler answers 503"))
        .collect();
    assert_eq!(lines.len(), 3, "{text}");
    for line in lines {
        assert!(
            line.contains("ERROR") && line.contains("store is not available"),
            "{line}"
        );
    }
    app.faults.clear();
    let gone = ann.update(|_| ()).await.unwrap_err();
    assert_eq!(gone.into_response().status(), 401);
    assert_eq!(own_log.count("a handler answers 503"), 3);
}

#[tokio::test]
async fn a_handler_takes_the_bridge() {
    let app = App::new();
    let login = async |sessions: SessionBridge<String>| {
        let session = sessions.create("Ann".into()).await.unwrap();
        session.id().expose().to_owned()
    };
    let (status, id, _) = app.ask(router(&app.sessions, get(login)), None).await;
    assert_eq!(status, 200);
    let me = get(async |user: Session<String>| user.data().clone());
    let id = id.parse().unwrap();
    let (_, name, _) = app.ask(router(&app.sessions, me), Some(&id)).await;
    assert_eq!(name, "Ann");
    let without_layer = Router::new().route("/", get(login));
    assert_eq!(app.ask(without_layer, None).await.0, 500);
}

#[tokio::test]
async fn the_hook_sees_every_rejection() {
    let app = App::new();
    let seen = Arc::new(AtomicUsize::new(0));
    let (count, (told, mut hears)) = (seen.clone(), tokio::sync::mpsc::unbounded_channel());
    let sessions = SessionBridge::builder(app.cookie.clone(), MemoryStore::<String>::new())
        .on_rejection(move |rejection, handshake| {
            count.fetch_add(1, Ordering::SeqCst);
            let path = handshake.uri().path().to_owned();
            told.send((rejection.code(), path)).unwrap();
        })
        .build()
        .unwrap();
    let parts = HandshakeBuilder::request("/page").into_parts();
    sessions.from_request(&parts).await.unwrap_err();
    let told = crate::support::soon("the hook ran", hears.recv()).await;
    assert_eq!(told, Some(("NO_COOKIE", "/page".to_owned())));
    assert_eq!(seen.load(Ordering::SeqCst), 1);
}
