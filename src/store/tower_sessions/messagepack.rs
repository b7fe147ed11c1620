//! The records of tower-sessions as `MessagePack`, read and changed in place.
//!
//! tower-sessions-redis-store and tower-sessions-sqlx-store write `rmp_serde::to_vec(&Record)`, which
//! is an array of three, in this order:
//!
//! ```text
//! 93                         array of 3
//! c4 10 ‖ id[16]             the i128 of the id, big-endian
//! 8n … │ de … │ df …         map: str → any, the data
//! 99 …                       array of 9: year, day of the year, hour, minute, second, nanosecond,
//!                            and hour, minute, second of the offset from UTC
//! ```
//!
//! A change copies the bytes of all that does not change, so whatever tower-sessions wrote, it reads
//! again. The bytes come from a database that other programs write, so nothing about them is taken
//! for granted; nothing here panics, and the work is linear.

mod walk;

#[cfg(test)]
mod tests;

use std::ops::Range;

use cookie::time::{Date, OffsetDateTime, Time, UtcOffset};
use serde_json::{Map, Value};

use walk::Walk;

/// Header of a record: an array of 3, and a byte string of 16.
const HEADER: [u8; 3] = [0x93, 0xc4, 16];
const ID_END: usize = HEADER.len() + 16;

/// The bytes are no record of tower-sessions. They are not part of the error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the value is not a MessagePack record of tower-sessions")]
pub(crate) struct NoRecord;

/// Writes a new record.
pub(crate) fn written(
    id: i128,
    data: &Map<String, Value>,
    expires: OffsetDateTime,
) -> Option<Vec<u8>> {
    let data = rmp_serde::to_vec(data).ok()?;
    let expiry = encoded_expiry(expires)?;
    Some([&HEADER, &id.to_be_bytes()[..], &data, &expiry].concat())
}

/// In UTC, as tower-sessions writes it.
fn encoded_expiry(expires: OffsetDateTime) -> Option<Vec<u8>> {
    let expires = expires.to_offset(UtcOffset::UTC);
    let (year, day) = expires.to_ordinal_date();
    let (hour, minute, second, nanosecond) = expires.to_hms_nano();
    let parts = (year, day, hour, minute, second, nanosecond, 0, 0, 0);
    rmp_serde::to_vec(&parts).ok()
}

/// A record, checked as a whole, whose bytes can be changed.
#[derive(Clone, Copy)]
pub(crate) struct RecordBytes<'a> {
    bytes: &'a [u8],
    /// Offset at which the map of the data ends, and the time of expiry begins.
    data_end: usize,
}

impl<'a> RecordBytes<'a> {
    /// Parses a record.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, NoRecord> {
        let data_end = bytes
            .starts_with(&HEADER)
            .then(|| Walk::new(bytes, ID_END).skip_value())
            .flatten()
            .ok_or(NoRecord)?;
        let record = Self { bytes, data_end };
        let is_whole = Walk::new(bytes, data_end).skip_value() == Some(bytes.len());
        // serde takes nil for an empty map, and bytes for a key.
        let is_map = Walk::new(bytes, ID_END).entries().is_some();
        if !is_whole || !is_map || record.expires().is_none() {
            return Err(NoRecord);
        }
        record.data().map(|_| record)
    }

    /// The id inside of the record.
    #[cfg(test)]
    pub(crate) fn id(&self) -> i128 {
        let mut id = [0; 16];
        id.copy_from_slice(&self.bytes[HEADER.len()..ID_END]);
        i128::from_be_bytes(id)
    }

    /// The data: what the program inserted, by its keys.
    pub(crate) fn data(&self) -> Result<Map<String, Value>, NoRecord> {
        rmp_serde::from_slice(&self.bytes[ID_END..self.data_end]).map_err(|_| NoRecord)
    }

    /// The value at a path. A dot leads into an object, unless the key with the dot exists.
    pub(crate) fn field(&self, path: &str) -> Option<Value> {
        let place = self.find(ID_END, path)?;
        rmp_serde::from_slice(&self.bytes[place]).ok()
    }

    /// When the session expires.
    pub(crate) fn expires(&self) -> Option<OffsetDateTime> {
        type Parts = (i32, u16, u8, u8, u8, u32, i8, i8, i8);
        let parts = rmp_serde::from_slice(&self.bytes[self.data_end..]).ok()?;
        let (year, day, hour, minute, second, nanosecond, off_hour, off_minute, off_second): Parts =
            parts;
        let date = Date::from_ordinal_date(year, day).ok()?;
        let time = Time::from_hms_nano(hour, minute, second, nanosecond).ok()?;
        let offset = UtcOffset::from_hms(off_hour, off_minute, off_second).ok()?;
        Some(OffsetDateTime::new_in_offset(date, time, offset))
    }

    /// The record under another id.
    pub(crate) fn with_id(&self, id: i128) -> Vec<u8> {
        let mut changed = self.bytes.to_vec();
        changed[HEADER.len()..ID_END].copy_from_slice(&id.to_be_bytes());
        changed
    }

    /// The record with another value at a [path](Self::field) that exists; `None` if it does not.
    pub(crate) fn with_field(&self, path: &str, value: &Value) -> Option<Vec<u8>> {
        let place = self.find(ID_END, path)?;
        Some(self.spliced(place, &rmp_serde::to_vec(value).ok()?))
    }

    /// The record with other data. The bytes of values that are equal to the old ones are kept, also
    /// their order.
    pub(crate) fn with_data(&self, data: &Map<String, Value>) -> Option<Vec<u8>> {
        let old = self.data().ok()?;
        let mut entries: Vec<u8> = Vec::with_capacity(self.bytes.len());
        let mut count = 0;
        for (key, entry, value) in Walk::new(self.bytes, ID_END).entries()? {
            let Some(new) = data.get(key) else {
                continue;
            };
            count += 1;
            if old.get(key) == Some(new) {
                entries.extend_from_slice(&self.bytes[entry]);
            } else {
                entries.extend_from_slice(&self.bytes[entry.start..value.start]);
                rmp_serde::encode::write(&mut entries, new).ok()?;
            }
        }
        for (key, value) in data.iter().filter(|(key, _)| !old.contains_key(*key)) {
            count += 1;
            rmp_serde::encode::write(&mut entries, key).ok()?;
            rmp_serde::encode::write(&mut entries, value).ok()?;
        }
        let mut map = walk::map_header(count)?;
        map.append(&mut entries);
        Some(self.spliced(ID_END..self.data_end, &map))
    }

    fn find(&self, map: usize, path: &str) -> Option<Range<usize>> {
        let entries = Walk::new(self.bytes, map).entries()?;
        let value_of = |wanted: &str| {
            // The last of several, as serde reads it.
            let found = entries.iter().rfind(|(key, ..)| *key == wanted);
            found.map(|(_, _, value)| value.clone())
        };
        value_of(path).or_else(|| {
            path.rmatch_indices('.').find_map(|(dot, _)| {
                let inner = value_of(&path[..dot])?;
                self.find(inner.start, &path[dot + 1..])
            })
        })
    }

    fn spliced(&self, place: Range<usize>, new: &[u8]) -> Vec<u8> {
        [&self.bytes[..place.start], new, &self.bytes[place.end..]].concat()
    }
}
