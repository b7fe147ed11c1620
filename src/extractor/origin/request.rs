//! The header fields about the page that made a request.

use http::{
    HeaderMap, HeaderName, Method,
    header::{HOST, ORIGIN, SEC_WEBSOCKET_KEY, UPGRADE},
};

use super::{error::ForbiddenReason, serialized::Origin};
use crate::handshake::Handshake;

static SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The `Origin` field of a request.
#[derive(Debug, Clone, Copy)]
pub(super) enum OriginField<'a> {
    Absent,
    Null,
    LocalFile,
    Malformed,
    Origin(Origin<'a>),
}

impl<'a> OriginField<'a> {
    /// Reads the one field; several are refused, because two readers might take different ones.
    pub(super) fn of(headers: &'a HeaderMap) -> Result<Self, ForbiddenReason> {
        let mut fields = headers.get_all(ORIGIN).iter();
        let Some(field) = fields.next() else {
            return Ok(Self::Absent);
        };
        if fields.next().is_some() {
            return Err(ForbiddenReason::SeveralOrigins);
        }
        Ok(match field.to_str() {
            Ok("null") => Self::Null,
            Ok(text) if is_local_file(text) => Self::LocalFile,
            Ok(text) => Origin::parse(text).map_or(Self::Malformed, Self::Origin),
            Err(_) => Self::Malformed,
        })
    }
}

/// `file://` stands for every local file.
pub(super) fn is_local_file(text: &str) -> bool {
    text.eq_ignore_ascii_case("file://") || text.eq_ignore_ascii_case("file:///")
}

/// The `Sec-Fetch-Site` field (Fetch Metadata §2.4), which page scripts can't set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FetchSite {
    SameOrigin,
    SameSite,
    CrossSite,
    /// Absent, `none`, or unknown.
    Other,
}

impl FetchSite {
    /// Of several fields, the one that refuses most counts. `same-origin` accepts, so it must be
    /// the only field, and exact.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let fields = headers.get_all(&SEC_FETCH_SITE);
        let any = |site: &[u8]| {
            let mut fields = fields.iter();
            fields.any(|field| field.as_bytes().eq_ignore_ascii_case(site))
        };
        let mut each = fields.iter();
        match (each.next(), each.next()) {
            (Some(field), None) if field == "same-origin" => Self::SameOrigin,
            _ if any(b"cross-site") => Self::CrossSite,
            _ if any(b"same-site") => Self::SameSite,
            _ => Self::Other,
        }
    }
}

/// Whether the origin of the request matters: it can act as the user, or a page can read what
/// comes back.
pub(super) fn needs_check(handshake: &Handshake<'_>) -> bool {
    let safe = matches!(
        *handshake.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    );
    // The CONNECT of a WebSocket over HTTP/2 (RFC 8441) is not among the safe methods.
    !safe || handshake.is_socket_io() || is_websocket(handshake.headers())
}

fn is_websocket(headers: &HeaderMap) -> bool {
    let names_websocket = |field: &http::HeaderValue| {
        let mut words = field.as_bytes().windows(b"websocket".len());
        words.any(|word| word.eq_ignore_ascii_case(b"websocket"))
    };
    headers.contains_key(SEC_WEBSOCKET_KEY)
        || headers.get_all(UPGRADE).iter().any(names_websocket)
        || headers
            .get_all("sec-fetch-mode")
            .iter()
            .any(names_websocket)
}

/// Whether the origin's host and port are the request's own: `:authority` in HTTP/2, else `Host`.
pub(super) fn is_own_authority(handshake: &Handshake<'_>, origin: &Origin<'_>) -> bool {
    if let Some(authority) = handshake.uri().authority() {
        return origin.has_authority(authority.as_str());
    }
    let mut hosts = handshake.headers().get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().is_ok_and(|host| origin.has_authority(host)),
        _ => false,
    }
}

/// Whether the request is known to have come over https, as in HTTP/2 without a proxy.
pub(super) fn is_https(handshake: &Handshake<'_>) -> bool {
    handshake.uri().scheme_str() == Some("https")
}
