//! What came from the client: the input of every extractor.

mod auth;
mod cookies;

use std::fmt;

use http::{HeaderMap, Method, Uri, request::Parts};

pub use auth::{Auth, AuthPayload};
pub use cookies::{CookieHeaderTooLarge, CookieValues};

/// A borrowed view of the request that opened a Socket.IO connection, or of an ordinary HTTP
/// request, with what the client said when it connected to a namespace.
///
/// Everything in it comes from the client and is untrusted.
#[derive(Clone, Copy)]
pub struct Handshake<'a> {
    parts: &'a Parts,
    namespace: Option<&'a str>,
    auth: Option<&'a AuthPayload<'a>>,
    socket_io: bool,
    continuation: bool,
}

impl<'a> Handshake<'a> {
    /// A view of an HTTP request.
    #[must_use]
    pub fn from_parts(parts: &'a Parts) -> Self {
        Self {
            parts,
            namespace: None,
            auth: None,
            socket_io: false,
            continuation: false,
        }
    }

    /// The client connects to this Socket.IO namespace.
    #[must_use]
    pub fn with_namespace(self, namespace: &'a str) -> Self {
        Self {
            namespace: Some(namespace),
            socket_io: true,
            ..self
        }
    }

    /// The client sent this `auth` payload.
    #[must_use]
    pub fn with_auth(self, auth: &'a AuthPayload<'a>) -> Self {
        Self {
            auth: Some(auth),
            ..self
        }
    }

    /// The request is one of a Socket.IO transport, before any namespace is known.
    #[must_use]
    pub fn as_transport(self) -> Self {
        Self {
            socket_io: true,
            ..self
        }
    }

    /// The request is a further one of a Socket.IO transport which this client has opened with a
    /// good credential: a poll, a post, or an upgrade to a WebSocket. Not public: where a client gets
    /// in, an expired credential must not do.
    pub(crate) fn as_continuation(self) -> Self {
        Self {
            continuation: true,
            ..self.as_transport()
        }
    }

    /// The request's method.
    #[must_use]
    pub fn method(&self) -> &'a Method {
        &self.parts.method
    }

    /// The request's URI. Its query may hold a token: log it only through
    /// [`redact_uri`](crate::redact_uri).
    #[must_use]
    pub fn uri(&self) -> &'a Uri {
        &self.parts.uri
    }

    /// The request's header fields.
    #[must_use]
    pub fn headers(&self) -> &'a HeaderMap {
        &self.parts.headers
    }

    /// The raw values of the cookies called `name`; names match byte for byte, nothing is decoded.
    ///
    /// # Errors
    ///
    /// When the `Cookie` header fields have more than 16 KiB or 128 pairs.
    pub fn cookies(&self, name: &str) -> Result<CookieValues<'a>, CookieHeaderTooLarge> {
        cookies::find(&self.parts.headers, name)
    }

    /// The raw values of the query parameters called `name`; names match byte for byte, nothing is
    /// decoded. A parameter without `=` has an empty value.
    pub fn query(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.parts
            .uri
            .query()
            .unwrap_or_default()
            .split('&')
            .filter_map(move |pair| {
                let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                (key == name).then_some(value)
            })
    }

    /// The `auth` payload of a Socket.IO handshake, decoded when first asked for.
    #[must_use]
    pub fn auth(&self) -> Auth<'a> {
        self.auth.map_or(Auth::Absent, AuthPayload::get)
    }

    /// The Socket.IO namespace that the client connects to; `None` for an HTTP request.
    #[must_use]
    pub fn namespace(&self) -> Option<&'a str> {
        self.namespace
    }

    /// The request belongs to Socket.IO, and is no ordinary HTTP request.
    #[must_use]
    pub fn is_socket_io(&self) -> bool {
        self.socket_io
    }

    /// The request is a further one of a transport that was opened with a good credential. That it
    /// comes from the same client is to be shown, and a credential which has expired since shows it
    /// too: when it expires was looked at when the client connected.
    #[must_use]
    pub fn is_continuation(&self) -> bool {
        self.continuation
    }

    pub(crate) fn parts(&self) -> &'a Parts {
        self.parts
    }
}

// The header fields and the query hold credentials.
impl fmt::Debug for Handshake<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake")
            .field("method", &self.parts.method)
            .field("path", &self.parts.uri.path())
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parts(uri: &str) -> Parts {
        let (parts, ()) = http::Request::get(uri).body(()).unwrap().into_parts();
        parts
    }

    #[test]
    fn query_values_are_raw() {
        let parts = parts("/?a=1&token=x%20y&token&tok%65n=z&token=");
        let handshake = Handshake::from_parts(&parts);
        let values: Vec<_> = handshake.query("token").collect();
        assert_eq!(values, ["x%20y", "", ""]);
    }

    #[test]
    fn auth_is_sized_before_it_is_parsed() {
        let parts = parts("/");
        let get = |text: &[u8]| {
            let payload = AuthPayload::json(text);
            let handshake = Handshake::from_parts(&parts).with_auth(&payload);
            match handshake.auth() {
                Auth::Value(value) => Ok(value.clone()),
                Auth::Absent => Err("absent"),
                Auth::TooLarge => Err("too large"),
                Auth::Malformed => Err("malformed"),
            }
        };
        assert_eq!(get(b""), Err("absent"));
        assert_eq!(get(b"null"), Err("absent"));
        assert_eq!(get(b"{"), Err("malformed"));
        assert_eq!(get("[".repeat(1000).as_bytes()), Err("malformed"));
        assert_eq!(get(b"{\"a\":1}"), Ok(json!({"a": 1})));
        let padded = format!("{:4096}", "{}");
        assert_eq!(get(padded.as_bytes()), Ok(json!({})));
        let padded = format!("{:4097}", "{}");
        assert_eq!(get(padded.as_bytes()), Err("too large"));

        let payload = AuthPayload::encoded(5000, &|| panic!("decoded what is too large"));
        let handshake = Handshake::from_parts(&parts).with_auth(&payload);
        assert_eq!(handshake.auth(), Auth::TooLarge);
    }

    #[test]
    fn debug_shows_no_credential() {
        let parts = parts("/socket.io/?token=secret");
        let payload = AuthPayload::from(json!({"token": "secret"}));
        let handshake = Handshake::from_parts(&parts)
            .with_auth(&payload)
            .with_namespace("/");
        assert!(!format!("{handshake:?}{payload:?}").contains("secret"));
    }
}
