//! Saves that lose nothing of other programs' fields.
//!
//! A type reads a stored document and writes a new one. Between the two stand fields that the type
//! does not know, and nothing tells them for sure from fields that it knows under other names. So the
//! [plan](plan::Plan) keeps them all, and the type itself is asked:
//!
//! **Invariant.** What is returned reads as what was saved, and holds each field of `stored` that the
//! type does not write, to the last byte, unless [`search`] has shown that with the field the
//! document does not read as what was saved, and without it does. Where that can't be reached, the
//! result is an error, and nothing is stored.
//!
//! A field under an old name is in the way of the new one; the fields of others inside it move along. An
//! element that leaves a list takes the fields of others inside it with it.

mod lists;
mod part;
mod plan;
mod search;
pub(super) mod text;

use std::cell::{Cell, OnceCell};

use serde::{Serialize, de::DeserializeOwned};

use self::{
    plan::Plan,
    text::{Lists, canonical},
};
use super::error::{encode, not_readable};
use crate::store::StoreError;

/// Bytes that may be read for one save, to find the fields that are in the way. It bounds the time: a
/// document of 64 KiB is read 256 times at most.
const BUDGET: usize = 16 * 1024 * 1024;

/// The text to store: `stored` with the changes from what it is as a `T` to `new`. `None` when
/// `stored` is no `T`.
pub(super) fn merged<T: Serialize + DeserializeOwned>(
    stored: &str,
    new: &T,
) -> Result<Option<String>, StoreError> {
    let Ok(base) = serde_json::from_str::<T>(stored) else {
        return Ok(None);
    };
    let base = serde_json::to_string(&base).map_err(encode)?;
    let new = serde_json::to_string(new).map_err(encode)?;
    let plan = Plan::new(stored.trim_ascii(), &base, &new);
    let everything = plan.text(|_| true);
    if everything == new {
        return readable::<T>(new).map(Some);
    }
    // A type that does not write the same twice can't be compared. Then it only has to read the result.
    for compares in [true, false] {
        let reader = Reader::new(&new, compares);
        if reader.reads::<T>(&everything) {
            return Ok(Some(everything));
        }
        let found = search::most(&plan, |text| reader.reads::<T>(text));
        if found.is_some() {
            return Ok(found);
        }
        if reader.is_exhausted() {
            break;
        }
    }
    Err(not_readable())
}

/// The text of a new document.
pub(super) fn written<T: Serialize + DeserializeOwned>(new: &T) -> Result<String, StoreError> {
    readable::<T>(serde_json::to_string(new).map_err(encode)?)
}

fn readable<T: DeserializeOwned>(text: String) -> Result<String, StoreError> {
    match serde_json::from_str::<T>(&text) {
        Ok(_) => Ok(text),
        Err(_) => Err(not_readable()),
    }
}

/// Tells whether documents read as what was saved.
struct Reader<'a> {
    new: &'a str,
    /// Whether a document must read as what was saved, not only be readable.
    compares: bool,
    expected: OnceCell<Option<Expected>>,
    budget: Cell<usize>,
}

/// A document after another round trip through the type.
struct Expected {
    text: String,
    canonical: OnceCell<String>,
}

impl<'a> Reader<'a> {
    fn new(new: &'a str, compares: bool) -> Self {
        Self {
            new,
            compares,
            expected: OnceCell::new(),
            budget: Cell::new(BUDGET),
        }
    }

    fn is_exhausted(&self) -> bool {
        self.budget.get() == 0
    }

    fn reads<T: Serialize + DeserializeOwned>(&self, text: &str) -> bool {
        if self.is_exhausted() {
            return false;
        }
        self.budget
            .set(self.budget.get().saturating_sub(text.len()));
        let Ok(read) = serde_json::from_str::<T>(text) else {
            return false;
        };
        if !self.compares {
            return true;
        }
        match self.expected.get_or_init(|| Expected::of::<T>(self.new)) {
            Some(expected) => serde_json::to_string(&read).is_ok_and(|read| expected.is(&read)),
            // The type may leave out what it only reads, and then its own text is not readable.
            None => true,
        }
    }
}

impl Expected {
    fn of<T: Serialize + DeserializeOwned>(new: &str) -> Option<Self> {
        let read: T = serde_json::from_str(new).ok()?;
        let text = serde_json::to_string(&read).ok()?;
        let canonical = OnceCell::new();
        Some(Self { text, canonical })
    }

    /// A set is written in another order each time, so lists that differ are compared as sets.
    fn is(&self, read: &str) -> bool {
        let expected = || canonical(&self.text, Lists::Sorted);
        read == self.text || canonical(read, Lists::Sorted) == *self.canonical.get_or_init(expected)
    }
}

#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod round_trip_tests;
#[cfg(test)]
mod search_tests;
#[cfg(test)]
mod tests;
