//! A Socket.IO client over a WebSocket that does as little as possible, so that it does not take the
//! processor from the server.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::Failure;

/// Time for a handshake, after which the benchmark stops.
const PATIENCE: Duration = Duration::from_secs(30);
/// The headers that a browser sends, of which the server reads a few.
const BROWSER: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nPragma: no-cache\r\nCache-Control: no-cache\r\n\
    Accept-Language: en-GB,en;q=0.9\r\nAccept-Encoding: gzip, deflate, br\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36\r\n";

/// Address of a server, and the credential of its clients.
pub(crate) struct Target {
    pub(crate) port: u16,
    pub(crate) credentials: Vec<Credential>,
}

/// Credential of a client, as it goes over the wire.
pub(crate) struct Credential {
    /// The request that opens the WebSocket.
    request: Vec<u8>,
    /// The frame that connects to the namespace.
    connect: Vec<u8>,
}

/// A connected client, which has got its event.
pub(crate) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Target {
    /// `lines` are as a server prints them: `cookie name=value`, or `token text`.
    pub(crate) fn new(port: u16, lines: &[String]) -> Arc<Self> {
        let credentials = lines
            .iter()
            .map(|line| Credential::new(port, line))
            .collect();
        Arc::new(Self { port, credentials })
    }
}

impl Credential {
    fn new(port: u16, line: &str) -> Self {
        let (cookie, connect) = match line.split_once(' ') {
            Some(("token", token)) => ("theme=dark", format!("40{{\"token\":\"{token}\"}}")),
            Some(("cookie", cookie)) => (cookie, "40".to_owned()),
            _ => ("theme=dark", "40".to_owned()),
        };
        let request = format!(
            "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\
             Origin: http://127.0.0.1:{port}\r\n{BROWSER}Cookie: {cookie}\r\n\r\n"
        );
        Self {
            request: request.into_bytes(),
            connect: frame(1, connect.as_bytes()),
        }
    }
}

/// A frame of a client: final, and masked with zeros.
fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    match u8::try_from(payload.len()) {
        Ok(length @ 0..=125) => frame.push(0x80 | length),
        _ => {
            frame.push(0x80 | 126);
            let length = u16::try_from(payload.len()).expect("a credential is short");
            frame.extend(length.to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

impl Client {
    /// Opens a WebSocket, connects to the namespace and waits for the event of its handler.
    pub(crate) async fn connect(target: &Target, nth: usize) -> Result<Self, Failure> {
        let credential = &target.credentials[nth % target.credentials.len()];
        timeout(PATIENCE, Self::handshake(target.port, credential)).await?
    }

    async fn handshake(port: u16, credential: &Credential) -> Result<Self, Failure> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let buffer = Vec::with_capacity(512);
        let mut client = Self { stream, buffer };
        client.stream.write_all(&credential.request).await?;
        client.upgraded().await?;
        client.text(b"0").await?;
        client.stream.write_all(&credential.connect).await?;
        client.text(b"42").await?;
        client.buffer = Vec::new();
        Ok(client)
    }

    /// Leaves as a page does that is closed, and waits until the server has closed the connection.
    pub(crate) async fn leave(mut self) -> Result<(), Failure> {
        self.stream
            .write_all(&frame(8, &1001_u16.to_be_bytes()))
            .await?;
        let mut rest = [0; 256];
        let closed = async { while self.stream.read(&mut rest).await.is_ok_and(|n| n > 0) {} };
        timeout(PATIENCE, closed).await?;
        Ok(())
    }

    async fn upgraded(&mut self) -> Result<(), Failure> {
        loop {
            let end = self.buffer.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                if !self.buffer.starts_with(b"HTTP/1.1 101") {
                    return Err(String::from_utf8_lossy(&self.buffer).into());
                }
                self.buffer.drain(..end + 4);
                return Ok(());
            }
            self.more().await?;
        }
    }

    /// Reads messages until one begins with `start`. A `CONNECT_ERROR` stops the benchmark.
    async fn text(&mut self, start: &[u8]) -> Result<(), Failure> {
        loop {
            while let Some(message) = self.message() {
                if message.starts_with(b"44") {
                    return Err(String::from_utf8_lossy(&message).into());
                }
                if message.starts_with(start) {
                    return Ok(());
                }
            }
            self.more().await?;
        }
    }

    fn message(&mut self) -> Option<Vec<u8>> {
        let (at, length) = match *self.buffer.get(1)? {
            126 => {
                let length = self.buffer.get(2..4)?;
                (4, usize::from(u16::from_be_bytes([length[0], length[1]])))
            }
            length => (2, usize::from(length)),
        };
        let message = self.buffer.get(at..at + length)?.to_vec();
        self.buffer.drain(..at + length);
        Some(message)
    }

    async fn more(&mut self) -> Result<(), Failure> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err("the server has closed the connection".into()),
            _ => Ok(()),
        }
    }
}
