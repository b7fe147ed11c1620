//! Where may a request that carries a cookie come from.

use std::{fmt, sync::Arc};

use http::{
    HeaderMap, Method, Uri,
    header::{HOST, ORIGIN},
    uri::{Authority, Scheme},
};

use crate::handshake::Handshake;

/// Which origins may use a credential that browsers send by themselves.
///
/// A browser adds its cookies to a WebSocket or a form that a foreign page opens, so a cookie alone
/// does not say that the user wanted it (cross-site WebSocket hijacking, cross-site request
/// forgery). The rules, in this order:
///
/// 1. Checked are Socket.IO requests, and of other requests those whose method is not `GET`, `HEAD`
///    or `OPTIONS`: a link from another site to a page must work.
/// 2. Several `Origin` fields, an `Origin` of `null` (a sandboxed page), and one that is no origin
///    are refused.
/// 3. An `Origin` that was [allowed](Self::allow_origin) passes, scheme, host and port compared.
/// 4. `Sec-Fetch-Site: cross-site` is refused.
/// 5. An `Origin` passes when its authority is the request's own: the URI's in HTTP/2, else the
///    `Host` field. Case does not matter, and the default port of the origin's scheme is dropped.
/// 6. No `Origin` at all passes: it is no browser's cross-site WebSocket or form.
///
/// # Deployment caveats
///
/// A reverse proxy must pass the `Host` field on as the browser sent it, or the public origin must
/// be [allowed](Self::allow_origin) here. Sibling subdomains and ports are other origins: allow
/// those that you trust.
#[derive(Debug, Clone, Default)]
pub struct OriginPolicy {
    allowed: Arc<Vec<Origin>>,
}

impl OriginPolicy {
    /// Only the request's own authority.
    #[must_use]
    pub fn same_origin() -> Self {
        Self::default()
    }

    /// Lets requests from this origin pass too, as in `https://app.example.com`.
    ///
    /// # Errors
    ///
    /// When the text is not a scheme and an authority and nothing else.
    pub fn allow_origin(mut self, origin: &str) -> Result<Self, OriginError> {
        let origin = Origin::parse(origin).ok_or_else(|| OriginError {
            origin: origin.to_owned(),
        })?;
        Arc::make_mut(&mut self.allowed).push(origin);
        Ok(self)
    }

    /// What a developer has to do about a refused origin, when it is known; for a log. It holds
    /// nothing but an origin that came, and is one.
    pub(crate) fn advice(handshake: &Handshake<'_>) -> Option<String> {
        let origin = origin_of(handshake.headers()).ok()??;
        Some(format!(
            "if pages of {origin} may use the session cookie, add `.allow_origin(\"{origin}\")` to \
             its `OriginPolicy`; if they are this server's own, have the reverse proxy pass `Host` on"
        ))
    }

    /// Says whether the request may use a credential that browsers send by themselves. A custom
    /// extractor of such a credential calls this first.
    ///
    /// # Errors
    ///
    /// When it may not.
    pub fn check(&self, handshake: &Handshake<'_>) -> Result<(), ForbiddenReason> {
        let safe = matches!(
            *handshake.method(),
            Method::GET | Method::HEAD | Method::OPTIONS
        );
        if safe && !handshake.is_socket_io() {
            return Ok(());
        }
        let origin = origin_of(handshake.headers())?;
        if origin.as_ref().is_some_and(|o| self.allowed.contains(o)) {
            return Ok(());
        }
        if is_cross_site(handshake.headers()) {
            return Err(ForbiddenReason::CrossSite);
        }
        match origin {
            Some(origin) if !origin.is_of(handshake) => Err(ForbiddenReason::ForeignOrigin),
            _ => Ok(()),
        }
    }
}

/// Why the origin of a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ForbiddenReason {
    /// The `Origin` is neither the request's own nor an allowed one.
    #[error("the Origin is foreign")]
    ForeignOrigin,
    /// The `Origin` is `null`: a sandboxed page, or one that hides where it comes from.
    #[error("the Origin is null")]
    NullOrigin,
    /// More than one `Origin` field came.
    #[error("there is more than one Origin")]
    SeveralOrigins,
    /// The `Origin` field holds no origin.
    #[error("the Origin is malformed")]
    MalformedOrigin,
    /// The browser says that another site made the request.
    #[error("Sec-Fetch-Site is cross-site")]
    CrossSite,
    /// A custom extractor refused the request.
    #[error("refused by the extractor")]
    Other,
}

/// The text given to [`OriginPolicy::allow_origin`] is no origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{origin:?} is not an origin such as https://app.example.com")]
pub struct OriginError {
    origin: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Origin {
    scheme: Scheme,
    authority: HostPort,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority.host)?;
        self.authority
            .port
            .map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// A host in lower case, and its port unless it is the scheme's default one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct HostPort {
    host: String,
    port: Option<u16>,
}

impl Origin {
    fn parse(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let scheme = uri.scheme()?.clone();
        let authority = HostPort::new(uri.authority()?, &scheme)?;
        // `Uri` accepts a path, a query, a `/` at the end and user info; an origin has none.
        let plain = text.len() == scheme.as_str().len() + 3 + uri.authority()?.as_str().len();
        plain.then_some(Self { scheme, authority })
    }

    fn is_of(&self, handshake: &Handshake<'_>) -> bool {
        let own = match handshake.uri().authority() {
            Some(authority) => Some(authority.clone()),
            None => host_of(handshake.headers()),
        };
        own.and_then(|own| HostPort::new(&own, &self.scheme))
            .is_some_and(|own| own == self.authority)
    }
}

impl HostPort {
    fn new(authority: &Authority, scheme: &Scheme) -> Option<Self> {
        let text = authority.as_str();
        let host = authority.host();
        if host.is_empty() || text.contains('@') {
            return None;
        }
        // `Authority` is lenient about what follows the host; a port that is none is no match.
        let port = match text[host.len()..].strip_prefix(':') {
            None => None,
            Some(_) => Some(authority.port_u16()?),
        };
        Some(Self {
            host: host.to_ascii_lowercase(),
            port: port.filter(|port| Some(*port) != default_port(scheme)),
        })
    }
}

fn default_port(scheme: &Scheme) -> Option<u16> {
    match scheme.as_str() {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

fn origin_of(headers: &HeaderMap) -> Result<Option<Origin>, ForbiddenReason> {
    let mut fields = headers.get_all(ORIGIN).iter();
    let Some(field) = fields.next() else {
        return Ok(None);
    };
    if fields.next().is_some() {
        return Err(ForbiddenReason::SeveralOrigins);
    }
    if field == "null" {
        return Err(ForbiddenReason::NullOrigin);
    }
    field
        .to_str()
        .ok()
        .and_then(Origin::parse)
        .map(Some)
        .ok_or(ForbiddenReason::MalformedOrigin)
}

fn host_of(headers: &HeaderMap) -> Option<Authority> {
    let mut fields = headers.get_all(HOST).iter();
    let host = fields.next()?;
    if fields.next().is_some() {
        return None;
    }
    host.to_str().ok()?.parse().ok()
}

fn is_cross_site(headers: &HeaderMap) -> bool {
    headers
        .get_all("sec-fetch-site")
        .iter()
        .any(|site| site.as_bytes().eq_ignore_ascii_case(b"cross-site"))
}

#[cfg(test)]
mod tests {
    use http::{Request, request::Parts};

    use super::*;

    fn parts(method: Method, uri: &str, fields: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[track_caller]
    fn assert_check(fields: &[(&str, &str)], expected: Result<(), ForbiddenReason>) {
        let policy = OriginPolicy::same_origin()
            .allow_origin("https://app.example.com")
            .unwrap();
        let parts = parts(Method::GET, "/socket.io/?EIO=4", fields);
        let handshake = Handshake::from_parts(&parts);
        assert_eq!(policy.check(&handshake.with_namespace("/")), expected);
        assert_eq!(policy.check(&handshake.as_opening()), expected);
        assert_eq!(policy.check(&handshake), Ok(()), "a page is not checked");
    }

    #[test]
    fn the_requests_own_authority_and_the_allowed_origins_pass() {
        let host = ("host", "example.com");
        for origin in [
            "http://example.com",
            "http://EXAMPLE.com",
            "http://example.com:80",
            "https://example.com:443",
            "https://app.example.com",
            "https://app.example.com:443",
        ] {
            assert_check(&[host, ("origin", origin)], Ok(()));
        }
        assert_check(&[host], Ok(()));
        let port = ("host", "127.0.0.1:3000");
        assert_check(&[port, ("origin", "http://127.0.0.1:3000")], Ok(()));
        let ipv6 = ("host", "[::1]:3000");
        assert_check(&[ipv6, ("origin", "http://[::1]:3000")], Ok(()));
        let site = ("sec-fetch-site", "cross-site");
        assert_check(&[host, ("origin", "https://app.example.com"), site], Ok(()));
    }

    #[test]
    fn everything_else_is_refused() {
        use ForbiddenReason::{
            CrossSite, ForeignOrigin, MalformedOrigin, NullOrigin, SeveralOrigins,
        };
        let host = ("host", "example.com");
        for origin in [
            "http://example.com.evil.net",
            "http://evilexample.com",
            "http://example.com:3000",
            "https://example.com:80",
            "http://app.example.com",
            "https://app.example.com:8443",
        ] {
            assert_check(&[host, ("origin", origin)], Err(ForeignOrigin));
        }
        for origin in [
            "",
            "example.com",
            "http://example.com/",
            "http://example.com/path",
            "http://user@example.com",
            "http://example.com:",
            "http://example.com:99999",
            "http://",
        ] {
            assert_check(&[host, ("origin", origin)], Err(MalformedOrigin));
        }
        assert_check(&[host, ("origin", "null")], Err(NullOrigin));
        let own = ("origin", "http://example.com");
        assert_check(&[host, own, own], Err(SeveralOrigins));
        let site = ("sec-fetch-site", "cross-site");
        assert_check(&[host, site], Err(CrossSite));
        assert_check(&[host, own, site], Err(CrossSite));
        assert_check(&[host, host, own], Err(ForeignOrigin));
        assert_check(&[own], Err(ForeignOrigin));
    }

    #[test]
    fn http2_compares_with_the_uri() {
        let policy = OriginPolicy::same_origin();
        let check = |uri, origin| {
            let parts = parts(Method::GET, uri, &[("origin", origin), ("host", "b.test")]);
            policy.check(&Handshake::from_parts(&parts).as_opening())
        };
        assert_eq!(check("https://a.test/", "https://a.test"), Ok(()));
        assert!(check("https://a.test/", "https://b.test").is_err());
    }

    #[test]
    fn a_page_passes_and_a_form_does_not() {
        let policy = OriginPolicy::same_origin();
        let fields = [("host", "a.test"), ("sec-fetch-site", "cross-site")];
        for (method, passes) in [
            (Method::GET, true),
            (Method::HEAD, true),
            (Method::OPTIONS, true),
            (Method::POST, false),
            (Method::PUT, false),
            (Method::DELETE, false),
        ] {
            let parts = parts(method, "/", &fields);
            let result = policy.check(&Handshake::from_parts(&parts));
            assert_eq!(result.is_ok(), passes);
        }
    }

    #[test]
    fn what_is_no_origin_is_refused_where_it_is_set() {
        for text in [
            "",
            "null",
            "*",
            "example.com",
            "https://a.test/",
            "https://",
        ] {
            assert!(OriginPolicy::same_origin().allow_origin(text).is_err());
        }
    }
}
