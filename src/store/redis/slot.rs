//! Hash slots of a cluster.
//!
//! A key belongs to the slot CRC16(key) mod 16384, where only the text between the first `{` and the
//! next `}` counts, when there is one. The CRC is CRC-16/XMODEM. (Redis cluster specification, "Key
//! distribution model".)

const SLOTS: u16 = 16_384;

/// A short text that belongs to this slot, for use as a hash tag. About 16,000 texts are tried, in less
/// than a millisecond.
pub(super) fn hash_tag(slot: u16) -> String {
    let mut text = String::with_capacity(8);
    for number in 0_u32.. {
        text.clear();
        // Of all numbers up to a million, some belong to each slot.
        let _ = std::fmt::Write::write_fmt(&mut text, format_args!("{number}"));
        if slot_of(text.as_bytes()) == slot % SLOTS {
            break;
        }
    }
    text
}

fn slot_of(text: &[u8]) -> u16 {
    crc16(text) % SLOTS
}

fn crc16(text: &[u8]) -> u16 {
    text.iter().fold(0, |crc, byte| {
        let start = crc ^ (u16::from(*byte) << 8);
        (0..8).fold(start, |crc, _| match crc & 0x8000 {
            0 => crc << 1,
            _ => (crc << 1) ^ 0x1021,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
    }

    #[test]
    fn every_slot_has_a_hash_tag() {
        for slot in (0..SLOTS).step_by(61).chain([0, SLOTS - 1]) {
            assert_eq!(slot_of(hash_tag(slot).as_bytes()), slot);
        }
    }
}
