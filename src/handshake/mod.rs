//! The handshake of a client: the input of every extractor.

mod auth;
mod auth_fields;
mod cookies;

use std::fmt;

use http::{HeaderMap, Method, Uri, request::Parts};

pub use auth::{AuthField, AuthPayload};
pub use auth_fields::AuthFields;
pub use cookies::{CookieHeaderTooLarge, CookieValues};

/// A borrowed view of the request that opened a Socket.IO connection, or of an ordinary HTTP
/// request, with what the client sent when it connected to a namespace.
///
/// Everything in it comes from the client and is untrusted.
///
/// ```
/// use socketioxide_session::extractor::Handshake;
///
/// let request = http::Request::get("/?device=42").header("x-team", "blue").body(())?;
/// let (parts, ()) = request.into_parts();
/// let handshake = Handshake::from_parts(&parts);
/// assert_eq!(handshake.query("device").next(), Some("42"));
/// assert_eq!(handshake.headers()["x-team"], "blue");
/// assert!(!handshake.is_socket_io());
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Handshake<'a> {
    parts: &'a Parts,
    stage: Stage<'a>,
    auth: Option<&'a AuthPayload<'a>>,
}

/// The kind of a request to Socket.IO.
///
/// ```
/// use socketioxide_session::extractor::{Handshake, Stage};
///
/// /// In an extractor of one's own: whether an expired credential is refused.
/// fn checks_the_time(handshake: &Handshake<'_>) -> bool {
///     handshake.stage() != Stage::Continuing
/// }
/// # let (parts, ()) = http::Request::new(()).into_parts();
/// # assert!(checks_the_time(&Handshake::from_parts(&parts)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage<'a> {
    /// An ordinary HTTP request.
    Http,
    /// The request opens an Engine.IO transport; no namespace is known yet.
    Opening,
    /// A further request of an open transport: a poll, a post, or an upgrade to a WebSocket.
    ///
    /// It must show that it comes from the client that opened the transport. A credential that has
    /// expired since then shows it too, because its expiry was checked when the client connected.
    Continuing,
    /// The client connects to this namespace. The request is the one that opened the transport.
    Namespace(&'a str),
}

impl<'a> Handshake<'a> {
    /// A view of an ordinary HTTP request.
    #[must_use]
    pub fn from_parts(parts: &'a Parts) -> Self {
        Self {
            parts,
            stage: Stage::Http,
            auth: None,
        }
    }

    /// The same request at another stage. Not public for [`Stage::Continuing`], because an expired
    /// credential must not admit a client.
    pub(crate) fn at(self, stage: Stage<'a>) -> Self {
        Self { stage, ..self }
    }

    /// The client connects to this Socket.IO namespace.
    ///
    /// ```
    /// use socketioxide_session::extractor::{Handshake, Stage};
    ///
    /// # let (parts, ()) = http::Request::new(()).into_parts();
    /// let handshake = Handshake::from_parts(&parts).with_namespace("/chat");
    /// assert!(matches!(handshake.stage(), Stage::Namespace("/chat")));
    /// ```
    #[must_use]
    pub fn with_namespace(self, namespace: &'a str) -> Self {
        self.at(Stage::Namespace(namespace))
    }

    /// The client sent this `auth` payload.
    ///
    /// ```
    /// use serde_json::json;
    /// use socketioxide_session::extractor::{AuthPayload, Handshake};
    ///
    /// # let (parts, ()) = http::Request::new(()).into_parts();
    /// let auth = AuthPayload::from(json!({ "token": "abc" }));
    /// let handshake = Handshake::from_parts(&parts).with_namespace("/chat").with_auth(&auth);
    /// # drop(handshake);
    /// ```
    #[must_use]
    pub fn with_auth(self, auth: &'a AuthPayload<'a>) -> Self {
        Self {
            auth: Some(auth),
            ..self
        }
    }

    /// The request opens a Socket.IO transport.
    ///
    /// ```
    /// use socketioxide_session::extractor::{Handshake, Stage};
    ///
    /// # let (parts, ()) = http::Request::new(()).into_parts();
    /// let handshake = Handshake::from_parts(&parts).as_opening();
    /// assert!(matches!(handshake.stage(), Stage::Opening));
    /// ```
    #[must_use]
    pub fn as_opening(self) -> Self {
        self.at(Stage::Opening)
    }

    /// The kind of the request to Socket.IO.
    #[must_use]
    pub fn stage(&self) -> Stage<'a> {
        self.stage
    }

    /// The request's method.
    #[must_use]
    pub fn method(&self) -> &'a Method {
        &self.parts.method
    }

    /// The request's URI. Its query may hold a token: log it only through
    /// [`redact_uri`](crate::http::redact_uri).
    #[must_use]
    pub fn uri(&self) -> &'a Uri {
        &self.parts.uri
    }

    /// The request's header fields.
    #[must_use]
    pub fn headers(&self) -> &'a HeaderMap {
        &self.parts.headers
    }

    /// The values of the cookies called `name`, without surrounding quotes. Names match byte for
    /// byte; nothing is decoded.
    ///
    /// # Errors
    ///
    /// When the `Cookie` header fields are larger than 64 KiB.
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

    /// The field `name` of the `auth` payload of a Socket.IO handshake.
    #[must_use]
    pub fn auth_field(&self, name: &str) -> AuthField<'a> {
        self.auth
            .map_or(AuthField::Absent, |payload| payload.field(name))
    }

    /// The Socket.IO namespace that the client connects to; `None` at the other stages.
    #[must_use]
    pub fn namespace(&self) -> Option<&'a str> {
        match self.stage {
            Stage::Namespace(namespace) => Some(namespace),
            _ => None,
        }
    }

    /// The request belongs to Socket.IO, and is no ordinary HTTP request.
    #[must_use]
    pub fn is_socket_io(&self) -> bool {
        self.stage != Stage::Http
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
            .field("stage", &self.stage)
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
    fn debug_shows_no_credential() {
        let parts = parts("/socket.io/?token=secret");
        let payload = AuthPayload::from(json!({"token": "secret"}));
        let handshake = Handshake::from_parts(&parts)
            .with_auth(&payload)
            .with_namespace("/");
        assert!(!format!("{handshake:?}{payload:?}").contains("secret"));
    }
}
