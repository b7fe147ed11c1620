//! HTTP/1.1 in bytes of our own, and Engine.IO polling over it.

use std::{collections::VecDeque, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::soon;

/// One keep-alive connection.
pub(crate) struct Http {
    tcp: TcpStream,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The status line and the header fields, but for the date.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Http {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let tcp = TcpStream::connect(address).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        Self { tcp }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.tcp.peer_addr().unwrap()
    }

    /// Sends a request with these header fields, whose values may be any bytes.
    pub(crate) async fn send(
        &mut self,
        method: &str,
        target: &str,
        fields: &[(&str, &[u8])],
        body: &str,
    ) -> Answer {
        let mut request = format!("{method} {target} HTTP/1.1\r\n").into_bytes();
        let own = fields
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("host"));
        if !own {
            let host = format!("host: {}\r\n", self.address());
            request.extend_from_slice(host.as_bytes());
        }
        for (name, value) in fields {
            request.extend_from_slice(name.as_bytes());
            request.extend_from_slice(b": ");
            request.extend_from_slice(value);
            request.extend_from_slice(b"\r\n");
        }
        request
            .extend_from_slice(format!("content-length: {}\r\n\r\n{body}", body.len()).as_bytes());
        self.tcp.write_all(&request).await.unwrap();
        soon("an answer", self.read()).await
    }

    pub(crate) async fn get(&mut self, target: &str, fields: &[(&str, &str)]) -> Answer {
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| (*name, value.as_bytes()))
            .collect();
        self.send("GET", target, &fields, "").await
    }

    async fn read(&mut self) -> Answer {
        let mut bytes = Vec::new();
        let head_end = loop {
            if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            assert!(
                self.tcp.read_buf(&mut bytes).await.unwrap() > 0,
                "the connection ended"
            );
        };
        let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
        let length = head
            .lines()
            .find_map(|line| {
                line.to_ascii_lowercase()
                    .strip_prefix("content-length: ")
                    .map(str::to_owned)
            })
            .map_or(0, |length| length.trim().parse().unwrap());
        while bytes.len() < head_end + length {
            assert!(
                self.tcp.read_buf(&mut bytes).await.unwrap() > 0,
                "the connection ended"
            );
        }
        Answer {
            status: head[9..12].parse().unwrap(),
            head: head
                .lines()
                .filter(|line| !line.starts_with("date: "))
                .collect::<Vec<_>>()
                .join("\n"),
            body: String::from_utf8(bytes[head_end..head_end + length].to_vec()).unwrap(),
        }
    }

    /// Opens a polling transport, connects to a namespace, and gives what comes first.
    pub(crate) async fn connect(
        self,
        query: &str,
        fields: &[(&str, &[u8])],
        connect: &str,
    ) -> String {
        let mut polling = Polling::open(self, query, fields).await;
        polling.post(connect).await;
        polling.packet().await
    }
}

/// A client that polls.
pub(crate) struct Polling {
    http: Http,
    fields: Vec<(String, Vec<u8>)>,
    pub(crate) sid: String,
    target: String,
    packets: VecDeque<String>,
}

impl Polling {
    pub(crate) async fn open(http: Http, query: &str, fields: &[(&str, &[u8])]) -> Self {
        Self::open_at("/socket.io/", http, query, fields).await
    }

    pub(crate) async fn open_at(
        path: &str,
        mut http: Http,
        query: &str,
        fields: &[(&str, &[u8])],
    ) -> Self {
        let base = format!("{path}?EIO=4&transport=polling{query}");
        let open = http.send("GET", &base, fields, "").await;
        assert_eq!(open.status, 200, "{open:?}");
        let sid = open.body["0{\"sid\":\"".len()..].split('"').next().unwrap();
        let fields = fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.to_vec()));
        Self {
            http,
            fields: fields.collect(),
            sid: sid.to_owned(),
            target: format!("{base}&sid={sid}"),
            packets: VecDeque::new(),
        }
    }

    async fn send(&mut self, method: &str, body: &str) -> Answer {
        let fields: Vec<_> = self
            .fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_slice()))
            .collect();
        self.http.send(method, &self.target, &fields, body).await
    }

    /// Sends a packet; Engine.IO must take it.
    pub(crate) async fn post(&mut self, packet: &str) {
        let posted = self.send("POST", packet).await;
        assert_eq!(posted.status, 200, "{posted:?}");
    }

    /// The next packet; pings are answered.
    pub(crate) async fn packet(&mut self) -> String {
        loop {
            match self.packets.pop_front() {
                Some(packet) if packet == "2" => self.post("3").await,
                Some(packet) => return packet,
                None => {
                    let polled = self.send("GET", "").await;
                    assert_eq!(polled.status, 200, "{polled:?}");
                    let packets = polled.body.split('\u{1e}').map(str::to_owned);
                    self.packets.extend(packets);
                }
            }
        }
    }

    /// The next packet that begins like this; others are skipped.
    pub(crate) async fn packet_of(&mut self, start: &str) -> String {
        loop {
            let packet = self.packet().await;
            if packet.starts_with(start) {
                return packet;
            }
        }
    }

    /// Sends an event, and gives the data of its acknowledgement.
    pub(crate) async fn ask(&mut self, event: &str) -> String {
        self.post(&format!("421[\"{event}\"]")).await;
        self.packet_of("431").await["431".len()..].to_owned()
    }
}
