//! The places of the layer: around a router, in a nested one, around Socket.IO's own service, on
//! another path, and on HTTP/2.

use std::{convert::Infallible, future::ready, net::SocketAddr};

use axum::{Router, extract::RawQuery, routing::get};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use socketioxide::{SocketIo, handler::ConnectHandler as _};
use socketioxide_session::{MemoryStore, SessionBridge, SignedCookie, extractor::OriginPolicy};
use tokio::net::{TcpListener, TcpStream};
use tower::{Layer as _, Service, ServiceBuilder};
use tower_http::cors::CorsLayer;

use crate::support::{
    mounted::{App, ann, on_connect, serve},
    polling::{Http, Polling},
    server::{User, keyring, pair},
    soon, until,
};

impl App {
    /// A session is let in, its `sid` is bound, and a client without one gets no transport.
    async fn works(&self, address: SocketAddr, path: &str) {
        let ann = self.sessions.create(ann()).await.unwrap();
        let cookie = pair(&self.cookie, ann.id());
        let fields = [("cookie", cookie.as_bytes())];
        let http = Http::open(address).await;
        let mut polling = Polling::open_at(path, http, "", &fields).await;
        polling.post("40").await;
        polling.packet_of("40{").await;
        let greeting = polling.packet_of("42").await;
        assert_eq!(greeting, r#"42["session",{"name":"Ann","visits":0}]"#);

        let target = format!("{path}?EIO=4&transport=polling");
        let with_sid = format!("{target}&sid={}", polling.sid);
        let mut stranger = Http::open(address).await;
        let refused = stranger
            .send("POST", &with_sid, &[], r#"42["visit"]"#)
            .await;
        assert_eq!(refused.status, 400, "{path}");
        assert!(refused.body.contains("Session ID unknown"), "{path}");
        assert_eq!(ann.reload().await.unwrap().data().visits, 0);
        let refused = stranger.send("GET", &target, &[], "").await;
        assert_eq!(refused.status, 401, "{path}");
        assert_eq!(refused.body, r#"{"error":"NO_COOKIE"}"#, "{path}");

        ann.end().await.unwrap();
        polling.packet_of("41").await;
    }
}

#[tokio::test]
async fn inside_and_outside_of_a_nested_router_and_on_another_path() {
    let app = App::new();
    for (path, listens_on) in [
        ("/socket.io/", None),
        ("/rt/", Some("/rt")),
        ("/rt", Some("/rt")),
    ] {
        let io = || {
            let (layer, io) = match listens_on {
                None => SocketIo::new_layer(),
                Some(path) => SocketIo::builder().req_path(path).build_layer(),
            };
            app.namespace(&io);
            layer
        };
        let plain = Router::new().layer(io()).layer(app.layer());
        app.works(serve(plain).await, path).await;

        let nested = format!("/api{path}");
        let inner = Router::new().fallback(get(async || "")).layer(io());
        let inside = Router::new().nest("/api", inner.layer(app.layer()));
        app.works(serve(inside).await, &nested).await;

        let inner = Router::new().fallback(get(async || "")).layer(io());
        let outside = Router::new().nest("/api", inner).layer(app.layer());
        app.works(serve(outside).await, &nested).await;
    }
}

async fn serve_hyper<S, B>(service: S) -> SocketAddr
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: std::error::Error + Send + Sync,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            let service = TowerToHyperService::new(service.clone());
            let server = auto::Builder::new(TokioExecutor::new());
            tokio::spawn(async move {
                let connection = server.serve_connection_with_upgrades(TokioIo::new(tcp), service);
                let _ = connection.await;
            });
        }
    });
    address
}

#[tokio::test]
async fn around_socket_ios_own_service_in_plain_hyper() {
    let app = App::new();
    let (service, io) = SocketIo::new_svc();
    app.namespace(&io);
    let alone = app.layer().layer(service);
    let (service, io) = SocketIo::new_inner_svc(tower::service_fn(|_: Request<Incoming>| {
        ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(
            "a page",
        ))))
    }));
    app.namespace(&io);
    let with_pages = ServiceBuilder::new().layer(app.layer()).service(service);

    app.works(serve_hyper(alone).await, "/socket.io/").await;
    let address = serve_hyper(with_pages).await;
    app.works(address, "/socket.io/").await;
    let mut http = Http::open(address).await;
    assert_eq!(http.get("/", &[]).await.body, "a page");
}

/// All layers of one builder see each other's bodies.
#[tokio::test]
async fn in_one_service_builder_with_cors() {
    let app = App::new();
    let (layer, io) = SocketIo::new_layer();
    app.namespace(&io);
    let layers = ServiceBuilder::new()
        .layer(CorsLayer::permissive())
        .layer(app.layer())
        .layer(layer);
    app.works(serve(Router::new().layer(layers)).await, "/socket.io/")
        .await;
}

/// The outermost comes first.
#[tokio::test]
async fn in_a_pair_of_layers() {
    let app = App::new();
    let (layer, io) = SocketIo::new_layer();
    app.namespace(&io);
    let router = Router::new().layer((app.layer(), layer));
    app.works(serve(router).await, "/socket.io/").await;
}

/// Another Socket.IO server, beside the one that is guarded, is not guarded.
#[tokio::test]
async fn only_the_path_that_it_is_told() {
    let app = App::new();
    let echo = async |RawQuery(query): RawQuery| query.unwrap_or_default();
    let (layer, io) = SocketIo::new_layer();
    app.namespace(&io);
    let router = Router::new()
        .route("/other/", get(echo))
        .route("/socket.io-2", get(echo))
        .layer(layer)
        .layer(app.layer().req_path("/socket.io"));
    let address = serve(router).await;
    app.works(address, "/socket.io/").await;
    app.works(address, "/socket.io").await;
    let mut http = Http::open(address).await;
    for path in ["/other/", "/socket.io-2"] {
        for query in [
            "EIO=4&transport=polling",
            "EIO=4&transport=polling&sid=a&sid=b",
        ] {
            let answer = http.get(&format!("{path}?{query}"), &[]).await;
            assert_eq!((answer.status, &*answer.body), (200, query));
        }
    }
}

/// Each bridge finds its own sessions, also with another one of the same type around or inside.
#[tokio::test]
async fn two_bridges_for_one_type_are_told_apart() {
    let bridge = |name: &'static str| {
        let cookie = SignedCookie::new(name, &keyring(1, &[])).unwrap();
        let cookie = cookie.insecure_http().unwrap();
        let store = MemoryStore::<User>::new();
        (
            cookie.clone(),
            SessionBridge::builder(cookie, store).build().unwrap(),
        )
    };
    let ((_, admins), (user_cookie, users)) = (bridge("admin"), bridge("user"));
    let eve = users.create(ann()).await.unwrap();
    let cookie = pair(&user_cookie, eve.id());
    let (layer, io) = SocketIo::new_layer();
    io.ns("/", on_connect.with(users.require()));
    io.ns("/admin", on_connect.with(admins.require()));
    let who = {
        let (admins, users) = (admins.clone(), users.clone());
        async move |request: axum::extract::Request| {
            let (parts, _) = request.into_parts();
            let admin = admins.from_request(&parts).await.is_ok();
            let user = users.from_request(&parts).await.is_ok();
            format!("admin {admin}, user {user}")
        }
    };
    for inner_first in [true, false] {
        let router = Router::new()
            .route("/who", get(who.clone()))
            .layer(layer.clone());
        let router = match inner_first {
            true => router.layer(users.layer()).layer(admins.layer()),
            false => router.layer(admins.layer()).layer(users.layer()),
        };
        let address = serve(router).await;
        let mut http = Http::open(address).await;
        let answer = http.get("/who", &[("cookie", &cookie)]).await;
        assert_eq!(answer.body, "admin false, user true");
        let fields = [("cookie", cookie.as_bytes())];
        let mut polling = Polling::open(http, "", &fields).await;
        polling.post("40/admin,").await;
        let refused = polling.packet_of("44").await;
        assert_eq!(refused, r#"44/admin,{"message":"NO_COOKIE"}"#);
        polling.post("40").await;
        polling.packet_of("40{").await;
        assert_eq!(
            (admins.bound_transports(), users.bound_transports()),
            (0, 1)
        );
        polling.post("1").await;
        until("it is gone", || users.bound_transports() == 0).await;
    }
}

/// One connection of HTTP/2.
struct Http2 {
    sender: http2::SendRequest<Full<Bytes>>,
    address: SocketAddr,
}

impl Http2 {
    async fn open(address: SocketAddr) -> Self {
        let tcp = TcpStream::connect(address).await.unwrap();
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(tcp))
            .await
            .unwrap();
        tokio::spawn(connection);
        Self { sender, address }
    }

    async fn send(
        &mut self,
        method: Method,
        query: &str,
        fields: &[(&str, &str)],
        body: &str,
    ) -> (StatusCode, String) {
        let uri = format!(
            "http://{}/socket.io/?EIO=4&transport=polling{query}",
            self.address
        );
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::from(body.to_owned())).unwrap();
        let response = soon("an answer", self.sender.send_request(request)).await;
        let (parts, body) = response.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (parts.status, String::from_utf8(body.to_vec()).unwrap())
    }
}

#[tokio::test]
async fn polling_over_http2() {
    let app = App::new();
    let (layer, io) = SocketIo::new_layer();
    app.namespace(&io);
    let address = serve(Router::new().layer(layer).layer(app.layer())).await;
    let ann = app.sessions.create(ann()).await.unwrap();
    let cookie = pair(&app.cookie, ann.id());
    let own = format!("http://{address}");
    // Each cookie may come in a field of its own.
    let fields = [
        ("cookie", "theme=dark"),
        ("cookie", &*cookie),
        ("origin", &*own),
    ];
    let mut http = Http2::open(address).await;

    let (status, body) = http.send(Method::GET, "", &[], "").await;
    assert_eq!((status.as_u16(), &*body), (401, r#"{"error":"NO_COOKIE"}"#));
    let foreign = [("cookie", &*cookie), ("origin", "https://evil.example")];
    let (status, body) = http.send(Method::GET, "", &foreign, "").await;
    assert_eq!((status.as_u16(), &*body), (403, r#"{"error":"FORBIDDEN"}"#));

    let (status, open) = http.send(Method::GET, "", &fields, "").await;
    assert_eq!(status, 200);
    let sid = open["0{\"sid\":\"".len()..].split('"').next().unwrap();
    let sid = format!("&sid={sid}");
    let (_, posted) = http.send(Method::POST, &sid, &fields, "40").await;
    assert_eq!(posted, "ok");
    let mut polled = String::new();
    while !polled.contains(r#"42["session",{"name":"Ann","visits":0}]"#) {
        polled += &http.send(Method::GET, &sid, &fields, "").await.1;
    }
    for fields in [&[][..], &foreign] {
        let (status, body) = http
            .send(Method::POST, &sid, fields, r#"42["visit"]"#)
            .await;
        assert_eq!(status, 400);
        assert!(body.contains("Session ID unknown"), "{body}");
    }
    let (_, posted) = http
        .send(Method::POST, &sid, &fields, r#"42["visit"]"#)
        .await;
    assert_eq!(posted, "ok");
    soon("the visit", async {
        while ann.reload().await.unwrap().data().visits != 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// A page of another origin, which is allowed: its preflight carries no cookie, and it reads why it
/// is refused.
#[tokio::test]
async fn inside_of_cors() {
    const ORIGIN: &str = "http://localhost:5173";
    let policy = OriginPolicy::same_origin().allow_origin(ORIGIN).unwrap();
    let app = App::with_origins(policy);
    let (layer, io) = SocketIo::new_layer();
    app.namespace(&io);
    let cors = CorsLayer::new()
        .allow_origin([ORIGIN.parse().unwrap()])
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([CONTENT_TYPE])
        .allow_credentials(true);
    let router = Router::new().layer(layer).layer(app.layer()).layer(cors);
    let address = serve(router).await;
    app.works(address, "/socket.io/").await;

    let target = "/socket.io/?EIO=4&transport=polling";
    let mut http = Http::open(address).await;
    let preflight = [
        ("origin", ORIGIN.as_bytes()),
        ("access-control-request-method", b"POST"),
        ("access-control-request-headers", b"content-type"),
    ];
    let preflight = http.send("OPTIONS", target, &preflight, "").await;
    assert_eq!(preflight.status, 200);
    let refused = http.get(target, &[("origin", ORIGIN)]).await;
    assert_eq!(refused.status, 401);
    let ann = app.sessions.create(ann()).await.unwrap();
    let cookie = pair(&app.cookie, ann.id());
    let fields = [("origin", ORIGIN), ("cookie", &*cookie)];
    let opened = http.get(target, &fields).await;
    assert_eq!(opened.status, 200);
    for answer in [preflight, refused, opened] {
        let allowed = format!("access-control-allow-origin: {ORIGIN}");
        assert!(answer.head.contains(&allowed), "{}", answer.head);
        let credentials = "access-control-allow-credentials: true";
        assert!(answer.head.contains(credentials), "{}", answer.head);
    }
}

/// Whatever is not Engine.IO's is passed on as it came, whatever its parameters are called.
#[tokio::test]
async fn other_requests_are_never_changed() {
    let app = App::new();
    let echo = async |RawQuery(query): RawQuery| query.unwrap_or_default();
    let router = Router::new().route("/echo", get(echo)).layer(app.layer());
    let address = serve(router).await;
    let mut http = Http::open(address).await;
    for query in [
        "sid=a&sid=b",
        "sid=a",
        "EIO=4&sid=a&sid=b",
        "transport=bus",
        "%zz&&=&",
    ] {
        let answer = http.get(&format!("/echo?{query}"), &[]).await;
        assert_eq!((answer.status, &*answer.body), (200, query));
    }
    let answer = http.send("OPTIONS", "*", &[], "").await;
    assert_ne!(answer.status, 500);
}
