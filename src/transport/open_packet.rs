//! The packet with which Engine.IO answers the request that opens a polling transport.
//!
//! ```text
//! EIO=4:    0{"sid":"vNSO…16 characters…","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":100000}
//! EIO=3:    109:0{…}       the number of characters, a colon, the same packet
//! ```
//!
//! The source is `engineioxide`: `OpenPacket` and `open_req`. The packet is compared byte for byte
//! with what `engineioxide` writes, because handlers can be made to answer with similar text.

/// Maximum length of the packet in bytes, with numbers of any size.
pub(crate) const MAX_OPEN_PACKET: u64 = 256;

/// The content type of the answer, letter by letter.
pub(crate) const OPEN_PACKET_CONTENT_TYPE: &str = "text/plain; charset=UTF-8";

/// Length of a `sid`: 12 random bytes in base64url.
const SID_CHARS: usize = 16;

/// Returns the `sid` if the body is an open packet and nothing else.
pub(crate) fn sid_of_open_packet(body: &[u8]) -> Option<&str> {
    let body = str::from_utf8(body).ok()?;
    let packet = without_length(body)?;
    let rest = packet.strip_prefix(r#"0{"sid":""#)?;
    let (sid, rest) = rest.split_at_checked(SID_CHARS)?;
    if !sid.bytes().all(is_base64url) {
        return None;
    }
    let rest = rest.strip_prefix(r#"","upgrades":"#)?;
    let rest = rest
        .strip_prefix(r#"["websocket"]"#)
        .or_else(|| rest.strip_prefix("[]"))?;
    let rest = number(rest.strip_prefix(r#","pingInterval":"#)?)?;
    let rest = number(rest.strip_prefix(r#","pingTimeout":"#)?)?;
    let rest = number(rest.strip_prefix(r#","maxPayload":"#)?)?;
    (rest == "}").then_some(sid)
}

/// The packet without the length in front that EIO=3 has. All of it is ASCII, so that bytes are
/// characters.
fn without_length(body: &str) -> Option<&str> {
    if body.starts_with("0{") {
        return Some(body);
    }
    let (length, packet) = body.split_once(':')?;
    (length == packet.len().to_string()).then_some(packet)
}

/// The rest after a number of at least one digit.
fn number(text: &str) -> Option<&str> {
    let rest = text.trim_start_matches(|char: char| char.is_ascii_digit());
    (rest.len() < text.len()).then_some(rest)
}

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: &str = r#"0{"sid":"vNSO-_abcDEF0129","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":100000}"#;

    fn sid(body: &str) -> Option<&str> {
        sid_of_open_packet(body.as_bytes())
    }

    #[test]
    fn what_engine_io_writes_is_read() {
        let none = PACKET.replace(r#"["websocket"]"#, "[]");
        let v3 = format!("{}:{PACKET}", PACKET.len());
        let most = u64::MAX.to_string();
        let largest = PACKET
            .replace("25000", &most)
            .replace("20000", &most)
            .replace("100000", &most);
        for packet in [PACKET, &none, &v3, &largest] {
            assert_eq!(sid(packet), Some("vNSO-_abcDEF0129"), "{packet}");
            assert!((packet.len() as u64) < MAX_OPEN_PACKET);
        }
    }

    #[test]
    fn nothing_else_is_read() {
        let v3 = format!("{}:{PACKET}", PACKET.len());
        for packet in [PACKET, &v3] {
            for at in 0..packet.len() {
                assert_eq!(sid(&packet[..at]), None, "{}", &packet[..at]);
            }
            for around in ["x", " ", "\n", "0", "\u{1e}2"] {
                assert_eq!(sid(&format!("{packet}{around}")), None);
                assert_eq!(sid(&format!("{around}{packet}")), None);
            }
        }
        for (from, to) in [
            (r#""sid""#, r#" "sid""#),
            ("vNSO-_abcDEF0129", "vNSO-_abcDEF012"),
            ("vNSO-_abcDEF0129", "vNSO-_abcDEF01290"),
            ("vNSO-_abcDEF0129", "vNSO-_abcDEF012é"),
            ("vNSO-_abcDEF0129", r"vNSO\u002dabcDEF"),
            ("websocket", "bus"),
            ("25000", "-1"),
            ("25000", ""),
            ("100000", "1e5"),
            ("}", r#","more":1}"#),
            (r#""upgrades""#, r#""sid":"AAAAAAAAAAAAAAAA","upgrades""#),
        ] {
            let changed = PACKET.replacen(from, to, 1);
            assert_ne!(changed, PACKET);
            assert_eq!(sid(&changed), None, "{changed}");
        }
        for body in [
            "",
            "0",
            "0{}",
            ":",
            "1:0",
            "<html>",
            r#"{"sid":"vNSO-_abcDEF0129""#,
        ] {
            assert_eq!(sid(body), None, "{body}");
        }
        assert_eq!(sid_of_open_packet(b"0{\"sid\":\"\xff"), None);
    }
}
