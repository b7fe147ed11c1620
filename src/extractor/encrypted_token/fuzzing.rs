//! The entry points of the fuzz targets: the parsers, each with its way back.

use super::wire::{Claims, Sealed};

/// Parses the text of a token; returns what it encodes back to.
#[must_use]
pub fn token(text: &str) -> Option<String> {
    Sealed::parse(text).ok().map(|sealed| sealed.to_text())
}

/// Parses a plaintext; returns what it encodes back to.
#[must_use]
pub fn claims(plaintext: &[u8]) -> Option<Vec<u8>> {
    Claims::parse(plaintext)?.encode()
}
