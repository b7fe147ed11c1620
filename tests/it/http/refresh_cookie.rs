//! The cookie that slides with its session.

use std::time::Duration;

use axum::{
    Router,
    body::Body,
    http::{
        HeaderValue, Request, StatusCode,
        header::{CACHE_CONTROL, SET_COOKIE},
        request::Parts,
    },
    response::{IntoResponse as _, Response},
    routing::get,
};
use socketioxide_session::{
    Keyring, MemoryStore, SecretKey, Session, SessionBridge, SessionId, SessionIdExtractor as _,
    SignedCookie, bridge::SessionBridgeBuilder, http::RefreshCookieError, testing::cookie_header,
};
use tower::ServiceExt as _;

use crate::support::{
    polling::Http,
    server::{DynExtractor, Setup, keyring},
};

const HOUR: Duration = Duration::from_hours(1);
/// The interval of activity of the applications here.
const INTERVAL: Duration = Duration::from_mins(5);

struct App {
    sessions: SessionBridge<String>,
    /// The one that is refreshed.
    cookie: SignedCookie,
    /// Another one that carries the same sessions.
    other: SignedCookie,
    router: Router,
}

impl App {
    fn new() -> Self {
        Self::with(HOUR, |bridge| bridge.touch_on_activity(INTERVAL))
    }

    /// With this `max_age` of the cookie.
    fn with(
        max_age: Duration,
        set: impl FnOnce(SessionBridgeBuilder<String>) -> SessionBridgeBuilder<String>,
    ) -> Self {
        let keys = Keyring::new(SecretKey::generate().unwrap());
        let other = SignedCookie::new("other", &keys).unwrap();
        let cookie = SignedCookie::new("stay", &keys)
            .unwrap()
            .max_age(max_age)
            .unwrap();
        let extractor = other.clone().or(cookie.clone());
        let builder = SessionBridge::builder(extractor, MemoryStore::<String>::new()).ttl(HOUR);
        let sessions = set(builder).build().unwrap();
        let layer = sessions.layer().refresh_cookie(cookie.clone()).unwrap();
        let router = pages(cookie.clone()).layer(layer);
        Self {
            sessions,
            cookie,
            other,
            router,
        }
    }

    /// The cookie that a page sets.
    async fn set_by(&self, page: &str, cookie: &SignedCookie, id: &SessionId) -> Vec<String> {
        let request = Request::get(page).header("cookie", cookie_header(cookie, id));
        let request = request.body(Body::empty()).unwrap();
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let values = answer.headers().get_all(SET_COOKIE).into_iter();
        values
            .map(|value| value.to_str().unwrap().to_owned())
            .collect()
    }

    async fn ann(&self) -> Session<String> {
        self.sessions.create("Ann".to_owned()).await.unwrap()
    }
}

type Sessions = SessionBridge<String>;

fn pages(cookie: SignedCookie) -> Router {
    let with_cache = |value: &'static str| {
        get(async move |user: Session<String>| {
            ([(CACHE_CONTROL, value)], user.data().clone()).into_response()
        })
    };
    let login = async move |sessions: Sessions, parts: Parts| -> Response {
        let session = sessions.sign_in(&parts, "Ann".to_owned()).await.unwrap();
        ([(SET_COOKIE, cookie.issue_header(session.id()))], "in").into_response()
    };
    Router::new()
        .route(
            "/me",
            get(async |user: Session<String>| user.data().clone()),
        )
        .route("/page", get(async || "no session is asked for"))
        .route("/public", with_cache("public, max-age=60"))
        .route("/shared", with_cache("s-maxage=60"))
        .route("/private", with_cache("private, max-age=60"))
        .route(
            "/fails",
            get(async |_: Session<String>| StatusCode::INTERNAL_SERVER_ERROR),
        )
        .route(
            "/not-found",
            get(async |_: Session<String>| StatusCode::NOT_FOUND),
        )
        .route(
            "/ends",
            get(async |user: Session<String>| user.end().await.unwrap()),
        )
        .route(
            "/rotates",
            get(async |user: Session<String>, sessions: Sessions| {
                drop(sessions.rotate(&user).await.unwrap());
            }),
        )
        .route(
            "/clears",
            get(async |_: Session<String>| ([(SET_COOKIE, "stay=; Max-Age=0")], "out")),
        )
        .route("/login", get(login))
}

#[tokio::test(start_paused = true)]
async fn a_used_cookie_is_sent_again_once_per_interval() {
    let app = App::new();
    let ann = app.ann().await;
    let expected = app
        .cookie
        .issue_header(ann.id())
        .to_str()
        .unwrap()
        .to_owned();
    assert!(expected.contains("; Max-Age=3600"), "{expected}");
    for _ in 0..3 {
        assert_eq!(app.set_by("/me", &app.cookie, ann.id()).await, [&*expected]);
        for _ in 0..5 {
            assert!(app.set_by("/me", &app.cookie, ann.id()).await.is_empty());
        }
        // Each session by itself.
        let bob = app.ann().await;
        assert_eq!(app.set_by("/private", &app.cookie, bob.id()).await.len(), 1);
        tokio::time::sleep(INTERVAL).await;
    }
    assert_eq!(
        app.set_by("/not-found", &app.cookie, ann.id()).await,
        [&*expected]
    );
}

/// Where no interval was set, a cookie that lives shorter than the default one is sent again in time.
#[tokio::test(start_paused = true)]
async fn a_cookie_that_lives_shorter_than_the_interval_is_sent_again_before_it_expires() {
    let max_age = Duration::from_mins(1);
    let app = App::with(max_age, |bridge| bridge);
    let ann = app.ann().await;
    for _ in 0..5 {
        assert_eq!(app.set_by("/me", &app.cookie, ann.id()).await.len(), 1);
        assert!(app.set_by("/me", &app.cookie, ann.id()).await.is_empty());
        tokio::time::sleep(max_age / 2).await;
    }
}

#[tokio::test]
async fn not_every_answer_takes_it() {
    let app = App::new();
    for page in ["/page", "/public", "/shared", "/fails", "/ends", "/rotates"] {
        let ann = app.ann().await;
        let set = app.set_by(page, &app.cookie, ann.id()).await;
        assert!(set.is_empty(), "{page}: {set:?}");
    }
    let ann = app.ann().await;
    assert_eq!(
        app.set_by("/clears", &app.cookie, ann.id()).await,
        ["stay=; Max-Age=0"]
    );
    let set = app.set_by("/login", &app.cookie, ann.id()).await;
    assert_eq!(set.len(), 1, "{set:?}");
    // An unfit answer is none: the next one takes it.
    let bob = app.ann().await;
    assert!(
        app.set_by("/public", &app.cookie, bob.id())
            .await
            .is_empty()
    );
    assert_eq!(app.set_by("/me", &app.cookie, bob.id()).await.len(), 1);
}

#[tokio::test]
async fn only_the_cookie_that_found_the_session_is_refreshed() {
    let app = App::new();
    let (ann, bob) = (app.ann().await, app.ann().await);
    assert!(app.set_by("/me", &app.other, ann.id()).await.is_empty());
    // Both came, and the other one counts.
    let both = format!(
        "{}; {}",
        cookie_header(&app.other, ann.id()).to_str().unwrap(),
        cookie_header(&app.cookie, bob.id()).to_str().unwrap()
    );
    let request = Request::get("/me").header("cookie", both);
    let request = request.body(Body::empty()).unwrap();
    let answer = app.router.clone().oneshot(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers().get(SET_COOKIE), None::<&HeaderValue>);
    // An unknown session is none.
    let unknown = SessionId::generate().unwrap();
    assert!(app.set_by("/me", &app.cookie, &unknown).await.is_empty());
}

/// A server whose cookie is refreshed, and whose layer rejects clients without a session or not.
fn setup(rejects: bool) -> Setup {
    let setup = Setup::new()
        .bridge(|bridge| bridge.ttl(HOUR).touch_on_activity(INTERVAL))
        .extractor(|cookie, _| DynExtractor::new(cookie.clone()));
    match rejects {
        false => setup.layer(|layer| layer.refresh_cookie(lasting()).unwrap()),
        true => setup.layer(|layer| {
            let layer = layer.refresh_cookie(lasting()).unwrap();
            layer.reject_unauthenticated()
        }),
    }
}

/// The cookie of the server, with a `max_age`.
fn lasting() -> SignedCookie {
    let cookie = SignedCookie::new("sid", &keyring(1, &[])).unwrap();
    cookie.insecure_http().unwrap().max_age(HOUR).unwrap()
}

#[tokio::test]
async fn the_opening_of_a_transport_brings_it_and_polls_never_do() {
    for rejects in [false, true] {
        let server = setup(rejects).start().await;
        let ann = server.login("Ann").await;
        let pair = server.pair(&ann);
        let fields = [("cookie", &*pair)];
        let open = "/socket.io/?EIO=4&transport=polling";
        let mut http = server.http().await;
        let answer = http.get(open, &fields).await;
        assert_eq!(answer.status, 200);
        assert_eq!(sets(&answer.head), 1, "{}", answer.head);
        let sid = answer.body["0{\"sid\":\"".len()..]
            .split('"')
            .next()
            .unwrap();
        let poll = format!("{open}&sid={sid}");
        let posted = http
            .send("POST", &poll, &[("cookie", pair.as_bytes())], "40")
            .await;
        let polled = http.get(&poll, &fields).await;
        assert_eq!((posted.status, polled.status), (200, 200));
        assert_eq!(sets(&posted.head) + sets(&polled.head), 0);
        // Another opening within the interval.
        let again = server.http().await.get(open, &fields).await;
        assert_eq!((again.status, sets(&again.head)), (200, 0));
        // A stranger's opening is as it was.
        let stranger = server.http().await.get(open, &[]).await;
        let status = if rejects { 401 } else { 200 };
        assert_eq!((stranger.status, sets(&stranger.head)), (status, 0));
    }
}

#[tokio::test]
async fn the_upgrade_to_a_websocket_brings_it_too() {
    let server = setup(false).start().await;
    let ann = server.login("Ann").await;
    let mut http = Http::open(server.address).await;
    let fields = [
        ("cookie", &*server.pair(&ann)),
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let answer = http
        .get("/socket.io/?EIO=4&transport=websocket", &fields)
        .await;
    assert_eq!(
        (answer.status, sets(&answer.head)),
        (101, 1),
        "{}",
        answer.head
    );
}

fn sets(head: &str) -> usize {
    let lines = head.lines().map(str::to_ascii_lowercase);
    lines
        .filter(|line| line.starts_with("set-cookie: sid="))
        .count()
}

#[test]
fn settings_that_contradict_the_refresh_are_errors() {
    let keys = Keyring::new(SecretKey::generate().unwrap());
    let plain = SignedCookie::new("sid", &keys).unwrap();
    let lasting = |time: Duration| plain.clone().max_age(time).unwrap();
    let builder = || SessionBridge::builder(plain.clone(), MemoryStore::<u32>::new());
    let refresh = |sessions: SessionBridge<u32>, cookie: SignedCookie| {
        sessions.layer().refresh_cookie(cookie).map(drop)
    };
    let usual = || builder().build().unwrap();
    assert_eq!(
        refresh(usual(), plain.clone()),
        Err(RefreshCookieError::NoMaxAge)
    );
    let untouched = builder().no_touch_on_activity().build().unwrap();
    assert_eq!(
        refresh(untouched, lasting(HOUR)),
        Err(RefreshCookieError::NoTouch)
    );
    let rare = || builder().touch_on_activity(HOUR).build().unwrap();
    assert_eq!(
        refresh(rare(), lasting(HOUR)),
        Err(RefreshCookieError::MaxAgeTooShort)
    );
    assert_eq!(refresh(rare(), lasting(HOUR * 2)), Ok(()));
    // The default interval yields to a short cookie.
    assert_eq!(refresh(usual(), lasting(Duration::from_secs(30))), Ok(()));
}
