//! The plain cookie of tower-sessions.

use std::borrow::Cow;

use crate::{
    extractor::{
        CookieConfigError, ExtractError, ForbiddenReason, InvalidCredential, SessionIdExtractor,
        cookie::{CookieCarrier, origin_methods},
    },
    handshake::Handshake,
    id::SessionId,
    store::tower_sessions::raw_id,
};

/// Reads the plain cookie that tower-sessions' `SessionManagerLayer` sets, unless it signs or
/// encrypts.
///
/// ```text
/// Cookie: id=5VlhoSTbhSFDoBAzRo0wyg
///            └ base64url of 16 bytes ┘
/// ```
///
/// 1. The origin is checked first, see [`OriginPolicy`](crate::extractor::OriginPolicy).
/// 2. Of several cookies of the name the last one is used, as tower-sessions does.
/// 3. A value must be the canonical text of 16 bytes: 22 characters. So a guess never reaches the
///    store as another key.
///
/// The id is 128 random bits, which can't be guessed. But a guess costs a call of the store, while a
/// signed cookie (`SessionManagerLayer::with_signed`,
/// [`SignedCookie::with_key`](crate::SignedCookie::with_key)) is rejected without one.
///
/// Cookies are set and removed by tower-sessions.
///
/// ```
/// use socketioxide_session::{extractor::OriginPolicy, interop::tower_sessions::PlainCookie};
///
/// // `id` is the name that tower-sessions uses unless it was given another one.
/// let cookie = PlainCookie::new("id")?
///     .origin_policy(OriginPolicy::same_origin().allow_origin("https://app.example.com")?);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct PlainCookie {
    carrier: CookieCarrier,
}

impl PlainCookie {
    /// A cookie of this name; tower-sessions' own default is `id`.
    ///
    /// ```
    /// use socketioxide_session::interop::tower_sessions::PlainCookie;
    ///
    /// let cookie = PlainCookie::new("id")?; // the default of `SessionManagerLayer`
    /// # drop(cookie);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When the name is no cookie name.
    pub fn new(name: impl Into<Cow<'static, str>>) -> Result<Self, CookieConfigError> {
        let carrier = CookieCarrier::new(name.into())?;
        Ok(Self { carrier })
    }

    /// Accepts the cookie on pages over plain http, where every host on the way can read it. For
    /// development, beside `SessionManagerLayer::with_secure(false)`.
    ///
    /// ```
    /// use socketioxide_session::interop::tower_sessions::PlainCookie;
    ///
    /// // As `SessionManagerLayer::with_secure(false)`, for development.
    /// let cookie = PlainCookie::new("id")?.insecure_http()?;
    /// # drop(cookie);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When the name begins with `__Host-` or `__Secure-`.
    pub fn insecure_http(mut self) -> Result<Self, CookieConfigError> {
        self.carrier.set_insecure()?;
        Ok(self)
    }
}

origin_methods!(PlainCookie);

impl SessionIdExtractor for PlainCookie {
    fn extract(&self, handshake: &Handshake<'_>) -> Result<SessionId, ExtractError> {
        self.carrier.extract_last(handshake, parse)
    }

    fn presented(&self, handshake: &Handshake<'_>) -> Vec<SessionId> {
        self.carrier.last(handshake, parse).into_iter().collect()
    }

    fn check_origin(&self, handshake: &Handshake<'_>) -> Result<(), ForbiddenReason> {
        self.carrier.check_origin(handshake)
    }
}

fn parse(value: &[u8]) -> Result<SessionId, InvalidCredential> {
    let raw = raw_id::parse(value).ok_or(InvalidCredential::Malformed)?;
    Ok(raw_id::session_id(raw))
}
