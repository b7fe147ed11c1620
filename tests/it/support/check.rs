//! Checks of every accepted and every refused handshake.

use super::{polling::Http, server::Server, socket::Client};

/// Credentials and header fields of a client.
#[derive(Default, Clone)]
pub(crate) struct Brings {
    pub(crate) fields: Vec<(String, Vec<u8>)>,
    pub(crate) query: String,
    pub(crate) auth: String,
}

impl Brings {
    pub(crate) fn nothing() -> Self {
        Self::default()
    }

    pub(crate) fn field(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.fields.push((name.into(), value.as_ref().to_vec()));
        self
    }

    pub(crate) fn cookie(self, value: impl AsRef<[u8]>) -> Self {
        self.field("cookie", value)
    }

    pub(crate) fn query(mut self, name: &str, value: &str) -> Self {
        self.query = format!("{}&{name}={value}", self.query);
        self
    }

    pub(crate) fn auth(mut self, auth: impl Into<String>) -> Self {
        self.auth = auth.into();
        self
    }

    fn fields(&self) -> Vec<(&str, &[u8])> {
        self.fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_slice()))
            .collect()
    }

    async fn websocket(&self, server: &Server, namespace: &str) -> String {
        let mut client = Client::open_bytes(server.address, &self.query, &self.fields()).await;
        let frame = client.refused(namespace, &self.auth).await;
        client.close().await;
        frame
    }

    async fn polling(&self, server: &Server, namespace: &str) -> String {
        let http = Http::open(server.address).await;
        let prefix = match namespace {
            "/" => String::new(),
            other => format!("{other},"),
        };
        let connect = format!("40{prefix}{}", self.auth);
        http.connect(&self.query, &self.fields(), &connect).await
    }
}

impl Server {
    /// Refused over both transports and in two namespaces, with exactly this code; the store was not
    /// asked, no handler ran, nothing is left.
    pub(crate) async fn refuses_unasked(&self, what: &str, brings: &Brings, code: &str) {
        let loads = self.loads();
        self.refuses(what, brings, code).await;
        assert_eq!(self.loads(), loads, "{what}: the store was asked");
    }

    pub(crate) async fn refuses(&self, what: &str, brings: &Brings, code: &str) {
        let connects = self.connects();
        for (namespace, prefix) in [("/", ""), ("/admin", "/admin,")] {
            let expected = format!("44{prefix}{{\"message\":\"{code}\"}}");
            let frame = brings.websocket(self, namespace).await;
            assert_eq!(frame, expected, "{what}, websocket");
            let body = brings.polling(self, namespace).await;
            assert_eq!(body, expected, "{what}, polling");
        }
        assert_eq!(self.connects(), connects, "{what}: a handler ran");
        self.assert_empty().await;
    }

    /// Let in over both transports, with one load each at the most: none if a handle of the test keeps
    /// what is known of the session fresh.
    pub(crate) async fn admits(&self, what: &str, brings: &Brings) {
        let (loads, connects) = (self.loads(), self.connects());
        let frame = brings.websocket(self, "/").await;
        assert!(frame.starts_with("40{\"sid\":"), "{what}: {frame}");
        self.assert_loads_at_most(what, loads + 1);
        super::until("the first socket is gone", || {
            self.sessions.live_sessions() == 0
        })
        .await;
        let body = brings.polling(self, "/").await;
        assert!(body.starts_with("40{\"sid\":"), "{what}: {body}");
        self.assert_loads_at_most(what, loads + 2);
        super::until("the handlers ran", || self.connects() == connects + 2).await;
        self.io.of("/").unwrap().disconnect().await.unwrap();
        self.assert_empty().await;
    }

    fn assert_loads_at_most(&self, what: &str, loads: usize) {
        assert!(self.loads() <= loads, "{what}: {} loads", self.loads());
    }
}
