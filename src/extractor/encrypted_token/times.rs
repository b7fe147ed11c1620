//! Lifetimes of tokens.

use std::time::{Duration, SystemTime};

use super::{
    error::{IssueTokenError, TokenConfigError},
    wire::Claims,
};
use crate::extractor::InvalidCredential;

/// Accepted difference between the clocks of two nodes.
const LEEWAY: Duration = Duration::from_secs(30);
const DEFAULT_LIFETIME: Duration = Duration::from_mins(1);
const DEFAULT_MAX_LIFETIME: Duration = Duration::from_hours(1);

/// The lifetime of issued tokens and the longest one of accepted tokens; `None` when not set.
///
/// Invariant: what is set is not zero, and does not contradict. A default yields to what is set.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lifetimes {
    issued: Option<Duration>,
    max: Option<Duration>,
}

impl Lifetimes {
    pub(super) fn with_issued(self, issued: Duration) -> Result<Self, TokenConfigError> {
        let issued = Some(issued);
        Self { issued, ..self }.checked()
    }

    pub(super) fn with_max(self, max: Duration) -> Result<Self, TokenConfigError> {
        let max = Some(max);
        Self { max, ..self }.checked()
    }

    fn checked(self) -> Result<Self, TokenConfigError> {
        if [self.issued, self.max].contains(&Some(Duration::ZERO)) {
            return Err(TokenConfigError::LifetimeZero);
        }
        match (self.issued, self.max) {
            (Some(issued), Some(max)) if issued > max => Err(TokenConfigError::LifetimeTooLong),
            _ => Ok(self),
        }
    }

    pub(super) fn issued(&self) -> Duration {
        self.issued.unwrap_or(DEFAULT_LIFETIME.min(self.max()))
    }

    pub(super) fn max(&self) -> Duration {
        let issued = self.issued.unwrap_or_default();
        self.max.unwrap_or(DEFAULT_MAX_LIFETIME.max(issued))
    }

    /// The lifetime of a token that is issued now, in seconds.
    pub(super) fn to_issue(self, asked: Option<Duration>) -> Result<u64, IssueTokenError> {
        let lifetime = whole_seconds(asked.unwrap_or(self.issued()));
        if lifetime == 0 {
            return Err(IssueTokenError::LifetimeZero);
        }
        if lifetime > whole_seconds(self.max()) {
            return Err(IssueTokenError::LifetimeTooLong);
        }
        Ok(lifetime)
    }

    /// Checks authentic times against the clock.
    pub(super) fn check(self, claims: &Claims<'_>, now: u64) -> Result<(), InvalidCredential> {
        let leeway = LEEWAY.as_secs();
        let lifetime = claims.expires.checked_sub(claims.issued);
        let lifetime = lifetime.ok_or(InvalidCredential::Malformed)?;
        if lifetime > whole_seconds(self.max()) {
            return Err(InvalidCredential::LifetimeTooLong);
        }
        if claims.issued > now.saturating_add(leeway) {
            return Err(InvalidCredential::NotYetValid);
        }
        if now > claims.expires.saturating_add(leeway) {
            return Err(InvalidCredential::Expired);
        }
        Ok(())
    }
}

/// Rounded up.
fn whole_seconds(duration: Duration) -> u64 {
    duration
        .as_secs()
        .saturating_add(u64::from(duration.subsec_nanos() > 0))
}

/// Seconds since 1970.
pub(super) fn unix_now() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
