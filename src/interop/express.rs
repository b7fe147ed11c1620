//! Sessions of Express: the cookies of `express-session`, and with the feature `redis` the records of
//! `connect-redis`.
#![cfg_attr(
    feature = "redis",
    doc = "",
    doc = "[Moving the sockets of a Node app to Rust](crate::docs::express) shows both in use, and what Express'",
    doc = "saves, which compare nothing, mean for sockets."
)]

#[cfg(feature = "redis")]
#[doc(inline)]
pub use crate::store::{ExpressRecords, ExpressRecordsError, FieldPathError, SameSite};

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use cookie::Cookie;
use hmac::{Hmac, KeyInit as _, Mac as _};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use crate::{
    extractor::{
        CookieConfigError, InvalidCredential,
        cookie::{CookieCarrier, cookie_extractor, issuing_methods, origin_methods},
    },
    id::SessionId,
};

/// Marks a signed cookie (Express' `cookie-parser` and `express-session`).
const PREFIX: &str = "s:";
/// An HMAC-SHA256 in base64 without padding.
const SIGNATURE_CHARS: usize = 43;
/// Bytes that JavaScript's `encodeURIComponent` escapes (ECMA-262 §19.2.6.4), with which `express-session`
/// writes its cookies.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// The cookie of `express-session`, read and issued byte by byte as Express does, so that both
/// programs share their sessions.
///
/// ```text
/// Cookie: connect.sid=s%3A0123456789abcdef.GYCVRJjxJDp%2BkqtKWiLv07Ocime2twE%2FK3%2B8Nt73obQ
///                     └ s: ┘└──── id ────┘ └ base64 of HMAC-SHA256(secret, id), no padding ┘
/// ```
///
/// The format is the one of `cookie-signature` (1.0 to 1.2), percent-encoded by `cookie`.
///
/// ```
/// use socketioxide_session::{SessionId, interop::express::ExpressCookie};
///
/// // As in `session({ name: "connect.sid", secret: ["new secret", "old secret"] })`.
/// let cookie = ExpressCookie::new("connect.sid", ["new secret", "old secret"])?;
/// let set_cookie = cookie.issue_header(&SessionId::generate()?);
/// assert!(set_cookie.to_str()?.starts_with("connect.sid=s%3A"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Rules for reading it:
///
/// 1. The origin is checked first, see [`OriginPolicy`](crate::extractor::OriginPolicy). The page
///    of an Express application on another port or host needs
///    [`allow_origin`](Self::allow_origin).
/// 2. The value is found as that of a [`SignedCookie`](crate::SignedCookie): 64 KiB of header, eight
///    values, one pair of quotes removed, percent-decoded once.
/// 3. After `s:`, it is split at its *last* dot, because an id may hold dots. The text of the
///    signature is compared in constant time with the one for each secret, so that no other
///    spelling of the base64 is accepted.
///
/// # Differences from Express
///
/// - Of several cookies with this name, Express takes the first one and ignores the others. Here,
///   all are verified: one that a sibling host has planted before the real one shuts out no client.
/// - The id must be a [`SessionId`]; an id with spaces or `;` is refused. The ids that
///   `express-session` generates fit.
/// - Issued cookies have `Secure` and `SameSite=Lax` unless configured otherwise; Express' default
///   is neither. Set the options that the application has, and
///   [`insecure_http`](Self::insecure_http) where it has no `cookie.secure`.
///
/// # Deployment caveats
///
/// The secret signs every signed cookie of the application under any name: one that
/// `cookie-parser` signed for a text that a user chose verifies here. Give the session a secret of
/// its own.
#[derive(Clone)]
pub struct ExpressCookie {
    carrier: CookieCarrier,
    /// The one that signs first.
    keys: Vec<Hmac<Sha256>>,
}

impl ExpressCookie {
    /// The cookie of an application with these options `name` and `secret` of `express-session`. The
    /// first secret signs; all of them are accepted. (Express' default name is `connect.sid`.)
    ///
    /// # Errors
    ///
    /// When the name is no cookie name, or there is no secret, or an empty one.
    pub fn new<S: AsRef<[u8]>>(
        name: impl Into<Cow<'static, str>>,
        secrets: impl IntoIterator<Item = S>,
    ) -> Result<Self, CookieConfigError> {
        let key = |secret: S| match secret.as_ref() {
            [] => Err(CookieConfigError::NoSecret),
            secret => Ok(Hmac::new_from_slice(secret).expect("HMAC takes a key of any length")),
        };
        let keys: Vec<_> = secrets.into_iter().map(key).collect::<Result<_, _>>()?;
        if keys.is_empty() {
            return Err(CookieConfigError::NoSecret);
        }
        Ok(Self {
            carrier: CookieCarrier::new(name.into())?,
            keys,
        })
    }

    /// The cookie that gives a browser this session: `HttpOnly`, `SameSite=Lax`, `Path=/` and
    /// `Secure`, unless configured otherwise.
    #[must_use]
    pub fn issue(&self, id: &SessionId) -> Cookie<'static> {
        let mut value = format!("{PREFIX}{}.", id.expose());
        value.push_str(&signature(&self.keys[0], id.expose().as_bytes()));
        let escaped = utf8_percent_encode(&value, ESCAPED).to_string();
        self.carrier.issue(&escaped)
    }

    /// Attacker-controlled bytes: first the form, then the signature; the id is parsed only when
    /// that is authentic.
    fn verify(&self, value: &[u8]) -> Result<SessionId, InvalidCredential> {
        let signed = value.strip_prefix(PREFIX.as_bytes());
        let signed = signed.ok_or(InvalidCredential::Malformed)?;
        let dot = signed.iter().rposition(|byte| *byte == b'.');
        let (id, tag) = signed.split_at(dot.ok_or(InvalidCredential::Malformed)?);
        let tag = &tag[1..];
        if tag.len() != SIGNATURE_CHARS {
            return Err(InvalidCredential::Malformed);
        }
        let is_made_with = |key| bool::from(signature(key, id).as_bytes().ct_eq(tag));
        if !self.keys.iter().any(is_made_with) {
            return Err(InvalidCredential::NotAuthentic);
        }
        SessionId::from_bytes(id).map_err(InvalidCredential::Id)
    }
}

origin_methods!(ExpressCookie);
issuing_methods!(ExpressCookie);
cookie_extractor!(ExpressCookie);

fn signature(key: &Hmac<Sha256>, id: &[u8]) -> String {
    let mac = key.clone().chain_update(id).finalize();
    STANDARD_NO_PAD.encode(mac.into_bytes())
}
