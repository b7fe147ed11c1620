//! Answers that pass through the layer: their ends, and the openings of transports.

use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream};
use http::{Request, Response, StatusCode, header::CONTENT_TYPE, request::Parts};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, Empty, Full, StreamBody, combinators::UnsyncBoxBody};
use parking_lot::Mutex;
use tower::{Layer as _, Service as _, service_fn};

use super::{SessionBody, SessionLayer};
use crate::{
    extractor::{ExtractError, Handshake, SessionIdExtractor},
    id::SessionId,
    request::LayeredRequest,
    store::MemoryStore,
    transport::OPEN_PACKET_CONTENT_TYPE,
};

type Bridge = crate::SessionBridge<String>;
type AnyBody = UnsyncBoxBody<Bytes, &'static str>;
type Passed = BoxFuture<'static, Result<Response<SessionBody<AnyBody>>, Infallible>>;

const SID: &str = "vNSO-_abcDEF0129";
const OPEN_PACKET: &str = r#"0{"sid":"vNSO-_abcDEF0129","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":100000}"#;
const OPENING: &str = "/socket.io/?EIO=4&transport=polling";

/// Takes the ids of a header field as they are.
struct FromHeader;

impl SessionIdExtractor for FromHeader {
    fn extract(&self, handshake: &Handshake<'_>) -> Result<SessionId, ExtractError> {
        let ids = handshake.headers().get("ids");
        let ids = ids.ok_or(ExtractError::NoToken)?.to_str().unwrap();
        let mut ids: Vec<SessionId> = ids.split('+').map(|id| id.parse().unwrap()).collect();
        match ids.len() {
            1 => Ok(ids.remove(0)),
            _ => Err(ExtractError::Several(ids)),
        }
    }
}

fn bridge() -> Bridge {
    Bridge::builder(FromHeader, MemoryStore::new())
        .build()
        .unwrap()
}

fn get(target: &str, ids: &str) -> Request<()> {
    Request::get(target).header("ids", ids).body(()).unwrap()
}

fn full(text: &'static str) -> AnyBody {
    let full = Full::from(text).map_err(|never| match never {});
    full.boxed_unsync()
}

/// A body of these frames that then never ends.
fn endless(frames: Vec<Result<&'static str, &'static str>>) -> AnyBody {
    let frames = stream::iter(frames).map(|frame| frame.map(|text| Frame::data(text.into())));
    StreamBody::new(frames.chain(stream::pending())).boxed_unsync()
}

/// A body of known length in several frames.
struct InFrames(VecDeque<&'static str>);

impl Body for InFrames {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        let frame = self.0.pop_front();
        Poll::Ready(frame.map(|text| Ok(Frame::data(text.into()))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.iter().map(|frame| frame.len() as u64).sum())
    }
}

fn in_frames<const N: usize>(frames: [&'static str; N]) -> AnyBody {
    InFrames(frames.into()).boxed_unsync()
}

fn open_packet(body: AnyBody) -> Response<AnyBody> {
    let response = Response::builder().header(CONTENT_TYPE, OPEN_PACKET_CONTENT_TYPE);
    response.body(body).unwrap()
}

/// A request that passed through the layer, and what the service inside of it saw.
struct Call {
    passed: Passed,
    ended: BoxFuture<'static, ()>,
    parts: Parts,
}

impl Call {
    /// The service answers with this when `respond` is called.
    fn new(
        layer: &SessionLayer<String>,
        request: Request<()>,
        answer: Option<Response<AnyBody>>,
    ) -> Self {
        let seen = Arc::new(Mutex::new(None));
        let answer = Arc::new(Mutex::new(answer));
        let mut service = {
            let seen = seen.clone();
            layer.layer(service_fn(move |request: Request<()>| {
                let (parts, ()) = request.into_parts();
                let layered = LayeredRequest::<String>::innermost(&parts).unwrap();
                *seen.lock() = Some((layered.answered().boxed(), parts));
                let answer = answer.lock().take();
                async move {
                    match answer {
                        Some(answer) => Ok::<_, Infallible>(answer),
                        None => std::future::pending().await,
                    }
                }
            }))
        };
        let passed = service.call(request).boxed();
        let (ended, parts) = seen.lock().take().unwrap();
        Self {
            passed,
            ended,
            parts,
        }
    }

    fn of(body: AnyBody) -> Self {
        Self::new(
            &bridge().layer(),
            get("/", "ann"),
            Some(Response::new(body)),
        )
    }

    fn head(&mut self) -> Response<SessionBody<AnyBody>> {
        self.passed.as_mut().now_or_never().unwrap().unwrap()
    }

    fn has_ended(&mut self) -> bool {
        self.ended.as_mut().now_or_never().is_some()
    }
}

async fn next(body: &mut SessionBody<AnyBody>) -> Option<Result<Bytes, &'static str>> {
    let frame = body.frame().await?;
    Some(frame.map(|frame| frame.into_data().unwrap()))
}

#[tokio::test]
async fn an_answer_ends_with_the_last_of_its_body() {
    let mut call = Call::of(full("page"));
    assert!(!call.has_ended());
    let mut body = call.head().into_body();
    assert_eq!(body.size_hint().exact(), Some(4));
    assert!(!body.is_end_stream() && !call.has_ended());
    assert_eq!(next(&mut body).await, Some(Ok("page".into())));
    assert!(body.is_end_stream() && !call.has_ended());
    assert_eq!(next(&mut body).await, None);
    assert!(call.has_ended(), "also when the body is kept");
    drop(body);
    let late = LayeredRequest::<String>::innermost(&call.parts).unwrap();
    assert!(late.answered().now_or_never().is_some());
}

#[tokio::test]
async fn an_answer_ends_with_the_drop_of_its_body() {
    let empty = Empty::new().map_err(|never| match never {}).boxed_unsync();
    for (body, length) in [
        (full("page"), Some(4)),
        (empty, Some(0)),
        (endless(vec![]), None),
    ] {
        let mut call = Call::of(body);
        let body = call.head().into_body();
        assert_eq!(
            (body.size_hint().exact(), body.is_end_stream()),
            (length, length == Some(0))
        );
        assert!(!call.has_ended());
        drop(body);
        assert!(call.has_ended());
    }
    let mut call = Call::of(endless(vec![Ok("one"), Ok("two")]));
    let mut body = call.head().into_body();
    assert_eq!(next(&mut body).await, Some(Ok("one".into())));
    assert_eq!(next(&mut body).await, Some(Ok("two".into())));
    assert!(next(&mut body).now_or_never().is_none() && !call.has_ended());
    drop(body);
    assert!(call.has_ended());
}

#[tokio::test]
async fn an_answer_ends_with_the_failure_of_its_body() {
    let mut call = Call::of(endless(vec![Err("broken")]));
    let mut body = call.head().into_body();
    assert_eq!(next(&mut body).await, Some(Err("broken")));
    assert!(call.has_ended());
}

#[tokio::test]
async fn there_is_no_answer_after_the_request_was_given_up() {
    let mut call = Call::new(&bridge().layer(), get("/", "ann"), None);
    assert!(call.passed.as_mut().now_or_never().is_none() && !call.has_ended());
    call.passed = std::future::pending().boxed();
    assert!(call.has_ended());
}

#[tokio::test]
async fn what_waits_for_the_end_keeps_nothing_alive() {
    let mut call = Call::of(full("page"));
    let waits = LayeredRequest::<String>::innermost(&call.parts)
        .unwrap()
        .clone();
    let layered = Arc::downgrade(&waits);
    let body = call.head().into_body();
    drop((waits, call.parts));
    assert!(layered.upgrade().is_some(), "the body holds it");
    drop(body);
    assert!(layered.upgrade().is_none());
    assert!(call.ended.now_or_never().is_some());
}

/// Reads an opening answer to its end, and tells how many transports are bound then.
fn bound_by(target: &str, answer: Response<AnyBody>) -> usize {
    let bridge = bridge();
    let mut call = Call::new(&bridge.layer(), get(target, "ann"), Some(answer));
    let mut body = call.head().into_body();
    assert_eq!(bridge.bound_transports(), 0, "nothing was sent yet");
    while let Some(frame) = next(&mut body).now_or_never().flatten() {
        frame.unwrap();
    }
    drop(body);
    let bound = bridge.bound_transports();
    drop(call.parts);
    assert_eq!(bridge.bound_transports(), 0, "the transport has ended");
    bound
}

#[tokio::test]
async fn only_what_engine_io_answers_is_a_hint() {
    assert_eq!(bound_by(OPENING, open_packet(full(OPEN_PACKET))), 1);
    let v3 = format!("{}:{OPEN_PACKET}", OPEN_PACKET.len()).leak();
    assert_eq!(bound_by(OPENING, open_packet(full(v3))), 1);
    let one_frame = in_frames([OPEN_PACKET]);
    assert_eq!(bound_by(OPENING, open_packet(one_frame)), 1);

    let more = format!("{OPEN_PACKET}\u{1e}2").leak();
    let (one, two) = OPEN_PACKET.split_at(30);
    for body in [
        full(more),
        full(""),
        endless(vec![Ok(OPEN_PACKET)]),
        in_frames([one, two]),
        in_frames([OPEN_PACKET, "2"]),
    ] {
        assert_eq!(bound_by(OPENING, open_packet(body)), 0);
    }
    for status in [
        StatusCode::CREATED,
        StatusCode::BAD_REQUEST,
        StatusCode::NOT_FOUND,
    ] {
        let mut answer = open_packet(full(OPEN_PACKET));
        *answer.status_mut() = status;
        assert_eq!(bound_by(OPENING, answer), 0, "{status}");
    }
    for content_type in ["text/plain; charset=utf-8", "text/html", "application/json"] {
        let mut answer = open_packet(full(OPEN_PACKET));
        answer
            .headers_mut()
            .insert(CONTENT_TYPE, content_type.parse().unwrap());
        assert_eq!(bound_by(OPENING, answer), 0, "{content_type}");
    }
    for target in [
        "/",
        "/socket.io/?EIO=4&transport=websocket",
        "/socket.io/?EIO=4&transport=polling&sid=x",
    ] {
        assert_eq!(
            bound_by(target, open_packet(full(OPEN_PACKET))),
            0,
            "{target}"
        );
    }
}

/// An opening that showed two sessions is bound to both, until one of them is admitted.
#[tokio::test]
async fn a_transport_is_its_openers_whichever_session_that_shows() {
    let bridge = bridge();
    let answer = open_packet(full(OPEN_PACKET));
    let mut call = Call::new(&bridge.layer(), get(OPENING, "ann+bob"), Some(answer));
    let _ = call.head().collect().await;
    let shows = |ids: &str| {
        let (parts, ()) = get("/", ids).into_parts();
        bridge.may_continue(SID, &parts)
    };
    let all = ["ann", "bob", "eve+bob", "eve", "eve+mallory"].map(shows);
    assert_eq!(all, [true, true, true, false, false]);
    let (ann, bob): (SessionId, SessionId) = ("ann".parse().unwrap(), "bob".parse().unwrap());
    let eve: SessionId = "eve".parse().unwrap();
    LayeredRequest::connects(&bridge, &call.parts, SID);
    LayeredRequest::admitted(&bridge, &call.parts, SID, &eve);
    assert_eq!(["ann", "bob", "eve"].map(shows), [true, true, false]);
    LayeredRequest::admitted(&bridge, &call.parts, SID, &bob);
    LayeredRequest::admitted(&bridge, &call.parts, SID, &ann);
    assert_eq!(
        ["ann", "bob", "ann+bob", "eve"].map(shows),
        [false, true, true, false]
    );
}
