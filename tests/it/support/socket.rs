//! A Socket.IO client that writes and reads its frames itself.

use std::net::SocketAddr;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{
        Message,
        client::IntoClientRequest as _,
        http::{HeaderName, HeaderValue},
    },
};

use super::soon;

/// A WebSocket of Engine.IO version 4.
pub(crate) struct Client {
    socket: WebSocketStream<TcpStream>,
    pub(crate) sid: String,
}

impl Client {
    /// Opens the transport. `query` is added to the URL; values of header fields may be any bytes.
    pub(crate) async fn open(address: SocketAddr, query: &str, headers: &[(&str, &str)]) -> Self {
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (*name, value.as_bytes()))
            .collect();
        Self::open_bytes(address, query, &headers).await
    }

    pub(crate) async fn open_bytes(
        address: SocketAddr,
        query: &str,
        headers: &[(&str, &[u8])],
    ) -> Self {
        let url = format!("ws://{address}/socket.io/?EIO=4&transport=websocket{query}");
        let mut request = url.into_client_request().unwrap();
        for (name, value) in headers {
            let name: HeaderName = name.parse().unwrap();
            let value = HeaderValue::from_bytes(value).unwrap();
            request.headers_mut().append(name, value);
        }
        let tcp = TcpStream::connect(address).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let (socket, _) = soon("the upgrade", client_async(request, tcp))
            .await
            .unwrap();
        let mut client = Self {
            socket,
            sid: String::new(),
        };
        let open = client.frame().await;
        assert!(open.starts_with("0{\"sid\":\""), "{open}");
        open["0{\"sid\":\"".len()..]
            .split('"')
            .next()
            .unwrap()
            .clone_into(&mut client.sid);
        client
    }

    /// Upgrades a polling transport, whose last poll is over; `None` when the server refuses.
    pub(crate) async fn upgrade(
        address: SocketAddr,
        sid: &str,
        headers: &[(&str, &str)],
    ) -> Option<Self> {
        let url = format!("ws://{address}/socket.io/?EIO=4&transport=websocket&sid={sid}");
        let mut request = url.into_client_request().unwrap();
        for (name, value) in headers {
            let name: HeaderName = name.parse().unwrap();
            request.headers_mut().append(name, value.parse().unwrap());
        }
        let tcp = TcpStream::connect(address).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let (mut socket, _) = soon("the upgrade", client_async(request, tcp)).await.ok()?;
        socket.send(Message::text("2probe")).await.ok()?;
        match soon("an answer", socket.next()).await? {
            Ok(Message::Text(text)) if text == "3probe" => {}
            _ => return None,
        }
        socket.send(Message::text("5")).await.ok()?;
        Some(Self {
            socket,
            sid: sid.to_owned(),
        })
    }

    pub(crate) async fn send(&mut self, frame: &str) {
        self.socket.send(Message::text(frame)).await.unwrap();
    }

    pub(crate) async fn send_binary(&mut self, frame: Vec<u8>) {
        self.socket.send(Message::binary(frame)).await.unwrap();
    }

    /// The next text frame; pings are answered.
    pub(crate) async fn frame(&mut self) -> String {
        loop {
            match soon("a frame", self.socket.next()).await {
                Some(Ok(Message::Text(text))) if text == "2" => self.send("3").await,
                Some(Ok(Message::Text(text))) => return text.to_string(),
                Some(Ok(Message::Binary(bytes))) => {
                    return String::from_utf8_lossy(&bytes).into_owned();
                }
                Some(Ok(_)) => {}
                other => panic!("the WebSocket ended: {other:?}"),
            }
        }
    }

    /// Waits for a frame that begins like this, and skips others.
    pub(crate) async fn frame_of(&mut self, start: &str) -> String {
        loop {
            let frame = self.frame().await;
            if frame.starts_with(start) {
                return frame;
            }
        }
    }

    /// Connects to a namespace, and waits until the handler has greeted.
    pub(crate) async fn connect(&mut self, namespace: &str) {
        self.connect_with(namespace, "").await;
    }

    pub(crate) async fn connect_with(&mut self, namespace: &str, auth: &str) {
        let prefix = prefix(namespace);
        self.send(&format!("40{prefix}{auth}")).await;
        let frame = self.frame_of("4").await;
        assert!(
            frame.starts_with(&format!("40{prefix}{{\"sid\"")),
            "{frame}"
        );
        let greeting = format!("42{prefix}[\"session\"");
        self.frame_of(&greeting).await;
    }

    /// Connects to a namespace, and gives the frame that refuses it.
    pub(crate) async fn refused(&mut self, namespace: &str, auth: &str) -> String {
        self.send(&format!("40{}{auth}", prefix(namespace))).await;
        self.frame().await
    }

    /// Sends an event, and returns the data of its acknowledgement. No other frame may come before that, so
    /// it also shows what the client did not receive.
    pub(crate) async fn ask(&mut self, namespace: &str, event: &str) -> String {
        let prefix = prefix(namespace);
        self.send(&format!("42{prefix}1[\"{event}\"]")).await;
        let start = format!("43{prefix}1");
        let frame = self.frame().await;
        assert!(frame.starts_with(&start), "{frame} came first");
        frame[start.len()..].to_owned()
    }

    /// Sends an event that must get no acknowledgement. A following [`ask`](Self::ask) shows it.
    pub(crate) async fn ask_and_be_ignored(&mut self, namespace: &str, event: &str) {
        let prefix = prefix(namespace);
        self.send(&format!("42{prefix}7[\"{event}\"]")).await;
    }

    /// Waits until the server has closed the transport.
    pub(crate) async fn closed(&mut self) {
        while let Some(Ok(message)) = self.socket.next().await {
            if let Message::Close(_) = message {
                break;
            }
        }
    }

    pub(crate) async fn close(mut self) {
        let _ = self.socket.close(None).await;
    }
}

fn prefix(namespace: &str) -> String {
    match namespace {
        "/" => String::new(),
        other => format!("{other},"),
    }
}
