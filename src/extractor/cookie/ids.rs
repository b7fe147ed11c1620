//! The ids in the cookies of one name.

use crate::{
    extractor::{ExtractError, InvalidCredential, percent},
    handshake::Handshake,
    id::SessionId,
};

/// Maximum size of a value that is verified, in bytes.
const MAX_VALUE_BYTES: usize = 1024;

/// Distinct authentic ids, at least one. The usual one id needs no list.
pub(super) enum Ids {
    One(SessionId),
    Several(Vec<SessionId>),
}

impl Ids {
    /// Verifies all cookies of the name.
    ///
    /// Attacker-controlled bytes: the size and the number of the values come before any
    /// verification.
    pub(super) fn search(
        handshake: &Handshake<'_>,
        name: &str,
        verify: impl Fn(&[u8]) -> Result<SessionId, InvalidCredential>,
    ) -> Result<Self, ExtractError> {
        let values = handshake.cookies(name)?;
        if values.is_empty() {
            return Err(ExtractError::NoCookie);
        }
        if values.exceeded() {
            return Err(InvalidCredential::TooMany.into());
        }
        let mut found = None;
        let mut problem = InvalidCredential::Malformed;
        for value in values.iter() {
            match verify_one(value, &verify) {
                Ok(id) => found = Some(Self::with(found, id)),
                Err(invalid) => problem = invalid,
            }
        }
        found.ok_or_else(|| problem.into())
    }

    fn with(found: Option<Self>, id: SessionId) -> Self {
        match found {
            None => Self::One(id),
            Some(Self::One(first)) if first == id => Self::One(first),
            Some(Self::One(first)) => Self::Several(vec![first, id]),
            Some(Self::Several(mut ids)) => {
                if !ids.contains(&id) {
                    ids.push(id);
                }
                Self::Several(ids)
            }
        }
    }
}

/// The id in the last cookie of the name, whatever the others are.
#[cfg(any(feature = "tower-sessions-0-14", feature = "tower-sessions-0-15"))]
pub(super) fn last(
    handshake: &Handshake<'_>,
    name: &str,
    verify: impl Fn(&[u8]) -> Result<SessionId, InvalidCredential>,
) -> Result<SessionId, ExtractError> {
    let values = handshake.cookies(name)?;
    if values.exceeded() {
        return Err(InvalidCredential::TooMany.into());
    }
    let last = values.iter().last().ok_or(ExtractError::NoCookie)?;
    Ok(verify_one(last, verify)?)
}

fn verify_one(
    value: &[u8],
    verify: impl Fn(&[u8]) -> Result<SessionId, InvalidCredential>,
) -> Result<SessionId, InvalidCredential> {
    if value.len() > MAX_VALUE_BYTES {
        return Err(InvalidCredential::TooLarge);
    }
    verify(&percent::decoded(value)?)
}
