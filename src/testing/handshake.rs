//! Handshakes and credentials for tests.

use std::fmt;

use http::{HeaderName, HeaderValue, Method, Request, Uri, header::COOKIE, request::Parts};
use serde_json::Value;

use crate::{
    extractor::SignedCookie,
    handshake::{AuthPayload, Handshake, Stage},
    id::SessionId,
};

/// Builds a [`Handshake`], for unit tests of extractors.
///
/// Values that no HTTP message can hold make it panic, as tests do.
///
/// ```
/// use serde_json::json;
/// use socketioxide_session::testing::HandshakeBuilder;
///
/// let handshake = HandshakeBuilder::socket("/chat")
///     .cookie("theme", "dark")
///     .query("token", "from-the-query")
///     .auth(json!({ "token": "from-auth" }))
///     .origin("https://app.example.com");
///
/// handshake.with(|handshake| {
///     assert_eq!(handshake.namespace(), Some("/chat"));
///     assert_eq!(handshake.query("token").next(), Some("from-the-query"));
/// });
/// ```
#[derive(Clone)]
#[must_use]
pub struct HandshakeBuilder {
    parts: Parts,
    namespace: Option<String>,
    auth: Option<Value>,
    cookies: Vec<String>,
    continuation: bool,
}

impl HandshakeBuilder {
    /// A client that connects to a Socket.IO namespace over a WebSocket, from `example.com` to
    /// `example.com`, but with no `Origin`.
    pub fn socket(namespace: &str) -> Self {
        let builder = Self::request("/socket.io/?EIO=4&transport=websocket");
        Self {
            namespace: Some(namespace.to_owned()),
            ..builder
        }
    }

    /// An ordinary HTTP request: `GET`, to `example.com`.
    pub fn request(uri: &str) -> Self {
        let request = Request::get(uri).header("host", "example.com");
        let request = request.body(()).expect("this is no URI");
        Self {
            parts: request.into_parts().0,
            namespace: None,
            auth: None,
            cookies: Vec::new(),
            continuation: false,
        }
    }

    /// With another method.
    ///
    /// ```
    /// use http::Method;
    /// use socketioxide_session::{extractor::OriginPolicy, testing::HandshakeBuilder};
    ///
    /// // Links of other sites work, their forms don't.
    /// let link = HandshakeBuilder::request("/").origin("https://other.example");
    /// let form = link.clone().method(Method::POST);
    /// let policy = OriginPolicy::same_origin();
    /// assert!(link.with(|handshake| policy.check(handshake)).is_ok());
    /// assert!(form.with(|handshake| policy.check(handshake)).is_err());
    /// ```
    pub fn method(mut self, method: Method) -> Self {
        self.parts.method = method;
        self
    }

    /// With a header field, in addition to those of the same name.
    ///
    /// ```
    /// use socketioxide_session::testing::HandshakeBuilder;
    ///
    /// let client = HandshakeBuilder::request("/").header("x-api-key", "a key");
    /// client.with(|handshake| assert_eq!(handshake.headers()["x-api-key"], "a key"));
    /// ```
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let name: HeaderName = name.parse().expect("this is no name of a header field");
        let value = HeaderValue::from_bytes(value.as_ref());
        let value = value.expect("this is no value of a header field");
        self.parts.headers.append(name, value);
        self
    }

    /// From a page of this origin.
    ///
    /// ```
    /// use socketioxide_session::{extractor::OriginPolicy, testing::HandshakeBuilder};
    ///
    /// let policy = OriginPolicy::same_origin().allow_origin("https://app.example")?;
    /// let page = HandshakeBuilder::socket("/").origin("https://app.example");
    /// assert!(page.with(|handshake| policy.check(handshake)).is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn origin(self, origin: &str) -> Self {
        self.header("origin", origin)
    }

    /// With a cookie. All cookies travel in one header field; for several, use
    /// [`header`](Self::header).
    ///
    /// ```
    /// use socketioxide_session::testing::HandshakeBuilder;
    ///
    /// let client = HandshakeBuilder::request("/").cookie("theme", "dark").cookie("sid", "forged");
    /// client.with(|handshake| assert_eq!(handshake.headers()["cookie"], "theme=dark; sid=forged"));
    /// ```
    pub fn cookie(mut self, name: &str, value: &str) -> Self {
        self.cookies.push(format!("{name}={value}"));
        let all = HeaderValue::try_from(self.cookies.join("; "));
        let all = all.expect("this is no value of a header field");
        self.parts.headers.insert(COOKIE, all);
        self
    }

    /// With a session's cookie.
    ///
    /// ```
    /// use socketioxide_session::{
    ///     Keyring, SecretKey, SessionId, SessionIdExtractor, SignedCookie, testing::HandshakeBuilder,
    /// };
    ///
    /// let cookie = SignedCookie::new("sid", &Keyring::new(SecretKey::generate()?))?;
    /// let id = SessionId::generate()?;
    /// let client = HandshakeBuilder::socket("/").session_cookie(&cookie, &id);
    /// assert_eq!(client.with(|handshake| cookie.extract(handshake))?, id);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn session_cookie(self, cookie: &SignedCookie, id: &SessionId) -> Self {
        let issued = cookie.issue(id);
        self.cookie(issued.name(), issued.value())
    }

    /// With another parameter in the query string, as it is.
    ///
    /// ```
    /// use socketioxide_session::testing::HandshakeBuilder;
    ///
    /// let client = HandshakeBuilder::socket("/").query("token", "a%20token");
    /// client.with(|handshake| {
    ///     assert_eq!(handshake.query("token").next(), Some("a%20token"));
    /// });
    /// ```
    pub fn query(mut self, name: &str, value: &str) -> Self {
        let uri = &self.parts.uri;
        let separator = if uri.query().is_some() { '&' } else { '?' };
        let uri: Result<Uri, _> = format!("{uri}{separator}{name}={value}").parse();
        self.parts.uri = uri.expect("this is no query parameter");
        self
    }

    /// With a bearer token, as `Authorization: Bearer …`.
    ///
    /// ```
    /// use socketioxide_session::{
    ///     EncryptedToken, Keyring, SecretKey, SessionId, SessionIdExtractor, testing::HandshakeBuilder,
    /// };
    ///
    /// let tokens = EncryptedToken::new("token", &Keyring::new(SecretKey::generate()?))?;
    /// let id = SessionId::generate()?;
    /// let client = HandshakeBuilder::socket("/").bearer(&tokens.issue(&id)?);
    /// assert_eq!(client.with(|handshake| tokens.extract(handshake))?, id);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    /// With the header fields of a WebSocket handshake that the application serves itself.
    ///
    /// ```
    /// use socketioxide_session::{extractor::OriginPolicy, testing::HandshakeBuilder};
    ///
    /// // A page of another site, and a WebSocket of the application's own.
    /// let foreign = HandshakeBuilder::request("/ws").websocket_upgrade().origin("https://evil.example");
    /// assert!(foreign.with(|handshake| OriginPolicy::same_origin().check(handshake)).is_err());
    /// ```
    pub fn websocket_upgrade(self) -> Self {
        self.header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
    }

    /// With an `auth` payload.
    ///
    /// ```
    /// use serde_json::json;
    /// use socketioxide_session::{
    ///     EncryptedToken, Keyring, SecretKey, SessionId, SessionIdExtractor, testing::HandshakeBuilder,
    /// };
    ///
    /// let tokens = EncryptedToken::new("token", &Keyring::new(SecretKey::generate()?))?;
    /// let id = SessionId::generate()?;
    /// let client = HandshakeBuilder::socket("/").auth(json!({ "token": tokens.issue(&id)? }));
    /// assert_eq!(client.with(|handshake| tokens.extract(handshake))?, id);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn auth(mut self, auth: Value) -> Self {
        self.auth = Some(auth);
        self
    }

    /// Not the first request of its transport, but a further one: see
    /// [`Stage::Continuing`].
    ///
    /// ```
    /// use socketioxide_session::{extractor::Stage, testing::HandshakeBuilder};
    ///
    /// let poll = HandshakeBuilder::request("/socket.io/?EIO=4&transport=polling&sid=abc").continuation();
    /// poll.with(|handshake| assert!(matches!(handshake.stage(), Stage::Continuing)));
    /// ```
    pub fn continuation(mut self) -> Self {
        self.continuation = true;
        self
    }

    /// Calls `f` with the handshake.
    pub fn with<R>(&self, f: impl FnOnce(&Handshake<'_>) -> R) -> R {
        let payload = self.auth.clone().map(AuthPayload::from);
        let mut handshake = Handshake::from_parts(&self.parts);
        if let Some(namespace) = &self.namespace {
            handshake = handshake.with_namespace(namespace);
        }
        if let Some(payload) = &payload {
            handshake = handshake.with_auth(payload);
        }
        if self.continuation {
            handshake = handshake.at(Stage::Continuing);
        }
        f(&handshake)
    }

    /// The request, for what takes one: [`SessionBridge::from_request`](crate::SessionBridge::from_request).
    #[must_use]
    pub fn into_parts(self) -> Parts {
        self.parts
    }
}

// As the handshake: the header fields and the query hold credentials.
impl fmt::Debug for HandshakeBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with(|handshake| fmt::Debug::fmt(handshake, f))
    }
}

/// The value of the `Cookie` header field of a browser that has this session.
#[must_use]
pub fn cookie_header(cookie: &SignedCookie, id: &SessionId) -> HeaderValue {
    let issued = cookie.issue(id);
    let pair = format!("{}={}", issued.name(), issued.value());
    HeaderValue::try_from(pair).expect("a cookie name, base64 and a session id are visible ASCII")
}
