//! `rust_socketio` against a running example: `rust-client URL COOKIE TOKEN`.
//!
//! It prints a line for each case that works, and ends with an error at the first that does not.

use std::{env, error::Error, time::Duration};

use rust_socketio::{
    Event, Payload, TransportType,
    asynchronous::{Client, ClientBuilder},
};
use serde_json::{Value, json};
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::timeout,
};

/// A working server answers within milliseconds.
const DEADLINE: Duration = Duration::from_secs(15);

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [url, cookie, token] = arguments.as_slice() else {
        return Err("usage: rust-client URL COOKIE TOKEN".into());
    };
    for (name, transport) in [
        ("websocket", TransportType::Websocket),
        ("polling", TransportType::Polling),
        ("polling with upgrade", TransportType::Any),
    ] {
        let builder = || ClientBuilder::new(url).transport_type(transport.clone());
        works(builder().opening_header("Cookie", cookie.as_str())).await?;
        works(builder().auth(json!({ "token": token }))).await?;
        let query = format!("{url}/?token={token}");
        works(ClientBuilder::new(query).transport_type(transport.clone())).await?;
        refused(builder(), "NO_COOKIE").await?;
        refused(builder().auth(json!({ "token": "forged" })), "NO_SESSION").await?;
        refused(
            builder().opening_header("Cookie", "sid=forged"),
            "NO_SESSION",
        )
        .await?;
        println!("{name}: a cookie, a token, and refusals");
    }
    Ok(())
}

/// Connects, receives the session, and has an event acknowledged.
async fn works(builder: ClientBuilder) -> Result<()> {
    let (mut events, client) = connect(builder).await?;
    let session = next(&mut events, "session").await?;
    if session["name"] != "Ann" {
        return Err(format!("another session: {session}").into());
    }
    let (answered, mut answers) = unbounded_channel();
    client
        .emit_with_ack("whoami", json!(null), DEADLINE, move |payload, _| {
            forward(&answered, "ack", payload);
            Box::pin(async {})
        })
        .await?;
    let answer = next(&mut answers, "ack").await?;
    client.disconnect().await?;
    let user = answer.get(0).unwrap_or(&answer);
    if user["name"] == "Ann" {
        Ok(())
    } else {
        Err(format!("another answer: {answer}").into())
    }
}

/// Connects, and is rejected with this code.
async fn refused(builder: ClientBuilder, code: &str) -> Result<()> {
    let (mut events, client) = connect(builder).await?;
    let error = next(&mut events, "error").await?.to_string();
    client.disconnect().await.ok();
    if error.contains(code) {
        Ok(())
    } else {
        Err(format!("not {code}: {error}").into())
    }
}

type Events = UnboundedReceiver<(String, Value)>;

async fn connect(builder: ClientBuilder) -> Result<(Events, Client)> {
    let (sender, events) = unbounded_channel();
    let mut builder = builder.reconnect(false);
    for event in ["session", "error"] {
        let sender = sender.clone();
        builder = builder.on(Event::from(event), move |payload, _| {
            forward(&sender, event, payload);
            Box::pin(async {})
        });
    }
    Ok((events, builder.connect().await?))
}

fn forward(sender: &UnboundedSender<(String, Value)>, event: &str, payload: Payload) {
    let value = match payload {
        Payload::Text(mut values) if values.len() == 1 => values.remove(0),
        Payload::Text(values) => Value::Array(values),
        other => json!(format!("{other:?}")),
    };
    // The receiver may be gone: only the first event of a name counts.
    let _ = sender.send((event.to_owned(), value));
}

async fn next(events: &mut Events, name: &str) -> Result<Value> {
    match timeout(DEADLINE, events.recv()).await? {
        Some((event, value)) if event == name => Ok(value),
        other => Err(format!("not {name}: {other:?}").into()),
    }
}
