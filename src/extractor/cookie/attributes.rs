//! The attributes that a cookie is issued and removed with.

use cookie::{Cookie, SameSite, time::Duration};

use super::CookieConfigError;

/// The attributes of a cookie (RFC 6265bis §4.1.2), always with `HttpOnly`.
///
/// Invariant: [`checked`](Self::checked) holds for the name of the cookie.
#[derive(Debug, Clone)]
pub(crate) struct CookieAttributes {
    pub(crate) secure: bool,
    pub(crate) same_site: SameSite,
    pub(crate) partitioned: bool,
    pub(crate) max_age: Option<Duration>,
    pub(crate) scope: Scope,
    /// Scopes of the cookie in earlier versions of the application.
    pub(crate) former: Vec<Scope>,
}

/// The attributes by which a browser tells cookies of one name apart (RFC 6265 §5.3, step 11).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scope {
    domain: Option<String>,
    path: String,
}

impl Default for CookieAttributes {
    fn default() -> Self {
        Self {
            secure: true,
            same_site: SameSite::Lax,
            partitioned: false,
            max_age: None,
            scope: Scope::default(),
            former: Vec::new(),
        }
    }
}

impl Default for Scope {
    fn default() -> Self {
        Self {
            domain: None,
            path: "/".into(),
        }
    }
}

impl CookieAttributes {
    /// Refuses combinations that browsers drop.
    pub(super) fn checked(self, name: &str) -> Result<Self, CookieConfigError> {
        if !self.secure {
            if self.same_site == SameSite::None {
                return Err(CookieConfigError::SameSiteNoneInsecure);
            }
            if self.partitioned {
                return Err(CookieConfigError::PartitionedInsecure);
            }
            if ["__Host-", "__Secure-", "__Http-"]
                .iter()
                .any(|prefix| has_prefix(name, prefix))
            {
                return Err(CookieConfigError::PrefixInsecure(name.into()));
            }
        }
        if has_prefix(name, "__Host-") {
            for scope in self.former.iter().chain([&self.scope]) {
                if scope.domain.is_some() {
                    return Err(CookieConfigError::HostPrefixDomain(name.into()));
                }
                if scope.path != "/" {
                    return Err(CookieConfigError::HostPrefixPath(name.into()));
                }
            }
        }
        Ok(self)
    }

    /// The cookie with these attributes, to be stored.
    pub(super) fn issue(&self, name: &str, value: &str) -> Cookie<'static> {
        let mut cookie = self.at(name, value, &self.scope);
        cookie.set_max_age(self.max_age);
        cookie
    }

    /// The cookie that removes the one with these attributes.
    pub(super) fn removal(&self, name: &str) -> Cookie<'static> {
        self.removal_at(name, &self.scope)
    }

    /// The cookies that remove those of all former scopes, then the one of this scope.
    pub(super) fn removals(&self, name: &str) -> impl Iterator<Item = Cookie<'static>> {
        let scopes = self.former.iter().filter(|scope| **scope != self.scope);
        scopes
            .chain([&self.scope])
            .map(move |scope| self.removal_at(name, scope))
    }

    fn removal_at(&self, name: &str, scope: &Scope) -> Cookie<'static> {
        let mut cookie = self.at(name, "", scope);
        cookie.make_removal();
        cookie
    }

    fn at(&self, name: &str, value: &str, scope: &Scope) -> Cookie<'static> {
        let mut cookie = Cookie::new(name.to_owned(), value.to_owned());
        cookie.set_http_only(true);
        cookie.set_same_site(self.same_site);
        cookie.set_secure(self.secure);
        cookie.set_path(scope.path.clone());
        if self.partitioned {
            cookie.set_partitioned(true);
        }
        if let Some(domain) = &scope.domain {
            cookie.set_domain(domain.clone());
        }
        cookie
    }
}

impl Scope {
    pub(super) fn set_domain(&mut self, domain: &str) -> Result<(), CookieConfigError> {
        // A leading dot is ignored by browsers (RFC 6265 §5.2.3).
        let plain = domain.strip_prefix('.').unwrap_or(domain);
        let is_label = |label: &str| {
            !label.is_empty()
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        };
        if !plain.split('.').all(is_label) {
            return Err(CookieConfigError::Domain(domain.into()));
        }
        self.domain = Some(plain.to_ascii_lowercase());
        Ok(())
    }

    pub(super) fn set_path(&mut self, path: &str) -> Result<(), CookieConfigError> {
        let visible = path
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b';');
        if !path.starts_with('/') || !visible {
            return Err(CookieConfigError::Path(path.into()));
        }
        path.clone_into(&mut self.path);
        Ok(())
    }
}

/// Browsers compare prefixes without regard to case (RFC 6265bis §5.7).
fn has_prefix(name: &str, prefix: &str) -> bool {
    name.get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use cookie::SameSite::{Lax, None as NoSite, Strict};

    use super::super::{CookieConfigError as Error, SignedCookie};
    use crate::{
        key::{Keyring, SecretKey},
        testing::HandshakeBuilder,
    };

    type Step = fn(SignedCookie) -> Result<SignedCookie, Error>;

    fn cookie(name: &'static str) -> SignedCookie {
        let keys = Keyring::new(SecretKey::from_bytes(&[1; 32]).unwrap());
        SignedCookie::new(name, &keys).unwrap()
    }

    /// Both orders of the calls are refused, at the call that comes second.
    #[track_caller]
    fn assert_contradict(name: &'static str, first: Step, second: Step, expected: &Error) {
        let refused = second(first(cookie(name)).unwrap()).unwrap_err();
        assert_eq!(refused, *expected);
        let refused = first(second(cookie(name)).unwrap()).unwrap_err();
        assert_eq!(refused, *expected);
    }

    #[track_caller]
    fn assert_refused(name: &'static str, step: Step, expected: &Error) {
        assert_eq!(step(cookie(name)).unwrap_err(), *expected);
    }

    #[test]
    fn combinations_that_browsers_drop_are_refused_in_either_order() {
        let insecure: Step = SignedCookie::insecure_http;
        let cross_site: Step = |cookie| cookie.same_site(NoSite);
        assert_contradict("sid", insecure, cross_site, &Error::SameSiteNoneInsecure);
        assert_contradict(
            "sid",
            insecure,
            SignedCookie::partitioned,
            &Error::PartitionedInsecure,
        );
        for name in [
            "__Host-sid",
            "__Secure-sid",
            "__Http-sid",
            "__hOST-sid",
            "__secure-sid",
        ] {
            assert_refused(name, insecure, &Error::PrefixInsecure(name.into()));
        }
        for name in ["__Host-sid", "__HOST-sid"] {
            assert_refused(
                name,
                |c| c.domain("a.test"),
                &Error::HostPrefixDomain(name.into()),
            );
            assert_refused(
                name,
                |c| c.path("/app"),
                &Error::HostPrefixPath(name.into()),
            );
            let former: Step = |c| c.former_scope(Some("a.test"), "/");
            assert_refused(name, former, &Error::HostPrefixDomain(name.into()));
            let former: Step = |c| c.former_scope(None, "/app");
            assert_refused(name, former, &Error::HostPrefixPath(name.into()));
        }
        assert!(
            cookie("__Host-sid")
                .path("/")
                .unwrap()
                .partitioned()
                .is_ok()
        );
        assert!(cookie("__Secure-sid").domain("a.test").is_ok());
        assert!(
            cookie("sid")
                .insecure_http()
                .unwrap()
                .same_site(Strict)
                .is_ok()
        );
    }

    #[test]
    fn values_that_are_none_are_refused() {
        for domain in [
            "", ".", "a b", "a.test;", "a..test", "a.test.", "é.test", "a.test/x", "..a",
        ] {
            let refused = cookie("sid").domain(domain).unwrap_err();
            assert_eq!(refused, Error::Domain(domain.into()));
        }
        for path in ["", "app", "/a;b", "/a b", "/\n", "/é"] {
            let refused = cookie("sid").path(path).unwrap_err();
            assert_eq!(refused, Error::Path(path.into()));
        }
        for max_age in [Duration::ZERO, Duration::from_millis(999), Duration::MAX] {
            let refused = cookie("sid").max_age(max_age).unwrap_err();
            assert_eq!(refused, Error::MaxAge);
        }
    }

    #[test]
    fn all_headers_carry_the_attributes() {
        let id = "an-id".parse().unwrap();
        let cookie = cookie("sid")
            .domain(".Example.com")
            .unwrap()
            .path("/app")
            .unwrap()
            .same_site(NoSite)
            .unwrap()
            .partitioned()
            .unwrap()
            .max_age(Duration::from_mins(1))
            .unwrap();
        let attributes =
            "; HttpOnly; SameSite=None; Partitioned; Secure; Path=/app; Domain=example.com";
        let issued = cookie.issue_header(&id);
        let issued = issued.to_str().unwrap();
        assert!(
            issued.ends_with(&format!("an-id{attributes}; Max-Age=60")),
            "{issued}"
        );
        assert_eq!(cookie.issue(&id).to_string(), issued);
        let removal = cookie.removal_header();
        let expected = format!("sid={attributes}; Max-Age=0; Expires=");
        assert!(
            removal.to_str().unwrap().starts_with(&expected),
            "{removal:?}"
        );
        assert_eq!(cookie.removal_headers().len(), 1);
        // The issued value is the one that is read.
        let handshake = HandshakeBuilder::socket("/").session_cookie(&cookie, &id);
        handshake.with(|handshake| {
            use crate::extractor::SessionIdExtractor as _;
            assert_eq!(cookie.extract(handshake).unwrap(), id);
        });
    }

    #[test]
    fn former_scopes_are_removed_each_with_its_own_attributes() {
        let cookie = cookie("sid")
            .domain("example.com")
            .unwrap()
            .same_site(Lax)
            .unwrap()
            .former_scope(None, "/")
            .unwrap()
            .former_scope(Some("www.example.com"), "/app")
            .unwrap()
            .former_scope(Some("example.com"), "/")
            .unwrap();
        let removals = cookie.removal_headers();
        let removals: Vec<_> = removals
            .iter()
            .map(|header| {
                header
                    .to_str()
                    .unwrap()
                    .split("; Max-Age=0; Expires=")
                    .next()
                    .unwrap()
            })
            .collect();
        let attributes = "sid=; HttpOnly; SameSite=Lax; Secure";
        assert_eq!(
            removals,
            [
                format!("{attributes}; Path=/"),
                format!("{attributes}; Path=/app; Domain=www.example.com"),
                format!("{attributes}; Path=/; Domain=example.com"),
            ]
        );
    }
}
