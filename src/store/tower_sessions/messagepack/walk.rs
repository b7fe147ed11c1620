//! Finds where values of `MessagePack` begin and end, without decoding them.
//!
//! Format: the `MessagePack` specification, "Formats".

use std::ops::Range;

/// A position in `MessagePack` bytes. Each method reads one thing, moves behind it, and gives `None`
/// when it is not there.
pub(super) struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// A key, the bytes of the whole entry, and those of its value.
pub(super) type Entry<'a> = (&'a str, Range<usize>, Range<usize>);

impl<'a> Walk<'a> {
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    /// Skips one value, whatever is nested in it, and gives where it ends. No recursion, so depth
    /// costs nothing.
    pub(super) fn skip_value(&mut self) -> Option<usize> {
        let mut left: usize = 1;
        while left > 0 {
            left = (left - 1).checked_add(self.skip_head()?)?;
            // Each value has a byte at least.
            if left > self.bytes.len() - self.at {
                return None;
            }
        }
        Some(self.at)
    }

    /// The entries of a map whose keys are strings.
    pub(super) fn entries(mut self) -> Option<Vec<Entry<'a>>> {
        let length = match self.byte()? {
            marker @ 0x80..=0x8f => usize::from(marker & 0x0f),
            0xde => self.number(2)?,
            0xdf => self.number(4)?,
            _ => return None,
        };
        let mut entries = Vec::new();
        for _ in 0..length {
            let start = self.at;
            let key = self.text()?;
            let value = self.at;
            let end = self.skip_value()?;
            entries.push((key, start..end, value..end));
        }
        Some(entries)
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = match self.byte()? {
            marker @ 0xa0..=0xbf => usize::from(marker & 0x1f),
            0xd9 => self.number(1)?,
            0xda => self.number(2)?,
            0xdb => self.number(4)?,
            _ => return None,
        };
        std::str::from_utf8(self.take(length)?).ok()
    }

    /// Skips a value but for what is nested in it, and gives the number of values nested.
    fn skip_head(&mut self) -> Option<usize> {
        let (length, nested) = match self.byte()? {
            0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => (0, 0),
            marker @ 0x80..=0x8f => (0, 2 * usize::from(marker & 0x0f)),
            marker @ 0x90..=0x9f => (0, usize::from(marker & 0x0f)),
            marker @ 0xa0..=0xbf => (usize::from(marker & 0x1f), 0),
            0xc4 | 0xd9 => (self.number(1)?, 0),
            0xc5 | 0xda => (self.number(2)?, 0),
            0xc6 | 0xdb => (self.number(4)?, 0),
            0xc7 => (self.number(1)?.checked_add(1)?, 0),
            0xc8 => (self.number(2)?.checked_add(1)?, 0),
            0xc9 => (self.number(4)?.checked_add(1)?, 0),
            0xcc | 0xd0 => (1, 0),
            0xcd | 0xd1 | 0xd4 => (2, 0),
            0xd5 => (3, 0),
            0xca | 0xce | 0xd2 => (4, 0),
            0xd6 => (5, 0),
            0xcb | 0xcf | 0xd3 => (8, 0),
            0xd7 => (9, 0),
            0xd8 => (17, 0),
            0xdc => (0, self.number(2)?),
            0xdd => (0, self.number(4)?),
            0xde => (0, self.number(2)?.checked_mul(2)?),
            0xdf => (0, self.number(4)?.checked_mul(2)?),
            // Never used.
            0xc1 => return None,
        };
        self.take(length)?;
        Some(nested)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    /// A big-endian number of `length` bytes.
    fn number(&mut self, length: usize) -> Option<usize> {
        let bytes = self.take(length)?;
        Some(bytes.iter().fold(0, |n, byte| n << 8 | usize::from(*byte)))
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(length)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }
}

/// The header of a map with this number of entries.
pub(super) fn map_header(length: usize) -> Option<Vec<u8>> {
    let length = u32::try_from(length).ok()?;
    let [b0, b1, b2, b3] = length.to_be_bytes();
    Some(match length {
        0..=0x0f => vec![0x80 | b3],
        0x10..=0xffff => vec![0xde, b2, b3],
        _ => vec![0xdf, b0, b1, b2, b3],
    })
}
