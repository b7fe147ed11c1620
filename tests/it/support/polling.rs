//! HTTP/1.1 in bytes of our own, and Engine.IO polling over it.

use std::net::SocketAddr;

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
    pub(crate) body: String,
}

impl Http {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let tcp = TcpStream::connect(address).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        Self { tcp }
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
            let host = format!("host: {}\r\n", self.tcp.peer_addr().unwrap());
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
            body: String::from_utf8(bytes[head_end..].to_vec()).unwrap(),
        }
    }

    /// Opens a polling transport, connects to a namespace, and gives what comes first.
    pub(crate) async fn connect(
        &mut self,
        query: &str,
        fields: &[(&str, &[u8])],
        connect: &str,
    ) -> String {
        let base = format!("/socket.io/?EIO=4&transport=polling{query}");
        let open = self.send("GET", &base, fields, "").await;
        assert_eq!(open.status, 200, "{open:?}");
        let sid = open.body["0{\"sid\":\"".len()..].split('"').next().unwrap();
        let target = format!("{base}&sid={sid}");
        let posted = self.send("POST", &target, fields, connect).await;
        assert_eq!(posted.status, 200, "{posted:?}");
        // Engine.IO's first ping comes before, beside or after it.
        loop {
            let polled = self.send("GET", &target, fields, "").await.body;
            if let Some(packet) = polled.split('\u{1e}').find(|packet| *packet != "2") {
                return packet.to_owned();
            }
        }
    }
}
