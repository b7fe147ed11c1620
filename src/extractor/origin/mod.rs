//! The policy for pages that use a credential which browsers send by themselves.

#[cfg(test)]
mod allow_tests;
mod error;
mod request;
mod serialized;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use error::{ForbiddenReason, OriginError};

use self::{
    request::{FetchSite, OriginField, is_https, is_local_file, is_own_authority, needs_check},
    serialized::Origin,
};
use crate::handshake::Handshake;

/// The origins that may use a credential which browsers send by themselves.
///
/// A browser adds its cookies to a WebSocket or a form that a foreign page opens, so a cookie alone
/// does not show that the user's own page made the request (cross-site WebSocket hijacking,
/// cross-site request forgery).
///
/// Checked are Socket.IO requests, WebSocket requests to the application itself (`Upgrade: websocket`,
/// `Sec-WebSocket-Key`, `Sec-Fetch-Mode: websocket`, CONNECT), and methods other than `GET`, `HEAD`
/// and `OPTIONS`. Other requests pass, so that links from other sites to a page work: a foreign
/// page can't read the answer. The rules, in this order:
///
/// 1. **Several `Origin` fields are refused.** A proxy and this server might read different ones.
/// 2. **An allowed origin passes** ([`allow_origin`](Self::allow_origin)). Scheme, host and port are
///    compared without regard to case, so a look-alike host, another port and plain http are other
///    origins.
/// 3. **Exactly one `Sec-Fetch-Site: same-origin` passes**, whatever `Origin` and `Host` say. Page
///    scripts can't set this field. Browsers send `Origin: null` with a form of the site itself
///    under `Referrer-Policy: no-referrer`, and proxies rewrite `Host`.
/// 4. **`Sec-Fetch-Site: cross-site` is refused.** A page of another site made the request, by a
///    form or an image without an `Origin`, for example.
/// 5. **No `Origin` passes**: browsers send it with every cross-origin WebSocket and form, so the
///    client is no browser, or the page is the server's own. Except for Socket.IO requests with
///    `Sec-Fetch-Site: same-site`: a page of a sibling host could poll in the user's place with a
///    no-cors request. Honest pages of siblings use CORS, which sends `Origin`.
/// 6. **The request's own origin passes.** Its host and port are the request's (`:authority` in
///    HTTP/2, else `Host`), its scheme is `http`, `https`, `ws` or `wss`: native WebSocket clients
///    send the URL that they connect to. Plain http is refused when the cookie is `Secure` or the
///    request came over https, because an attacker in the network can answer for every page of
///    plain http. This machine (`localhost`, `*.localhost`, 127.0.0.0/8, `[::1]`) is excepted.
/// 7. **Everything else is refused**: foreign pages, `null` (a sandboxed frame can be of any page),
///    local files, malformed origins. The log names the line to add.
///
/// ```
/// use socketioxide_session::{
///     extractor::{ForbiddenReason, OriginPolicy},
///     testing::HandshakeBuilder,
/// };
///
/// let policy = OriginPolicy::same_origin().allow_origin("https://app.example.com")?;
/// let check = |origin| HandshakeBuilder::socket("/").origin(origin).with(|h| policy.check(h));
/// assert_eq!(check("https://example.com"), Ok(()));
/// assert_eq!(check("https://app.example.com"), Ok(()));
/// assert_eq!(check("https://evil.example"), Err(ForbiddenReason::ForeignOrigin));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Deployment caveats
///
/// - A reverse proxy must pass the `Host` field on as the browser sent it, or the public origin must
///   be [allowed](Self::allow_origin) here. Chromium sends no `Sec-Fetch-Site` with a WebSocket
///   request, so rule 3 does not help there.
/// - Over plain http, browsers send no `Sec-Fetch-Site` (`localhost` excepted), so only `Host` and
///   allowed origins count there.
/// - A service worker of the site that fetches a navigation again (`fetch(event.request)`) makes a
///   cross-site form look like `same-origin`. Such a worker must leave requests other than `GET`
///   alone.
/// - Sibling subdomains and other ports are other origins: allow those that you trust.
#[derive(Debug, Clone, Default)]
pub struct OriginPolicy {
    allowed: Arc<Vec<String>>,
    local_files: bool,
    plain_http: bool,
}

impl OriginPolicy {
    /// Only the request's own origin.
    #[must_use]
    pub fn same_origin() -> Self {
        Self::default()
    }

    /// Also accepts this origin, as in `https://app.example.com`. Origins of applications are
    /// accepted too: `capacitor://localhost`, `chrome-extension://…`, `app://…`.
    ///
    /// ```
    /// use socketioxide_session::extractor::OriginPolicy;
    ///
    /// let policy = OriginPolicy::same_origin()
    ///     .allow_origin("https://app.example.com")?
    ///     .allow_origin("capacitor://localhost")?;
    /// assert!(policy.clone().allow_origin("null").is_err());
    /// assert!(policy.allow_origin("*").is_err());
    /// # Ok::<(), socketioxide_session::extractor::OriginError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When the text is not a scheme, a host and perhaps a port; for `null` and `*`, which would
    /// allow every page; and for `file://`, see
    /// [`insecure_allow_local_files`](Self::insecure_allow_local_files).
    pub fn allow_origin(mut self, origin: &str) -> Result<Self, OriginError> {
        let parsed = Origin::parse(origin).filter(|_| !is_file_scheme(origin));
        let parsed = parsed.ok_or_else(|| OriginError {
            origin: origin.to_owned(),
        })?;
        let normalized = parsed.to_string();
        Arc::make_mut(&mut self.allowed).push(normalized);
        Ok(self)
    }

    /// Also accepts `file://`, which Cordova and Electron applications send, and so does *every*
    /// local file: a downloaded page that the user opens can act as the user. Use an application
    /// scheme instead where you can, and [allow](Self::allow_origin) that.
    ///
    /// ```
    /// use socketioxide_session::extractor::OriginPolicy;
    ///
    /// // An Electron application that loads its pages from files.
    /// let policy = OriginPolicy::same_origin().insecure_allow_local_files();
    /// # drop(policy);
    /// ```
    #[must_use]
    pub fn insecure_allow_local_files(mut self) -> Self {
        self.local_files = true;
        self
    }

    /// Also accepts the request's own origin over plain http, for a credential that browsers send
    /// over plain http too. The cookies of this crate set it by themselves. An attacker in the
    /// network can answer for such a page, and act as the user who is brought to it.
    ///
    /// ```
    /// use socketioxide_session::{extractor::OriginPolicy, testing::HandshakeBuilder};
    ///
    /// let page = HandshakeBuilder::socket("/").origin("http://example.com");
    /// let policy = OriginPolicy::same_origin();
    /// assert!(page.with(|handshake| policy.check(handshake)).is_err());
    /// assert!(page.with(|handshake| policy.insecure_http().check(handshake)).is_ok());
    /// ```
    #[must_use]
    pub fn insecure_http(mut self) -> Self {
        self.plain_http = true;
        self
    }

    /// Checks whether the request may use a credential that browsers send by themselves. A custom
    /// extractor of such a credential calls this first.
    ///
    /// # Errors
    ///
    /// When it may not.
    pub fn check(&self, handshake: &Handshake<'_>) -> Result<(), ForbiddenReason> {
        self.check_with(handshake, self.plain_http)
    }

    /// As [`check`](Self::check), for a cookie that is `Secure` or not.
    pub(crate) fn check_cookie(
        &self,
        handshake: &Handshake<'_>,
        secure: bool,
    ) -> Result<(), ForbiddenReason> {
        self.check_with(handshake, self.plain_http || !secure)
    }

    /// The rules in their order, see the documentation of this type.
    fn check_with(
        &self,
        handshake: &Handshake<'_>,
        plain_http: bool,
    ) -> Result<(), ForbiddenReason> {
        if !needs_check(handshake) {
            return Ok(());
        }
        let origin = OriginField::of(handshake.headers())?; // 1
        if self.allows(origin) {
            return Ok(()); // 2
        }
        let site = FetchSite::of(handshake.headers());
        match site {
            FetchSite::SameOrigin => return Ok(()), // 3
            FetchSite::CrossSite => return Err(ForbiddenReason::CrossSite), // 4
            FetchSite::SameSite | FetchSite::Other => {}
        }
        match origin {
            OriginField::Absent if site == FetchSite::SameSite && handshake.is_socket_io() => {
                Err(ForbiddenReason::SameSiteWithoutOrigin)
            }
            OriginField::Absent => Ok(()), // 5
            OriginField::Origin(origin) => check_own(handshake, &origin, plain_http), // 6, else 7
            OriginField::Null => Err(ForbiddenReason::NullOrigin), // 7
            OriginField::LocalFile => Err(ForbiddenReason::LocalFile),
            OriginField::Malformed => Err(ForbiddenReason::MalformedOrigin),
        }
    }

    fn allows(&self, origin: OriginField<'_>) -> bool {
        match origin {
            OriginField::LocalFile => self.local_files,
            OriginField::Origin(origin) => {
                let mut allowed = self.allowed.iter().filter_map(|text| Origin::parse(text));
                allowed.any(|allowed| allowed == origin)
            }
            _ => false,
        }
    }

    /// Advice for the log on how to accept a refused origin. The text holds no part of the request but an
    /// origin that parsed.
    pub(crate) fn advice(handshake: &Handshake<'_>) -> Option<String> {
        match OriginField::of(handshake.headers()).ok()? {
            OriginField::Origin(origin)
                if origin.is_http() && is_own_authority(handshake, &origin) =>
            {
                Some(format!(
                    "serve the page over https; in development over plain http, use `.insecure_http()` \
                 on the cookie; a page of {origin} can be accepted all the same by \
                 `.allow_origin(\"{origin}\")`"
                ))
            }
            OriginField::Origin(origin) => Some(format!(
                "if pages of {origin} may use the session cookie, add `.allow_origin(\"{origin}\")` to \
                 it; if they are this server's own, have the reverse proxy pass `Host` on"
            )),
            OriginField::LocalFile => Some(
                "if local files may use the session cookie, as in Cordova and Electron, add \
                 `.insecure_allow_local_files()` to its `OriginPolicy`"
                    .into(),
            ),
            OriginField::Null => Some(
                "the page is sandboxed, or has `Referrer-Policy: no-referrer`; if it is this \
                 server's own, use `Referrer-Policy: same-origin` and https"
                    .into(),
            ),
            OriginField::Absent | OriginField::Malformed => None,
        }
    }
}

/// Rule 6, else 7.
fn check_own(
    handshake: &Handshake<'_>,
    origin: &Origin<'_>,
    plain_http: bool,
) -> Result<(), ForbiddenReason> {
    let is_web = origin.is_http() || origin.is_https();
    if !is_web || !is_own_authority(handshake, origin) {
        return Err(ForbiddenReason::ForeignOrigin);
    }
    let may_be_http = (plain_http && !is_https(handshake)) || origin.is_loopback();
    if origin.is_https() || may_be_http {
        Ok(())
    } else {
        Err(ForbiddenReason::InsecureOrigin)
    }
}

/// A file on a named host is a local file too.
fn is_file_scheme(origin: &str) -> bool {
    is_local_file(origin)
        || origin
            .get(..5)
            .is_some_and(|start| start.eq_ignore_ascii_case("file:"))
}
