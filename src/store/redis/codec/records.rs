//! The choice of a format.

use serde::{Serialize, de::DeserializeOwned};

use super::{Codec, express::ExpressRecords, json::Json};

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
}

impl Records {
    /// The prefix of the keys in this format, if not set.
    pub(crate) fn default_prefix(&self) -> &'static str {
        match self.0 {
            Format::Json => "session:",
            Format::Express(_) => "sess:",
        }
    }

    pub(crate) fn codec<T>(&self) -> &dyn Codec<T>
    where
        T: Serialize + DeserializeOwned,
    {
        match &self.0 {
            Format::Json => &Json,
            Format::Express(records) => records,
        }
    }
}

impl From<ExpressRecords> for Records {
    fn from(records: ExpressRecords) -> Self {
        Self(Format::Express(records))
    }
}
