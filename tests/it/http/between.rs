//! Layers that stand between the session layer and Socket.IO, and change what Socket.IO answers.

use axum::{
    Router,
    body::Body,
    extract::Request,
    middleware::{Next, from_fn},
    routing::get,
};
use socketioxide::SocketIo;
use tower_http::compression::CompressionLayer;

use crate::support::{
    log,
    mounted::{App, ann, serve},
    polling::{Http, Polling},
    server::pair,
};

const OPENING: &str = "/socket.io/?EIO=4&transport=polling";

/// Whether a client that knows only the `sid` can connect in the owner's name.
async fn is_open(http: &mut Http, sid: &str) -> bool {
    let target = format!("{OPENING}&sid={sid}");
    let answer = http.send("POST", &target, &[], "40/nowhere,").await;
    match answer.status {
        200 => true,
        400 => {
            assert!(answer.body.contains("Session ID unknown"), "{answer:?}");
            false
        }
        _ => panic!("{answer:?}"),
    }
}

#[tokio::test]
async fn compression_hides_no_sid() {
    let app = App::new();
    let (socket_layer, io) = SocketIo::new_layer();
    app.namespace(&io);
    let router = Router::new()
        .route(
            "/page",
            get(async || "a page that is worth it. ".repeat(50)),
        )
        .layer(socket_layer)
        .layer(CompressionLayer::new())
        .layer(app.sessions.layer());
    let mut http = Http::open(serve(router).await).await;
    let page = http.get("/page", &[("accept-encoding", "gzip")]).await;
    assert!(page.head.contains("content-encoding: gzip"), "{page:?}");

    let mut http = Http::open(http.address()).await;
    let ann = app.sessions.create(ann()).await.unwrap();
    let cookie = pair(&app.cookie, ann.id());
    let fields = [("cookie", &*cookie), ("accept-encoding", "gzip")];
    let opened = http.get(OPENING, &fields).await;
    let sid = opened.body.split('"').nth(3).expect("readable").to_owned();
    assert_eq!(app.sessions.bound_transports(), 1);
    assert!(!is_open(&mut http, &sid).await);
}

/// The opening can't be read; so the transport is bound at its first connect, and a warning says what
/// is open until then.
#[tokio::test]
async fn where_the_opening_is_hidden_the_first_connect_binds() {
    let app = App::new();
    let (socket_layer, io) = SocketIo::new_layer();
    app.namespace(&io);
    let hide = from_fn(async |request: Request, next: Next| {
        let opens = !request.uri().to_string().contains("&sid=");
        let response = next.run(request).await;
        match opens {
            true => response.map(|body| Body::from_stream(body.into_data_stream())),
            false => response,
        }
    });
    let router = Router::new()
        .layer(socket_layer)
        .layer(hide)
        .layer(app.sessions.layer());
    let address = serve(router).await;
    let ann = app.sessions.create(ann()).await.unwrap();
    let cookie = pair(&app.cookie, ann.id());
    let fields = [("cookie", cookie.as_bytes())];
    log::capture();
    let mut polling = Polling::open(Http::open(address).await, "", &fields).await;
    let mut stranger = Http::open(address).await;
    assert!(is_open(&mut stranger, &polling.sid).await);
    polling.post("40").await;
    polling.packet_of("40{").await;
    assert!(log::captured().contains("its `sid` can't be read"));
    assert!(!is_open(&mut stranger, &polling.sid).await);
    assert_eq!(app.sessions.bound_transports(), 1);
    polling.packet_of("42[\"session\"").await;
}
