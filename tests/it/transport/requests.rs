//! The layer and Socket.IO's transports: the requests that act for a `sid`, and the clients that
//! get a transport at all.

use std::time::Duration;

use socketioxide::extract::SocketRef;
use socketioxide_session::{
    Session, SessionIdExtractor as _,
    extractor::OriginPolicy,
    http::SessionLayer,
    store::StoreErrorKind,
    testing::{Call, Fault},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::{
    log,
    polling::{Answer, Http, Polling},
    server::{DynExtractor, Server, Setup, User},
    socket::Client,
    soon, until,
};

type Fields<'a> = Vec<(&'a str, &'a [u8])>;

/// The ways to have the layer with the `sid` bound.
const BINDING: [fn(SessionLayer<User>) -> SessionLayer<User>; 2] =
    [|layer| layer, SessionLayer::reject_unauthenticated];

/// The ways to have Socket.IO's own openness.
fn open_setups() -> [Setup; 3] {
    [
        Setup::new().without_layer(),
        Setup::new().layer(SessionLayer::insecure_unbound_sid),
        Setup::new().layer(|layer| layer.reject_unauthenticated().insecure_unbound_sid()),
    ]
}

struct Victim {
    cookie: String,
    session: Session<User>,
    polling: Polling,
}

impl Victim {
    async fn connected(server: &Server) -> Self {
        let session = server.login("Ann").await;
        let cookie = server.pair(&session);
        let fields = [("cookie", cookie.as_bytes())];
        let mut polling = Polling::open(server.http().await, "", &fields).await;
        polling.post("40").await;
        polling.packet_of("40{").await;
        polling.packet_of("42[\"session\"").await;
        Self {
            cookie,
            session,
            polling,
        }
    }

    async fn is_untouched(&mut self, what: &str) {
        assert_eq!(
            self.polling.ask("whoami").await,
            r#"[{"name":"Ann","visits":0}]"#,
            "{what}"
        );
        let stored = self.session.reload().await.unwrap();
        assert_eq!(stored.data().visits, 0, "{what}");
    }
}

async fn send(server: &Server, method: &str, query: &str, fields: &Fields<'_>) -> Answer {
    let target = format!("/socket.io/?EIO=4&transport=polling{query}");
    let mut http = Http::open(server.address).await;
    http.send(method, &target, fields, r#"42["visit"]"#).await
}

#[tokio::test]
async fn a_client_that_only_knows_a_sid_gets_the_answer_of_an_unknown_one() {
    for layer in BINDING {
        let server = Setup::new().layer(layer).start().await;
        let mut victim = Victim::connected(&server).await;
        let bob = server.login("Bob").await;
        let (ann, bob) = (victim.cookie.clone(), server.pair(&bob));
        let forged = ann.replace('=', "=x");
        let token = server.token.issue(&bob_id(&server).await).unwrap();
        let foreign: Fields<'_> = vec![
            ("cookie", ann.as_bytes()),
            ("origin", b"https://evil.example"),
        ];
        let strangers: [(&str, Fields<'_>, String); 6] = [
            ("nothing", vec![], String::new()),
            (
                "another one's",
                vec![("cookie", bob.as_bytes())],
                String::new(),
            ),
            ("forged", vec![("cookie", forged.as_bytes())], String::new()),
            ("foreign origin", foreign, String::new()),
            (
                "a token",
                vec![("cookie", ann.as_bytes())],
                format!("&token={token}"),
            ),
            (
                "a doubled sid",
                vec![("cookie", ann.as_bytes())],
                "&sid=AAAAAAAAAAAAAAAA".into(),
            ),
        ];
        for (what, fields, query) in &strangers {
            for method in ["POST", "GET"] {
                let sid = &victim.polling.sid;
                let answer = send(&server, method, &format!("&sid={sid}{query}"), fields).await;
                let unknown = send(&server, method, "&sid=BBBBBBBBBBBBBBBB", fields).await;
                assert_eq!(
                    (&answer.head, &answer.body),
                    (&unknown.head, &unknown.body),
                    "{what}"
                );
                assert_eq!(answer.status, 400, "{what}");
                assert!(answer.body.contains("Session ID unknown"), "{what}");
            }
            victim.is_untouched(what).await;
        }
        let doubled = format!("&sid=AAAAAAAAAAAAAAAA&sid={}", victim.polling.sid);
        let fields = vec![("cookie", ann.as_bytes())];
        assert_eq!(send(&server, "POST", &doubled, &fields).await.status, 400);
        victim.is_untouched("a doubled sid").await;
    }
}

async fn bob_id(server: &Server) -> socketioxide_session::SessionId {
    server.login("Bob").await.id().clone()
}

/// So that the test above is known to attack.
#[tokio::test]
async fn in_plain_socketioxide_a_client_that_knows_a_sid_acts_for_the_victim() {
    for setup in open_setups() {
        let server = setup.start().await;
        let victim = Victim::connected(&server).await;
        let sid = format!("&sid={}", victim.polling.sid);
        let posted = send(&server, "POST", &sid, &vec![]).await;
        assert_eq!((posted.status, &*posted.body), (200, "ok"));
        until("the handler has run", || {
            victim.session.latest().data().visits == 1
        })
        .await;
    }
}

#[tokio::test]
async fn a_strangers_poll_beside_the_victims_changes_nothing() {
    for layer in BINDING {
        let server = Setup::new().layer(layer).start().await;
        let mut victim = Victim::connected(&server).await;
        // Whatever was queued for it has been polled.
        victim.is_untouched("before").await;
        let sid = format!("&sid={}", victim.polling.sid);
        let stranger = async {
            let polled = send(&server, "GET", &sid, &vec![]).await;
            assert_eq!(polled.status, 400);
            server.io.emit("news", "for Ann").await.unwrap();
        };
        let (packet, ()) = tokio::join!(victim.polling.packet_of("42"), stranger);
        assert_eq!(packet, r#"42["news","for Ann"]"#);
        victim.is_untouched("after").await;
    }
}

#[tokio::test]
async fn in_plain_socketioxide_a_strangers_poll_gets_the_victims_packets() {
    for setup in open_setups() {
        let server = setup.start().await;
        let victim = Victim::connected(&server).await;
        server.io.emit("news", "for Ann").await.unwrap();
        let sid = format!("&sid={}", victim.polling.sid);
        let polled = send(&server, "GET", &sid, &vec![]).await;
        assert!(polled.body.contains("for Ann"), "{polled:?}");
    }
}

#[tokio::test]
async fn only_its_owner_upgrades_a_transport() {
    for layer in BINDING {
        let server = Setup::new().layer(layer).start().await;
        let mut victim = Victim::connected(&server).await;
        let bob = server.login("Bob").await;
        let (ann, bob) = (victim.cookie.clone(), server.pair(&bob));
        let own = format!("http://{}", server.address);
        let strangers: [&[(&str, &str)]; 3] = [
            &[],
            &[("cookie", &bob)],
            &[("cookie", &ann), ("origin", "http://evil.example")],
        ];
        for fields in strangers {
            let stolen = Client::upgrade(server.address, &victim.polling.sid, fields).await;
            assert!(stolen.is_none());
            victim.is_untouched("a stranger's upgrade").await;
        }
        let fields = [("cookie", &*ann), ("origin", &own)];
        let upgrade = Client::upgrade(server.address, &victim.polling.sid, &fields);
        let mut upgraded = upgrade.await.expect("it is the owner");
        assert_eq!(
            upgraded.ask("/", "whoami").await,
            r#"[{"name":"Ann","visits":0}]"#
        );
        upgraded.close().await;
        server.assert_empty().await;
    }
}

#[tokio::test]
async fn in_plain_socketioxide_a_client_that_knows_a_sid_takes_the_transport() {
    for setup in open_setups() {
        let server = setup.start().await;
        let mut victim = Victim::connected(&server).await;
        victim.is_untouched("before").await;
        let stolen = Client::upgrade(server.address, &victim.polling.sid, &[]).await;
        let mut stolen = stolen.expect("no cookie is needed");
        assert_eq!(
            stolen.ask("/", "whoami").await,
            r#"[{"name":"Ann","visits":0}]"#
        );
    }
}

/// A victim that has a session and has not connected anywhere that asks for it.
async fn not_connected_yet(server: &Server) -> (Session<User>, Polling) {
    let session = server.login("Ann").await;
    let cookie = server.pair(&session);
    let fields = [("cookie", cookie.as_bytes())];
    let mut polling = Polling::open(server.http().await, "", &fields).await;
    polling.post("40/public,").await;
    polling.packet_of("40/public,").await;
    (session, polling)
}

fn with_a_public_namespace() -> Setup {
    Setup::new().namespace(|io, _| {
        io.ns("/public", async |_: SocketRef| {});
    })
}

/// A post whose body is sent later.
async fn begin_a_post(server: &Server, sid: &str) -> TcpStream {
    let mut tcp = TcpStream::connect(server.address).await.unwrap();
    let head = format!(
        "POST /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\n\
         host: {}\r\ntransfer-encoding: chunked\r\n\r\n",
        server.address
    );
    tcp.write_all(head.as_bytes()).await.unwrap();
    tcp
}

async fn answer_to(mut tcp: TcpStream, packets: &[&str]) -> String {
    for packet in packets {
        let chunk = format!("{:x}\r\n{packet}\r\n", packet.len());
        // It may have been answered and closed already.
        let _ = tcp.write_all(chunk.as_bytes()).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let _ = tcp.write_all(b"0\r\n\r\n").await;
    let mut answer = [0; 1024];
    let read = soon("an answer", tcp.read(&mut answer)).await.unwrap();
    String::from_utf8_lossy(&answer[..read]).into_owned()
}

/// The transport is its opener's from the first moment: what was begun before its session connects
/// is no way in.
#[tokio::test]
async fn a_sid_that_is_known_before_its_session_connects_is_worth_nothing() {
    let server = with_a_public_namespace().start().await;

    let (ann, mut victim) = not_connected_yet(&server).await;
    let stolen = Client::upgrade(server.address, &victim.sid, &[]).await;
    assert!(stolen.is_none());
    let post = begin_a_post(&server, &victim.sid).await;
    let answer = answer_to(post, &["40\u{1e}", "42[\"visit\"]\u{1e}"]).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    let early = begin_a_post(&server, &victim.sid).await;
    victim.post("40").await;
    victim.packet_of("40{").await;
    let answer = answer_to(early, &["42[\"visit\"]\u{1e}"]).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert_eq!(ann.reload().await.unwrap().data().visits, 0);
    assert_eq!(victim.ask("whoami").await, r#"[{"name":"Ann","visits":0}]"#);
}

#[tokio::test]
async fn in_plain_socketioxide_such_a_sid_is_the_session() {
    let server = with_a_public_namespace().without_layer().start().await;
    let (_ann, victim) = not_connected_yet(&server).await;
    let stolen = Client::upgrade(server.address, &victim.sid, &[]).await;
    let mut stolen = stolen.expect("no cookie is needed");
    stolen.connect("/").await;
    assert_eq!(
        stolen.ask("/", "whoami").await,
        r#"[{"name":"Ann","visits":0}]"#
    );
}

/// Packets for the victim from before its logout don't go to the first client that polls after it.
#[tokio::test]
async fn after_a_logout_the_transport_is_still_its_owners() {
    let server = Server::start().await;
    let mut victim = Victim::connected(&server).await;
    victim.is_untouched("before").await;
    let room = victim.session.room();
    server.io.to(room).emit("news", "for Ann").await.unwrap();
    let sid = format!("&sid={}", victim.polling.sid);
    victim.session.end().await.unwrap();
    assert_eq!(send(&server, "GET", &sid, &vec![]).await.status, 400);
    assert_eq!(
        victim.polling.packet_of("42").await,
        r#"42["news","for Ann"]"#
    );
    assert_eq!(victim.polling.packet().await, "41");
}

#[tokio::test]
async fn after_a_rotation_the_transport_goes_on_with_the_new_cookie() {
    let server = Server::start().await;
    let mut victim = Victim::connected(&server).await;
    victim.is_untouched("before").await;
    let rotated = server.sessions.rotate(&victim.session).await.unwrap();
    let sid = format!("&sid={}", victim.polling.sid);
    let stranger = server.pair(&server.login("Eve").await);
    let stranger = vec![("cookie", stranger.as_bytes())];
    assert_eq!(send(&server, "GET", &sid, &stranger).await.status, 400);
    let cookie = server.pair(&rotated);
    let fields = vec![("cookie", cookie.as_bytes())];
    // The old sockets are disconnected a second later.
    let mut polled = send(&server, "GET", &sid, &fields).await;
    if polled.body == "2" {
        polled = send(&server, "GET", &sid, &fields).await;
    }
    assert_eq!(polled.body, "41");
}

/// A client with a stale cookie is anonymous, and its transport is its own all the same. After a
/// sign-in, a browser opens a new one by itself.
#[tokio::test]
async fn a_transport_with_a_stale_cookie_stays_its_openers() {
    let server = Server::start().await;
    let ann = server.login("Ann").await;
    let cookie = server.pair(&ann);
    ann.end().await.unwrap();
    let fields = [("cookie", cookie.as_bytes())];
    let mut polling = Polling::open(server.http().await, "", &fields).await;
    polling.post("40/lobby,").await;
    polling.packet_of("40/lobby,").await;
    assert_eq!(server.sessions.bound_transports(), 1);
    let bob = server.pair(&server.login("Bob").await);
    let bob = vec![("cookie", bob.as_bytes())];
    let sid = format!("&sid={}", polling.sid);
    for stranger in [&bob, &vec![]] {
        assert_eq!(send(&server, "POST", &sid, stranger).await.status, 400);
    }
    assert_eq!(
        send(&server, "POST", &sid, &fields.to_vec()).await.status,
        200
    );
}

/// A token in the URL is repeated with every poll, and one in the `auth` payload comes once.
#[tokio::test]
async fn a_token_in_the_query_binds_and_one_in_the_payload_cannot() {
    let server = Server::start().await;
    let ann = server.login("Ann").await;
    let token = server.token.issue(ann.id()).unwrap();

    let query = format!("&token={token}");
    let mut polling = Polling::open(server.http().await, &query, &[]).await;
    polling.post("40").await;
    polling.packet_of("40{").await;
    let sid = format!("&sid={}", polling.sid);
    assert_eq!(send(&server, "POST", &sid, &vec![]).await.status, 400);
    let again = server.token.issue(ann.id()).unwrap();
    let fresh = format!("{sid}&token={again}");
    assert_eq!(send(&server, "POST", &fresh, &vec![]).await.status, 200);
    assert_eq!(
        polling.ask("whoami").await,
        r#"[{"name":"Ann","visits":1}]"#
    );

    let mut polling = Polling::open(server.http().await, "", &[]).await;
    polling.post(&format!(r#"40{{"token":"{token}"}}"#)).await;
    polling.packet_of("40{").await;
    let sid = format!("&sid={}", polling.sid);
    assert_eq!(send(&server, "POST", &sid, &vec![]).await.status, 200);
}

/// The cookie may change while it is of the same session; the transport's end ends the binding.
#[tokio::test]
async fn a_new_cookie_of_the_same_session_is_as_good() {
    let server = Setup::new()
        .keys(crate::support::server::keyring(2, &[1]))
        .start()
        .await;
    let older =
        socketioxide_session::SignedCookie::new("sid", &crate::support::server::keyring(1, &[]));
    let ann = server.login("Ann").await;
    let older = crate::support::server::pair(&older.unwrap(), ann.id());
    let fields = [("cookie", older.as_bytes())];
    let mut polling = Polling::open(server.http().await, "", &fields).await;
    polling.post("40").await;
    polling.packet_of("40{").await;
    let newer = server.pair(&ann);
    assert_ne!(older, newer);
    let newer = vec![("cookie", newer.as_bytes())];
    let sid = format!("&sid={}", polling.sid);
    assert_eq!(send(&server, "POST", &sid, &newer).await.status, 200);
    assert_eq!(server.sessions.bound_transports(), 1);
    polling.post("1").await;
    server.assert_empty().await;
    until("the binding is gone", || {
        server.sessions.bound_transports() == 0
    })
    .await;
}

/// While the store is down, no client is anonymous or without a session because of that.
#[tokio::test]
async fn an_outage_of_the_store_makes_no_client_anonymous() {
    let server = Setup::new().without_reports().start().await;
    let ann = server.login("Ann").await;
    let mut client = server.client(&[("cookie", &server.pair(&ann))]).await;
    let failing = Fault::Error(StoreErrorKind::Unavailable);
    server.faults.on(Call::Load, failing);
    for _ in 0..30 {
        for (namespace, prefix) in [("/", ""), ("/lobby", "/lobby,")] {
            let refused = client.refused(namespace, "").await;
            let expected = format!(r#"44{prefix}{{"message":"STORE_ERROR"}}"#);
            assert_eq!(refused, expected);
        }
    }
    server.faults.clear();
    soon("it is let in again", async {
        loop {
            client.send("40").await;
            let frame = client.frame().await;
            if frame.starts_with("40{") {
                break;
            }
            assert_eq!(frame, r#"44{"message":"STORE_ERROR"}"#);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    client.frame_of("42[").await;
    client.connect("/lobby").await;
}

/// Dozens of namespaces at once are no attack.
#[tokio::test]
async fn a_session_connects_as_often_as_it_likes() {
    let server = Setup::new().without_reports().start().await;
    let ann = server.login("Ann").await;
    let mut client = server.client(&[("cookie", &server.pair(&ann))]).await;
    for _ in 0..20 {
        for namespace in ["/", "/admin", "/lobby"] {
            client.connect(namespace).await;
        }
        for prefix in ["", "/admin,", "/lobby,"] {
            client.send(&format!("41{prefix}")).await;
        }
        let gone = || server.sessions.live_sockets() == 0;
        until("they have left", gone).await;
    }
}

// --- Unauthenticated clients ---------------------------------------------------------------------

async fn rejecting() -> Server {
    Setup::new()
        .layer(SessionLayer::reject_unauthenticated)
        .extractor(|cookie, token| {
            let policy = OriginPolicy::same_origin().allow_origin("https://app.example.com");
            let cookie = cookie.clone().origin_policy(policy.unwrap());
            DynExtractor::new(token.clone().or(cookie))
        })
        .start()
        .await
}

/// Answers to a polling and a WebSocket client that open a transport.
async fn wants(server: &Server, query: &str, fields: &Fields<'_>) -> [Answer; 2] {
    let polling = format!("/socket.io/?EIO=4&transport=polling{query}");
    let websocket = format!("/socket.io/?EIO=4&transport=websocket{query}");
    let upgrade: [(&str, &[u8]); 4] = [
        ("connection", b"Upgrade"),
        ("upgrade", b"websocket"),
        ("sec-websocket-version", b"13"),
        ("sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let with_upgrade: Fields<'_> = fields.iter().copied().chain(upgrade).collect();
    let mut http = server.http().await;
    let polled = http.send("GET", &polling, fields, "").await;
    let mut http = server.http().await;
    [
        polled,
        http.send("GET", &websocket, &with_upgrade, "").await,
    ]
}

#[tokio::test]
async fn unauthenticated_clients_are_refused_before_there_is_a_transport() {
    let server = rejecting().await;
    let (ann, bob) = (server.login("Ann").await, server.login("Bob").await);
    let (ann_cookie, bob_cookie) = (server.pair(&ann), server.pair(&bob));
    bob.end().await.unwrap();
    let forged = ann_cookie.replace('=', "=x");
    let with = |cookie: &'static str| vec![("cookie", cookie.as_bytes())];
    let leak = |text: String| -> &'static str { text.leak() };
    let foreign = {
        let mut fields = with(leak(ann_cookie.clone()));
        fields.push(("origin", b"https://evil.example"));
        fields
    };
    for (what, fields, query, status, code) in [
        ("nothing", vec![], "", 401, "NO_COOKIE"),
        ("forged", with(leak(forged)), "", 401, "NO_SESSION"),
        ("gone", with(leak(bob_cookie)), "", 401, "NO_SESSION"),
        ("a bad token", vec![], "&token=x", 401, "NO_SESSION"),
        ("a foreign page", foreign, "", 403, "FORBIDDEN"),
    ] {
        for answer in wants(&server, query, &fields).await {
            assert_eq!(answer.status, status, "{what}");
            assert_eq!(answer.body, format!(r#"{{"error":"{code}"}}"#), "{what}");
            let head = &answer.head;
            assert!(head.contains("content-type: application/json"), "{head}");
            assert!(head.contains("cache-control: no-store"), "{head}");
        }
    }
    server
        .faults
        .on(Call::Load, Fault::Error(StoreErrorKind::Unavailable));
    for answer in wants(&server, "", &with(leak(ann_cookie.clone()))).await {
        assert_eq!(answer.status, 503);
        assert_eq!(answer.body, r#"{"error":"STORE_ERROR"}"#);
    }
    server.faults.clear();
    // The failure is remembered for a second.
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;

    let token = server.token.issue(ann.id()).unwrap();
    let mut allowed = with(leak(ann_cookie));
    allowed.push(("origin", b"https://app.example.com"));
    for (fields, query) in [
        (allowed, String::new()),
        (vec![], format!("&token={token}")),
    ] {
        let [polled, upgraded] = wants(&server, &query, &fields).await;
        assert_eq!(polled.status, 200);
        assert!(polled.body.starts_with("0{\"sid\":"));
        assert_eq!(upgraded.status, 101);
    }
    assert_eq!(server.connects(), 0);
}

/// Pages, errors of Engine.IO's own and preflight requests are no transports.
#[tokio::test]
async fn only_openings_of_transports_are_refused() {
    let server = rejecting().await;
    let mut http = server.http().await;
    let page = http.get("/me", &[]).await;
    assert_eq!(
        (page.status, &*page.body),
        (401, r#"{"error":"NO_COOKIE"}"#)
    );
    for (method, target) in [
        ("GET", "/socket.io/"),
        ("GET", "/socket.io/?EIO=4"),
        ("POST", "/socket.io/?EIO=4&transport=polling"),
        ("OPTIONS", "/socket.io/?EIO=4&transport=polling"),
        (
            "GET",
            "/socket.io/?EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAA",
        ),
    ] {
        let answer = http.send(method, target, &[], "").await;
        assert_eq!(answer.status, 400, "{method} {target}");
    }
}

/// For clients with a session, everything is as without it.
#[tokio::test]
async fn sessions_live_and_end_as_without_it() {
    let server = rejecting().await;
    let ann = server.login("Ann").await;
    let mut tab = server.connected(&ann).await;
    assert_eq!(
        tab.ask("/", "whoami").await,
        r#"[{"name":"Ann","visits":0}]"#
    );
    ann.end().await.unwrap();
    assert_eq!(tab.frame_of("41").await, "41");
    server.assert_empty().await;
}

// --- What the log says --------------------------------------------------------------------------

#[tokio::test]
async fn without_the_layer_a_warning_comes_once() {
    let own_log = log::OwnLog::begin();
    let server = Setup::new().without_layer().start().await;
    let ann = server.login("Ann").await;
    for _ in 0..3 {
        server.connected(&ann).await.close().await;
    }
    assert_eq!(own_log.count("did not pass through"), 1);
    let server = Server::start().await;
    let ann = server.login("Ann").await;
    server.connected(&ann).await.close().await;
    assert_eq!(own_log.count("did not pass through"), 1);
}

#[tokio::test]
async fn of_a_refused_origin_the_log_says_what_would_allow_it() {
    let server = Server::start().await;
    let ann = server.login("Ann").await;
    let cookie = server.pair(&ann);
    for origin in ["http://localhost:51731", "https://shop51731.example.com"] {
        let fields = [("cookie", &*cookie), ("origin", origin)];
        let mut client = server.client(&fields).await;
        let refused = client.refused("/", "").await;
        assert_eq!(refused, r#"44{"message":"FORBIDDEN"}"#);
        let advice = format!(".allow_origin(\"{origin}\")");
        assert!(log::captured().contains(&advice), "{advice}");
        let policy = OriginPolicy::same_origin().allow_origin(origin).unwrap();
        let allowing = Setup::new()
            .extractor(move |cookie, _| DynExtractor::new(cookie.clone().origin_policy(policy)))
            .start()
            .await;
        let ann = allowing.login("Ann").await;
        let fields = [("cookie", &*allowing.pair(&ann)), ("origin", origin)];
        allowing.client(&fields).await.connect("/").await;
    }
}
