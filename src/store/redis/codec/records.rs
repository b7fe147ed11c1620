//! The choice of a format.

use serde::{Serialize, de::DeserializeOwned};

#[cfg(any(feature = "tower-sessions-0-14", feature = "tower-sessions-0-15"))]
use super::tower_sessions::TowerSessionsRecords;
use super::{Codec, express::ExpressRecords, json::Json};
use crate::id::SessionId;
#[cfg(any(feature = "tower-sessions-0-14", feature = "tower-sessions-0-15"))]
use crate::store::tower_sessions::raw_id;

/// The format of the records in Redis: this crate's own JSON, or that of another program.
///
/// ```
/// use socketioxide_session::store::Records;
///
/// let own = Records::default();
/// # drop(own);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Records(Format);

#[derive(Debug, Clone, Default)]
enum Format {
    #[default]
    Json,
    Express(ExpressRecords),
    #[cfg(any(feature = "tower-sessions-0-14", feature = "tower-sessions-0-15"))]
    TowerSessions(TowerSessionsRecords),
}

impl Records {
    /// The prefix of the keys in this format, if not set.
    pub(crate) fn default_prefix(&self) -> &'static str {
        match self.0 {
            Format::Json => "session:",
            Format::Express(_) => "sess:",
            #[cfg(any(feature = "tower-sessions-0-14", feature = "tower-sessions-0-15"))]
            Format::TowerSessions(_) => "",
        }
    }

    /// The ids that records can have, if not all. The key of any other id is that of something else.
    pub(crate) fn ids(&self) -> Option<fn(&SessionId) -> bool> {
        match self.0 {
            Format::Json | Format::Express(_) => None,
            #[cfg(any(feature = "tower-sessions-0-14", feature = "tower-sessions-0-15"))]
            Format::TowerSessions(_) => Some(|id| raw_id::of(id).is_some()),
        }
    }

    /// Whether clients may present ids that they have guessed, because the usual cookie of the program
    /// that writes the records is neither signed nor encrypted.
    pub(crate) fn have_guessable_ids(&self) -> bool {
        match self.0 {
            Format::Json | Format::Express(_) => false,
            #[cfg(any(feature = "tower-sessions-0-14", feature = "tower-sessions-0-15"))]
            Format::TowerSessions(_) => true,
        }
    }

    pub(crate) fn codec<T>(&self) -> &dyn Codec<T>
    where
        T: Serialize + DeserializeOwned,
    {
        match &self.0 {
            Format::Json => &Json,
            Format::Express(records) => records,
            #[cfg(any(feature = "tower-sessions-0-14", feature = "tower-sessions-0-15"))]
            Format::TowerSessions(records) => records,
        }
    }
}

impl From<ExpressRecords> for Records {
    fn from(records: ExpressRecords) -> Self {
        Self(Format::Express(records))
    }
}

#[cfg(any(feature = "tower-sessions-0-14", feature = "tower-sessions-0-15"))]
impl From<TowerSessionsRecords> for Records {
    fn from(records: TowerSessionsRecords) -> Self {
        Self(Format::TowerSessions(records))
    }
}
