//! Bytes between separators.

use std::iter;

use memchr::memchr;

/// The parts of `bytes` between separators, one more than there are separators: what the `split` of a slice
/// returns, without a look at each byte by itself.
pub(crate) fn split(bytes: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut left = Some(bytes);
    iter::from_fn(move || {
        let bytes = left?;
        let end = memchr(separator, bytes);
        left = end.map(|end| &bytes[end + 1..]);
        Some(&bytes[..end.unwrap_or(bytes.len())])
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_parts_are_those_of_the_standard_library(text in "[a;]{0,40}") {
            let expected = text.as_bytes().split(|byte| *byte == b';');
            let parts = split(text.as_bytes(), b';');
            prop_assert!(parts.eq(expected));
        }
    }
}
