//! The methods that several kinds of cookies have.

/// Implements the methods that decide which requests may use a cookie, for a type that has a field
/// `carrier: CookieCarrier`.
macro_rules! origin_methods {
    ($kind:ident) => {
        impl $kind {
            /// The origins that may use this cookie; by default, the request's own only. It replaces
            /// what [`allow_origin`](Self::allow_origin) has allowed before.
            ///
            /// ```
            /// # use socketioxide_session::{Keyring, SecretKey, SignedCookie};
            /// # let keys = Keyring::new(SecretKey::generate()?);
            /// use socketioxide_session::extractor::OriginPolicy;
            ///
            /// let policy = OriginPolicy::same_origin().allow_origin("https://app.example.com")?;
            /// let cookie = SignedCookie::new("sid", &keys)?.origin_policy(policy);
            /// # drop(cookie);
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            #[must_use]
            pub fn origin_policy(mut self, policy: $crate::extractor::OriginPolicy) -> Self {
                self.carrier.set_origin_policy(policy);
                self
            }

            /// Lets pages of this origin use the cookie too, as in `https://app.example.com`. See
            /// [`OriginPolicy::allow_origin`](crate::extractor::OriginPolicy::allow_origin).
            ///
            /// ```
            /// # use socketioxide_session::{Keyring, SecretKey, SignedCookie};
            /// # let keys = Keyring::new(SecretKey::generate()?);
            /// let cookie = SignedCookie::new("sid", &keys)?.allow_origin("https://app.example.com")?;
            /// assert!(cookie.allow_origin("*").is_err());
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            ///
            /// # Errors
            ///
            /// When the text is no origin, or is one that must not be allowed.
            pub fn allow_origin(
                mut self,
                origin: &str,
            ) -> Result<Self, $crate::extractor::OriginError> {
                let policy = self.carrier.origin_policy().clone().allow_origin(origin)?;
                self.carrier.set_origin_policy(policy);
                Ok(self)
            }

            /// The cookie's name.
            #[must_use]
            pub fn name(&self) -> &str {
                self.carrier.name()
            }
        }
    };
}

/// Implements the extractor, for a type that also has a method `verify(&self, value) -> id`.
macro_rules! cookie_extractor {
    ($kind:ident) => {
        impl $crate::extractor::SessionIdExtractor for $kind {
            fn extract(
                &self,
                handshake: &$crate::extractor::Handshake<'_>,
            ) -> Result<$crate::SessionId, $crate::extractor::ExtractError> {
                self.carrier.extract(handshake, |value| self.verify(value))
            }

            fn presented(
                &self,
                handshake: &$crate::extractor::Handshake<'_>,
            ) -> Vec<$crate::SessionId> {
                self.carrier
                    .presented(handshake, |value| self.verify(value))
            }

            fn check_origin(
                &self,
                handshake: &$crate::extractor::Handshake<'_>,
            ) -> Result<(), $crate::extractor::ForbiddenReason> {
                self.carrier.check_origin(handshake)
            }
        }

        // The keys are secret.
        impl ::std::fmt::Debug for $kind {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.debug_struct(stringify!($kind))
                    .field("name", &self.name())
                    .field("secure", &self.carrier.is_secure())
                    .finish_non_exhaustive()
            }
        }
    };
}

/// Implements the methods that configure, issue and remove a cookie, for a type that also has a method
/// `issue(&self, id) -> Cookie`.
macro_rules! issuing_methods {
    ($kind:ident) => {
        impl $kind {
            /// Sends the cookie to the hosts of this domain, as in `example.com`; by default, only to
            /// the host that issued it. Every host of the domain can read it, and can set one of
            /// the same name.
            ///
            /// ```
            /// # use socketioxide_session::{Keyring, SecretKey, SignedCookie};
            /// # let keys = Keyring::new(SecretKey::generate()?);
            /// let cookie = SignedCookie::new("sid", &keys)?.domain("example.com")?;
            /// assert!(SignedCookie::new("__Host-sid", &keys)?.domain("example.com").is_err());
            /// # drop(cookie);
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            ///
            /// # Errors
            ///
            /// When the text is no domain, or the name begins with `__Host-`.
            pub fn domain(
                mut self,
                domain: &str,
            ) -> Result<Self, $crate::extractor::CookieConfigError> {
                self.carrier.set_domain(domain)?;
                Ok(self)
            }

            /// Sends the cookie with requests below this path only; by default, `/`. It does not
            /// protect the cookie from pages of other paths.
            ///
            /// ```
            /// # use socketioxide_session::{Keyring, SecretKey, SignedCookie};
            /// # let keys = Keyring::new(SecretKey::generate()?);
            /// let cookie = SignedCookie::new("sid", &keys)?.path("/app")?;
            /// assert!(SignedCookie::new("__Host-sid", &keys)?.path("/app").is_err());
            /// # drop(cookie);
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            ///
            /// # Errors
            ///
            /// When the text is no path, or the name begins with `__Host-` and the path is not `/`.
            pub fn path(
                mut self,
                path: &str,
            ) -> Result<Self, $crate::extractor::CookieConfigError> {
                self.carrier.set_path(path)?;
                Ok(self)
            }

            /// The attribute `SameSite`; by default, `Lax`. Use `None` for pages of another site, such
            /// as an embedded frame, and [allow](Self::allow_origin) their origin.
            ///
            /// ```
            /// # use socketioxide_session::{Keyring, SecretKey, SignedCookie};
            /// # let keys = Keyring::new(SecretKey::generate()?);
            /// use socketioxide_session::extractor::SameSite;
            ///
            /// let embedded = SignedCookie::new("__Host-sid", &keys)?.same_site(SameSite::None)?.partitioned()?;
            /// # drop(embedded);
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            ///
            /// # Errors
            ///
            /// When it is `None` and the cookie is not `Secure`.
            pub fn same_site(
                mut self,
                same_site: ::cookie::SameSite,
            ) -> Result<Self, $crate::extractor::CookieConfigError> {
                self.carrier.set_same_site(same_site)?;
                Ok(self)
            }

            /// Keeps a separate cookie for each site that embeds the page (`Partitioned`).
            ///
            /// ```
            /// # use socketioxide_session::{Keyring, SecretKey, SignedCookie};
            /// # let keys = Keyring::new(SecretKey::generate()?);
            /// let cookie = SignedCookie::new("__Host-sid", &keys)?.partitioned()?;
            /// assert!(SignedCookie::new("sid", &keys)?.insecure_http()?.partitioned().is_err());
            /// # drop(cookie);
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            ///
            /// # Errors
            ///
            /// When the cookie is not `Secure`.
            pub fn partitioned(mut self) -> Result<Self, $crate::extractor::CookieConfigError> {
                self.carrier.set_partitioned()?;
                Ok(self)
            }

            /// Keeps the cookie for this long, also after the browser was closed; by default, until it
            /// is closed. Whole seconds, rounded down. The lifetime of the session itself is the
            /// store's.
            ///
            /// ```
            /// # use socketioxide_session::{Keyring, SecretKey, SignedCookie};
            /// # let keys = Keyring::new(SecretKey::generate()?);
            /// use std::time::Duration;
            ///
            /// let remembered = SignedCookie::new("__Host-sid", &keys)?.max_age(Duration::from_hours(30 * 24))?;
            /// # drop(remembered);
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            ///
            /// # Errors
            ///
            /// When it is less than a second, which would remove the cookie.
            pub fn max_age(
                mut self,
                max_age: std::time::Duration,
            ) -> Result<Self, $crate::extractor::CookieConfigError> {
                self.carrier.set_max_age(max_age)?;
                Ok(self)
            }

            /// Issues the cookie without `Secure`, so that browsers send it over plain http, where
            /// every system on the network path can read it and take over the session. For development only; an
            /// application behind a proxy that speaks https does not need it. Pages of plain http then
            /// count as the request's own origin.
            ///
            /// ```
            /// # use socketioxide_session::{Keyring, SecretKey, SignedCookie};
            /// # let keys = Keyring::new(SecretKey::generate()?);
            /// let development = SignedCookie::new("sid", &keys)?.insecure_http()?;
            /// assert!(SignedCookie::new("__Host-sid", &keys)?.insecure_http().is_err());
            /// # drop(development);
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            ///
            /// # Errors
            ///
            /// When the name begins with `__Host-` or `__Secure-`, or with `SameSite=None` or
            /// `Partitioned`: browsers silently drop such a cookie.
            pub fn insecure_http(mut self) -> Result<Self, $crate::extractor::CookieConfigError> {
                self.carrier.set_insecure()?;
                Ok(self)
            }

            /// Also removes the cookie where an earlier version of the application issued it: with
            /// this Domain (`None`: without one) and this Path. See
            /// [`removal_headers`](Self::removal_headers).
            ///
            /// ```
            /// # use socketioxide_session::{Keyring, SecretKey, SignedCookie};
            /// # let keys = Keyring::new(SecretKey::generate()?);
            /// // It was issued for the whole domain until now.
            /// let cookie = SignedCookie::new("__Host-sid", &keys)?;
            /// assert!(cookie.former_scope(Some("example.com"), "/").is_err()); // browsers never stored that
            /// let cookie = SignedCookie::new("sid", &keys)?.former_scope(Some("example.com"), "/")?;
            /// assert_eq!(cookie.removal_headers().len(), 2);
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            ///
            /// # Errors
            ///
            /// When the domain or the path is none, or can't be with the prefix `__Host-`.
            pub fn former_scope(
                mut self,
                domain: Option<&str>,
                path: &str,
            ) -> Result<Self, $crate::extractor::CookieConfigError> {
                self.carrier.add_former_scope(domain, path)?;
                Ok(self)
            }

            /// [`issue`](Self::issue) as the value of a `Set-Cookie` field.
            #[must_use]
            pub fn issue_header(&self, id: &$crate::SessionId) -> ::http::HeaderValue {
                $crate::extractor::cookie::carrier::header(&self.issue(id))
            }

            /// The cookie that makes a browser forget the session.
            #[must_use]
            pub fn removal(&self) -> ::cookie::Cookie<'static> {
                self.carrier.removal()
            }

            /// [`removal`](Self::removal) as the value of a `Set-Cookie` field.
            #[must_use]
            pub fn removal_header(&self) -> ::http::HeaderValue {
                $crate::extractor::cookie::carrier::header(&self.removal())
            }

            /// The values of the `Set-Cookie` fields that remove the cookie from all [former
            /// scopes](Self::former_scope), then the current one. Browsers tell cookies apart by
            /// name, Domain and Path, so a cookie stays until it is removed with its own. At a login,
            /// append them before [`issue_header`](Self::issue_header).
            #[must_use]
            pub fn removal_headers(&self) -> Vec<::http::HeaderValue> {
                self.carrier.removal_headers()
            }
        }

        impl $crate::extractor::SessionCookie for $kind {
            fn name(&self) -> &str {
                self.carrier.name()
            }

            fn max_age(&self) -> Option<std::time::Duration> {
                self.carrier.max_age()
            }

            fn issue_header(&self, id: &$crate::SessionId) -> ::http::HeaderValue {
                $crate::extractor::cookie::carrier::header(&self.issue(id))
            }
        }
    };
}

pub(crate) use {cookie_extractor, issuing_methods, origin_methods};
