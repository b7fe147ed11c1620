//! The binding of a polling transport stands, whatever a handler answers and whatever the store does.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    extract::{Query, Request},
    response::Response,
    routing::get,
};
use http::{HeaderValue, StatusCode, header::CONTENT_TYPE, request::Parts};
use serde::Deserialize;
use socketioxide::{SocketIo, extract::SocketRef, handler::ConnectHandler as _};
use socketioxide_session::{
    Session, SessionBridge, SessionId, SessionIdExtractor, SignedCookie,
    extractor::{ExtractError, Handshake, Stage},
    store::{Created, StoreErrorKind},
    testing::Fault,
};

use crate::support::{
    log::OwnLog,
    mounted::{App, ann, serve},
    polling::{Http, Polling},
    server::{DynExtractor, Server, Setup, User, keyring, pair},
    soon,
};

fn encode(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn open_packet(sid: &str) -> String {
    format!(
        r#"0{{"sid":"{sid}","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":100000}}"#
    )
}

/// Handlers that answer with text of the request, as search pages, notes and error messages do.
#[derive(Clone, Default)]
struct Reflecting {
    /// The requests, as a background job or a log would keep them.
    kept: Arc<Mutex<Vec<Parts>>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Sort {
    Name,
}

#[derive(Debug, Deserialize)]
struct Listing {
    sort: Sort,
}

impl Reflecting {
    fn routes(&self) -> Router {
        let (kept, items) = (self.kept.clone(), async |Query(Listing { sort })| {
            format!("{sort:?}")
        });
        let echo = async move |Query(query): Query<HashMap<String, String>>, request: Request| {
            kept.lock().unwrap().push(request.into_parts().0);
            let status: u16 = query["status"].parse().unwrap();
            let mut response = Response::new(query["q"].clone());
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            let content_type = HeaderValue::from_static("text/plain; charset=UTF-8");
            response.headers_mut().insert(CONTENT_TYPE, content_type);
            response
        };
        Router::new()
            .route("/echo", get(echo))
            .route("/items", get(items))
    }
}

/// An application with a victim that polls.
struct Scene {
    app: App,
    address: std::net::SocketAddr,
    reflecting: Reflecting,
    ann: Session<User>,
    anns: String,
    polling: Polling,
    mallorys: String,
}

impl Scene {
    async fn new(rejects_unauthenticated: bool) -> Self {
        let app = App::new();
        let (layer, io) = SocketIo::new_layer();
        app.namespace(&io);
        let reflecting = Reflecting::default();
        let mut sessions = app.sessions.layer();
        if rejects_unauthenticated {
            sessions = sessions.reject_unauthenticated();
        }
        let router = reflecting.routes().layer(layer).layer(sessions);
        let address = serve(router).await;
        let ann = app.sessions.create(ann()).await.unwrap();
        let anns = pair(&app.cookie, ann.id());
        let fields = [("cookie", anns.as_bytes())];
        let mut polling = Polling::open(Http::open(address).await, "", &fields).await;
        polling.post("40").await;
        polling.packet_of("40{").await;
        polling.packet_of("42").await;
        let mallory = app
            .sessions
            .create(crate::support::mounted::ann())
            .await
            .unwrap();
        let mallorys = pair(&app.cookie, mallory.id());
        Self {
            app,
            address,
            reflecting,
            ann,
            anns,
            polling,
            mallorys,
        }
    }

    /// Mallory, with an authentic cookie of her own, asks for this.
    async fn reflect(&self, target: &str, status: u16) {
        let mut http = Http::open(self.address).await;
        let answer = http.get(target, &[("cookie", &self.mallorys)]).await;
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(answer.body.contains(&self.polling.sid), "{answer:?}");
    }

    async fn post(&self, cookie: Option<&str>) -> u16 {
        let target = format!(
            "/socket.io/?EIO=4&transport=polling&sid={}",
            self.polling.sid
        );
        let fields: Vec<_> = cookie
            .map(|cookie| ("cookie", cookie.as_bytes()))
            .into_iter()
            .collect();
        let mut http = Http::open(self.address).await;
        let posted = http.send("POST", &target, &fields, r#"42["visit"]"#).await;
        posted.status
    }

    /// The transport is the victim's and no other's.
    async fn stands(&self, what: &str) {
        let before = self.ann.reload().await.unwrap().data().visits;
        assert_eq!(self.post(None).await, 400, "{what}");
        assert_eq!(self.post(Some(&self.mallorys)).await, 400, "{what}");
        assert_eq!(self.post(Some(&self.anns)).await, 200, "{what}");
        soon("the visit", async {
            while self.ann.reload().await.unwrap().data().visits == before {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let visits = self.ann.reload().await.unwrap().data().visits;
        assert_eq!(visits, before + 1, "{what}");
        assert_eq!(self.app.sessions.bound_transports(), 1, "{what}");
    }
}

#[tokio::test]
async fn a_reflected_open_packet_leaves_the_binding_as_it_is() {
    for rejects_unauthenticated in [false, true] {
        let scene = Scene::new(rejects_unauthenticated).await;
        scene.stands("before").await;
        let sid = &scene.polling.sid;
        let packet = open_packet(sid);
        for body in [
            format!(r#"{{"sid":"{sid}""#),
            format!(r#"0{{"sid":"{sid}"}}"#),
            format!("{}:{packet}", packet.len()),
            packet,
        ] {
            for status in [200, 404] {
                let query = format!("EIO=4&transport=polling&status={status}");
                let target = format!("/echo?{query}&q={}", encode(&body));
                scene.reflect(&target, status).await;
                scene.stands(&format!("{status} {body}, kept")).await;
                assert_eq!(scene.reflecting.kept.lock().unwrap().drain(..).count(), 1);
                scene.stands(&format!("{status} {body}, dropped")).await;
            }
        }
        // axum's own answer to a query that it can't read.
        let sort = encode(&format!(r#"{{"sid":"{sid}""#));
        let target = format!("/items?EIO=4&transport=polling&sort={sort}");
        scene.reflect(&target, 400).await;
        scene.stands("the answer of axum").await;
    }
}

/// Nor can it take a transport that has no session, and so shut its client out.
#[tokio::test]
async fn a_reflected_open_packet_shuts_no_anonymous_client_out() {
    let scene = Scene::new(false).await;
    for connects_first in [true, false] {
        let http = Http::open(scene.address).await;
        let mut anonymous = Polling::open(http, "", &[]).await;
        if connects_first {
            anonymous.post("40").await;
            let refused = anonymous.packet_of("44").await;
            assert_eq!(refused, r#"44{"message":"NO_COOKIE"}"#);
        }
        let packet = encode(&open_packet(&anonymous.sid));
        let target = format!("/echo?EIO=4&transport=polling&status=200&q={packet}");
        let mut http = Http::open(scene.address).await;
        let answer = http.get(&target, &[("cookie", &scene.mallorys)]).await;
        assert_eq!(answer.body, open_packet(&anonymous.sid));
        anonymous.post("40").await;
        let refused = anonymous.packet_of("44").await;
        assert_eq!(refused, r#"44{"message":"NO_COOKIE"}"#);
    }
    scene.stands("afterwards").await;
}

async fn post_without_cookie(server: &Server, sid: &str) -> u16 {
    let mut stranger = server.http().await;
    let target = format!("/socket.io/?EIO=4&transport=polling&sid={sid}");
    let answer = stranger.send("POST", &target, &[], r#"42["visit"]"#).await;
    answer.status
}

/// As when another program re-creates its record, or a rename is taken back.
#[tokio::test]
async fn a_session_that_was_missing_for_a_moment_keeps_its_transport() {
    let server = Server::start().await;
    let ann = server.login("Ann").await;
    let cookie = server.pair(&ann);
    let fields = [("cookie", cookie.as_bytes())];
    let stored = server.store.load(ann.id()).await.unwrap().unwrap();
    server.store.delete(ann.id()).await.unwrap();
    let mut polling = Polling::open(server.http().await, "", &fields).await;
    polling.post("40").await;
    let refused = polling.packet_of("44").await;
    assert_eq!(refused, r#"44{"message":"NO_SESSION"}"#);
    let ttl = Duration::from_mins(1);
    let created = server.store.create(ann.id(), &stored.data, ttl).await;
    assert!(matches!(created.unwrap(), Created::Created(_)));
    connects_again(&mut polling).await;
    assert_eq!(post_without_cookie(&server, &polling.sid).await, 400);
    assert_eq!(
        polling.ask("whoami").await,
        r#"[{"name":"Ann","visits":0}]"#
    );
}

/// Connects until it is let in.
async fn connects_again(polling: &mut Polling) {
    soon("it is let in again", async {
        loop {
            polling.post("40").await;
            if polling.packet_of("4").await.starts_with("40{") {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    polling.packet_of("42[\"session\"").await;
}

#[tokio::test]
async fn after_an_outage_of_the_store_a_transport_is_still_bound() {
    let setup = Setup::new()
        .bridge(|bridge| {
            let bridge = bridge.revalidate_every(Duration::from_millis(100));
            bridge.max_stale(Duration::from_millis(400))
        })
        .namespace(|io, sessions| {
            let on_connect = async move |socket: SocketRef| {
                socket.on_disconnect(async || tokio::time::sleep(Duration::from_secs(1)).await);
                socket.emit("session", "in").ok();
            };
            io.ns("/slow", on_connect.with(sessions.require()));
        });
    let server = setup.start().await;
    let ann = server.login("Ann").await;
    let cookie = server.pair(&ann);
    let fields = [("cookie", cookie.as_bytes())];
    // A socket of the session lingers, because its disconnect handler takes its time.
    let mut tab = server.client(&[("cookie", &cookie)]).await;
    tab.connect("/slow").await;
    let down = Fault::Error(StoreErrorKind::Unavailable);
    server.faults.on_all(down);
    tab.frame_of("41/slow,").await;
    let mut polling = Polling::open(server.http().await, "", &fields).await;
    polling.post("40").await;
    polling.packet_of("44").await;
    server.faults.clear();
    connects_again(&mut polling).await;
    assert_eq!(post_without_cookie(&server, &polling.sid).await, 400);
    assert_eq!(
        polling.ask("whoami").await,
        r#"[{"name":"Ann","visits":0}]"#
    );
}

/// Two session cookies, as after a change of their name or path. At CONNECT the second one counts.
struct TwoCookies([SignedCookie; 2]);

impl SessionIdExtractor for TwoCookies {
    fn extract(&self, handshake: &Handshake<'_>) -> Result<SessionId, ExtractError> {
        let found = self.0.each_ref().map(|cookie| cookie.extract(handshake));
        match found {
            [Ok(_), Ok(second)] if matches!(handshake.stage(), Stage::Namespace(_)) => Ok(second),
            [Ok(first), Ok(second)] => Err(ExtractError::Several(vec![first, second])),
            [Ok(only), Err(_)] | [Err(_), Ok(only)] => Ok(only),
            [Err(error), Err(_)] => Err(error),
        }
    }
}

#[tokio::test]
async fn an_opening_with_two_sessions_belongs_to_both_until_one_is_admitted() {
    let cookies = ["old", "new"].map(|name| {
        let cookie = SignedCookie::new(name, &keyring(1, &[])).unwrap();
        cookie.insecure_http().unwrap()
    });
    let setup = {
        let cookies = cookies.clone();
        Setup::new().extractor(move |_, _| DynExtractor::new(TwoCookies(cookies)))
    };
    let server = setup.start().await;
    let (ann, bob) = (server.login("Ann").await, server.login("Bob").await);
    let eve = server.login("Eve").await;
    let [anns, bobs, eves] = [(0, &ann), (1, &bob), (1, &eve)]
        .map(|(which, session)| pair(&cookies[which], session.id()));
    let both = format!("{anns}; {bobs}");
    let fields = [("cookie", both.as_bytes())];
    let mut polling = Polling::open(server.http().await, "", &fields).await;
    let target = format!("/socket.io/?EIO=4&transport=polling&sid={}", polling.sid);
    let statuses = async || {
        let mut statuses = Vec::new();
        for cookie in [Some(&anns), Some(&bobs), Some(&both), Some(&eves), None] {
            let fields: Vec<_> = cookie
                .map(|c| ("cookie", c.as_bytes()))
                .into_iter()
                .collect();
            let mut http = server.http().await;
            statuses.push(http.send("POST", &target, &fields, "3").await.status);
        }
        statuses
    };
    assert_eq!(statuses().await, [200, 200, 200, 400, 400]);
    polling.post("40").await;
    let greeting = polling.packet_of("42[").await;
    assert_eq!(greeting, r#"42["session",{"name":"Bob","visits":0}]"#);
    assert_eq!(statuses().await, [400, 200, 200, 400, 400]);
    // The successor of the admitted session joins, that of the other one does not.
    let ann = server.sessions.rotate(&ann).await.unwrap();
    let bob = server.sessions.rotate(&bob).await.unwrap();
    for (which, session, status) in [(0, &ann, 400), (1, &bob, 200)] {
        let cookie = pair(&cookies[which], session.id());
        let fields = [("cookie", cookie.as_bytes())];
        let answer = server
            .http()
            .await
            .send("POST", &target, &fields, "3")
            .await;
        assert_eq!(answer.status, status);
    }
}

/// A page of a foreign origin brings a token of its own beside the cookie of its visitor.
#[tokio::test]
async fn a_foreign_page_gains_nothing_by_a_second_credential() {
    let server = Server::start().await;
    let (ann, mallory) = (server.login("Ann").await, server.login("Mallory").await);
    let cookie = server.pair(&ann);
    let mallorys = server.token.issue(mallory.id()).unwrap();
    let fields = [("cookie", cookie.as_bytes())];
    let mut polling = Polling::open(server.http().await, "", &fields).await;
    polling.post("40").await;
    polling.packet_of("42[").await;
    let tokens = [
        "",
        "&token=",
        "&token=undefined",
        &format!("&token={mallorys}"),
    ];
    for foreign in [
        ("origin", "https://evil.example"),
        ("sec-fetch-site", "cross-site"),
    ] {
        let fields = [
            ("cookie", cookie.as_bytes()),
            (foreign.0, foreign.1.as_bytes()),
        ];
        for token in tokens {
            let sid = &polling.sid;
            let target = format!("/socket.io/?EIO=4&transport=polling&sid={sid}{token}");
            for method in ["GET", "POST"] {
                let mut http = server.http().await;
                let answer = http.send(method, &target, &fields, r#"42["visit"]"#).await;
                assert_eq!(answer.status, 400, "{foreign:?} {method} {token}");
            }
        }
    }
    assert_eq!(
        polling.ask("whoami").await,
        r#"[{"name":"Ann","visits":0}]"#
    );
}

/// The same page without the origin check's consent is anonymous, with and without the cookie.
#[tokio::test]
async fn a_foreign_page_polls_an_optional_namespace_alike_with_and_without_the_cookie() {
    let server = Server::start().await;
    let cookie = server.pair(&server.login("Ann").await);
    let origin: (&str, &[u8]) = ("origin", b"https://evil.example");
    for fields in [vec![origin], vec![origin, ("cookie", cookie.as_bytes())]] {
        let polling = Polling::open(server.http().await, "", &fields).await;
        assert_eq!(server.sessions.bound_transports(), 0);
        let target = format!("/socket.io/?EIO=4&transport=polling&sid={}", polling.sid);
        let posted = server
            .http()
            .await
            .send("POST", &target, &fields, "3")
            .await;
        assert_eq!(posted.status, 200);
    }
}

// --- The log -------------------------------------------------------------------------------------

#[tokio::test]
async fn a_req_path_that_matches_no_transport_is_logged_once() {
    let own_log = OwnLog::begin();
    let app = App::new();
    let (layer, io) = SocketIo::new_layer();
    app.namespace(&io);
    let connect = async |req_path: &'static str, count: usize| {
        let inner = Router::new()
            .fallback(get(async || ""))
            .layer(layer.clone());
        let sessions = app.sessions.layer().req_path(req_path);
        let address = serve(Router::new().nest("/api", inner).layer(sessions)).await;
        let ann = app.sessions.create(ann()).await.unwrap();
        let cookie = pair(&app.cookie, ann.id());
        for _ in 0..2 {
            let fields = [("cookie", cookie.as_bytes())];
            let http = Http::open(address).await;
            let mut polling = Polling::open_at("/api/socket.io/", http, "", &fields).await;
            polling.post("40").await;
            polling.packet_of("40{").await;
            assert_eq!(
                own_log.count("did not take its request for one of Socket.IO"),
                count
            );
        }
    };
    connect("/api/socket.io", 0).await;
    connect("/socket.io", 1).await;
}

#[tokio::test]
async fn a_client_that_sends_its_cookie_once_is_told_apart_in_the_log() {
    let own_log = OwnLog::begin();
    let server = Server::start().await;
    let ann = server.pair(&server.login("Ann").await);
    let bob = server.pair(&server.login("Bob").await);
    let fields = [("cookie", ann.as_bytes())];
    let polling = Polling::open(server.http().await, "", &fields).await;
    let target = format!("/socket.io/?EIO=4&transport=polling&sid={}", polling.sid);
    for fields in [vec![("cookie", &*bob)], vec![("cookie", "sid=forged")]] {
        assert_eq!(server.http().await.get(&target, &fields).await.status, 400);
        assert_eq!(own_log.count("cookie jar"), 0);
    }
    // After a logout, a browser has no cookie any more: that is no mistake.
    let mut leaving = Polling::open(server.http().await, "", &fields).await;
    leaving.post("40").await;
    assert_eq!(post_without_cookie(&server, &leaving.sid).await, 400);
    assert_eq!(own_log.count("cookie jar"), 0);
    for _ in 0..3 {
        assert_eq!(server.http().await.get(&target, &[]).await.status, 400);
        assert_eq!(own_log.count("cookie jar"), 1);
    }
}

/// A layer in the wrong place hides the answer: then the connect binds the transport.
#[tokio::test]
async fn a_hidden_opening_answer_is_logged_once() {
    let own_log = OwnLog::begin();
    let app = App::new();
    let (layer, io) = SocketIo::new_layer();
    app.namespace(&io);
    let rewrite = async |mut response: Response| {
        let content_type = HeaderValue::from_static("text/plain");
        response.headers_mut().insert(CONTENT_TYPE, content_type);
        response
    };
    let router = Router::new()
        .layer(layer)
        .layer(axum::middleware::map_response(rewrite))
        .layer(app.sessions.layer());
    let address = serve(router).await;
    let bridge: &SessionBridge<User> = &app.sessions;
    let ann = bridge.create(ann()).await.unwrap();
    let cookie = pair(&app.cookie, ann.id());
    let fields = [("cookie", cookie.as_bytes())];
    for nth in 0..2 {
        let mut polling = Polling::open(Http::open(address).await, "", &fields).await;
        assert_eq!(
            (bridge.bound_transports(), own_log.count("can't be read")),
            (0, nth)
        );
        polling.post("40").await;
        polling.packet_of("42[").await;
        assert_eq!(
            (bridge.bound_transports(), own_log.count("can't be read")),
            (1, 1)
        );
        let target = format!("/socket.io/?EIO=4&transport=polling&sid={}", polling.sid);
        assert_eq!(
            Http::open(address).await.get(&target, &[]).await.status,
            400
        );
        polling.post("1").await;
        crate::support::until("it is gone", || bridge.bound_transports() == 0).await;
    }
}
