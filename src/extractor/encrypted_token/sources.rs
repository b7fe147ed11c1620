//! The places in a Socket.IO handshake that can carry a token.

use std::borrow::Cow;

use http::header::AUTHORIZATION;

use super::wire::MAX_CHARS;
use crate::{
    extractor::{InvalidCredential, percent},
    handshake::{AuthField, Handshake},
};

/// The content of one place of a handshake: nothing, the text of a token, or something bad.
pub(super) type Found<'a> = Result<Option<Cow<'a, str>>, InvalidCredential>;

/// The field of the `auth` payload.
pub(super) fn in_auth<'a>(handshake: &Handshake<'a>, name: &str) -> Found<'a> {
    match handshake.auth_field(name) {
        AuthField::Text(text) if !is_absent(&text) => Ok(Some(text)),
        AuthField::Absent | AuthField::Text(_) => Ok(None),
        AuthField::TooLarge => Err(InvalidCredential::TooLarge),
        AuthField::Other | AuthField::Malformed => Err(InvalidCredential::Malformed),
    }
}

/// The credentials of `Authorization: Bearer` (RFC 6750 §2.1). Another scheme is another system's.
pub(super) fn in_authorization<'a>(handshake: &Handshake<'a>) -> Found<'a> {
    let mut fields = handshake.headers().get_all(AUTHORIZATION).iter();
    let Some(field) = fields.next() else {
        return Ok(None);
    };
    // A proxy and this server might read different ones.
    if fields.next().is_some() {
        return Err(InvalidCredential::TooMany);
    }
    let bearer = field.to_str().ok().and_then(|text| {
        let (scheme, token) = text.split_once(' ')?;
        let token = token.trim_matches(' ');
        scheme.eq_ignore_ascii_case("bearer").then_some(token)
    });
    Ok(bearer.map(Cow::Borrowed))
}

/// The query parameter, percent-decoded once. Absent ones don't count when it is doubled.
pub(super) fn in_query<'a>(handshake: &Handshake<'a>, name: &str) -> Found<'a> {
    let mut parameters = handshake.query(name).filter(|value| !is_absent(value));
    let Some(value) = parameters.next() else {
        return Ok(None);
    };
    if parameters.next().is_some() {
        return Err(InvalidCredential::TooMany);
    }
    // Each character can be an escape of three.
    if value.len() > 3 * MAX_CHARS {
        return Err(InvalidCredential::TooLarge);
    }
    let text = match percent::decoded(value.as_bytes())? {
        Cow::Borrowed(_) => Cow::Borrowed(value),
        Cow::Owned(bytes) => {
            let text = String::from_utf8(bytes).map_err(|_| InvalidCredential::Malformed)?;
            Cow::Owned(text)
        }
    };
    Ok(Some(text))
}

/// Clients without a token send `token=`, and JavaScript turns its `null` into text.
fn is_absent(text: &str) -> bool {
    matches!(text, "" | "null")
}
