//! The cookie that slides with its session.

use std::time::Duration;

use super::layer::SessionLayer;
use crate::{extractor::SessionCookie, request::CookieRefresh};

/// Why a cookie can't be refreshed.
///
/// ```
/// use socketioxide_session::http::RefreshCookieError;
/// # use socketioxide_session::{Keyring, MemoryStore, SecretKey, SessionBridge, SignedCookie};
/// # let cookie = SignedCookie::new("__Host-sid", &Keyring::new(SecretKey::generate()?))?;
/// # let sessions = SessionBridge::builder(cookie.clone(), MemoryStore::<String>::new()).build()?;
///
/// // This one lasts until the browser is closed.
/// let refused = sessions.layer().refresh_cookie(cookie).err();
/// assert_eq!(refused, Some(RefreshCookieError::NoMaxAge));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RefreshCookieError {
    /// The cookie has no `max_age`: browsers keep it until they are closed, and there is nothing to
    /// extend.
    #[error("the cookie given to `refresh_cookie` has no `max_age`")]
    NoMaxAge,
    /// Activity does not extend the lifetime of sessions, so the cookie would outlive them.
    #[error("`refresh_cookie` contradicts `no_touch_on_activity`, or a store that can't touch")]
    NoTouch,
    /// The cookie expires before it is sent again.
    #[error("the cookie's `max_age` is not longer than `touch_on_activity`")]
    MaxAgeTooShort,
}

impl<T: Send + Sync + 'static> SessionLayer<T> {
    /// Sends this cookie again while its session is used, so that its `max_age` slides with the
    /// lifetime of the session.
    ///
    /// It is added to any answer, that to the opening of a Socket.IO transport included, whose request
    /// resolved a live session by this very cookie, at most once per session and
    /// [touch interval](crate::bridge::SessionBridgeBuilder::touch_on_activity) on this node. It is not
    /// added when the session has ended or was rotated by then, or when the answer sets the cookie
    /// itself, is a 5xx, or says `public` or `s-maxage` in `Cache-Control`: a shared cache would hand
    /// the session to other clients. An answer that depends on the session should say `private` or
    /// `no-store` anyway.
    ///
    /// With it, the layer looks the session up at the opening of a transport too, at most once per
    /// interval.
    ///
    /// A cookie for "remember me" needs a name of its own, because only `max_age` tells it from one
    /// that lasts until the browser is closed, and that does not come back in requests. See the guide
    /// on [lifetimes](crate::docs::lifetimes).
    ///
    /// ```
    /// use std::time::Duration;
    /// # use socketioxide_session::{Keyring, MemoryStore, SecretKey, SessionBridge, SignedCookie};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let keys = Keyring::new(SecretKey::generate()?);
    /// let month = Duration::from_hours(30 * 24);
    /// let cookie = SignedCookie::new("__Host-sid", &keys)?.max_age(month)?;
    /// let sessions = SessionBridge::builder(cookie.clone(), MemoryStore::<String>::new())
    ///     .ttl(month)
    ///     .build()?;
    /// let layer = sessions.layer().refresh_cookie(cookie)?;
    /// # drop(layer);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When the cookie has no `max_age`, or a setting of the bridge contradicts it.
    pub fn refresh_cookie(
        mut self,
        cookie: impl SessionCookie,
    ) -> Result<Self, RefreshCookieError> {
        let max_age = cookie.max_age().ok_or(RefreshCookieError::NoMaxAge)?;
        let touch = self
            .bridge
            .touch_every()
            .ok_or(RefreshCookieError::NoTouch)?;
        let max_interval = match touch.set {
            Some(interval) if interval >= max_age => {
                return Err(RefreshCookieError::MaxAgeTooShort);
            }
            Some(_) => Duration::MAX,
            // The default interval yields.
            None => max_age / 2,
        };
        self.settings.refresh = Some(CookieRefresh::new(cookie, max_interval));
        Ok(self)
    }
}
