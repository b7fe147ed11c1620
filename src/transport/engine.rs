//! Engine.IO's requests.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::Uri;

use crate::split::split;

/// Number of random bytes in a `sid`.
const SID_BYTES: usize = 12;

/// The kind of an HTTP request to Engine.IO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EngineRequest<'a> {
    /// It opens a transport, if its method is `GET`.
    Opens(TransportKind),
    /// It belongs to the transport with this `sid`.
    Continues(&'a str),
    /// It names more than one `sid`, and two readers could take different ones.
    Ambiguous,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TransportKind {
    Polling,
    WebSocket,
}

impl<'a> EngineRequest<'a> {
    /// Reads the query as engineioxide does: split at `&`, nothing decoded, the first of each
    /// parameter, and of all but `sid` only what comes before another `=`. `None`: a request that
    /// Engine.IO answers with an error at most.
    pub(crate) fn of(uri: &'a Uri) -> Option<Self> {
        let (mut version, mut transport, mut sid, mut second_sid) = (None, None, None, false);
        // In one pass over the bytes, because every request of the application comes by here.
        for pair in split(uri.query()?.as_bytes(), b'&') {
            if let Some(value) = pair.strip_prefix(b"EIO=") {
                version.get_or_insert(value);
            } else if let Some(value) = pair.strip_prefix(b"transport=") {
                transport.get_or_insert(value);
            } else if let Some(value) = pair.strip_prefix(b"sid=") {
                second_sid |= sid.replace(value).is_some();
            }
        }
        let kind = TransportKind::of(before_equals(version?), before_equals(transport?))?;
        match sid {
            None => Some(Self::Opens(kind)),
            Some(_) if second_sid => Some(Self::Ambiguous),
            // A part of a text, cut at ASCII bytes, is always text.
            Some(sid) => Some(std::str::from_utf8(sid).map_or(Self::Ambiguous, Self::Continues)),
        }
    }
}

impl TransportKind {
    fn of(version: &[u8], transport: &[u8]) -> Option<Self> {
        match (version, transport) {
            (b"3" | b"4", b"polling") => Some(Self::Polling),
            (b"3" | b"4", b"websocket") => Some(Self::WebSocket),
            _ => None,
        }
    }
}

fn before_equals(value: &[u8]) -> &[u8] {
    let end = value.iter().position(|byte| *byte == b'=');
    &value[..end.unwrap_or(value.len())]
}

/// The same request for a transport that does not exist, so that Engine.IO itself gives its answer
/// for an unknown `sid`.
pub(crate) fn with_unknown_sid(uri: &Uri) -> Uri {
    // A URI of the maximum length has no room for a longer `sid`. A malformed one is unknown, too.
    with_sid(uri, &unknown_sid())
        .or_else(|| with_sid(uri, "-"))
        .unwrap_or_default()
}

fn with_sid(uri: &Uri, sid: &str) -> Option<Uri> {
    let mut replacement = Some(format!("sid={sid}"));
    let pairs = uri.query()?.split('&').filter_map(|pair| {
        let is_sid = pair.starts_with("sid=");
        if is_sid {
            replacement.take()
        } else {
            Some(pair.to_owned())
        }
    });
    let query = pairs.collect::<Vec<_>>().join("&");
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(format!("{}?{query}", uri.path()).parse().ok()?);
    Uri::from_parts(parts).ok()
}

fn unknown_sid() -> String {
    let mut bytes = [0; SID_BYTES];
    fastrand::fill(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_as_engineioxide_reads_them() {
        let read = |query: &str| {
            let uri: Uri = format!("/any?{query}").parse().unwrap();
            match EngineRequest::of(&uri) {
                None => "none".to_owned(),
                Some(EngineRequest::Opens(TransportKind::Polling)) => "polls".to_owned(),
                Some(EngineRequest::Opens(TransportKind::WebSocket)) => "opens".to_owned(),
                Some(EngineRequest::Continues(sid)) => sid.to_owned(),
                Some(EngineRequest::Ambiguous) => "ambiguous".to_owned(),
            }
        };
        for (query, expected) in [
            ("EIO=4&transport=polling", "polls"),
            ("transport=websocket&t=abc&EIO=4", "opens"),
            ("EIO=4&transport=polling&sid", "polls"),
            ("EIO=4&transport=polling&s%69d=x", "polls"),
            ("EIO=3=&transport=polling=x&EIO=5&transport=bus", "polls"),
            ("EIO=5&EIO=4&transport=polling", "none"),
            ("EIO=4&transport=bus&sid=x&sid=y", "none"),
            ("EIO=4&transport=&sid=x", "none"),
            ("EIO=4&transport=Polling", "none"),
            ("EIO=4&transport=polling&sid=x", "x"),
            ("sid=x=y&EIO=4&transport=polling", "x=y"),
            ("EIO=4&transport=polling&sid=", ""),
            ("EIO=4&transport=polling&sid=x&sid=x", "ambiguous"),
            ("EIO=4&transport=polling&sid=x&sid=", "ambiguous"),
            ("EIO=4&sid=x", "none"),
            ("transport=polling&sid=x", "none"),
            ("EIO&transport&sid=x&sid=y", "none"),
            ("sid=x&sid=y", "none"),
            ("", "none"),
        ] {
            assert_eq!(read(query), expected, "{query}");
        }
        assert_eq!(EngineRequest::of(&Uri::from_static("/socket.io/")), None);
    }

    #[test]
    fn another_sid_is_all_that_changes() {
        for (uri, before, after) in [
            (
                "/socket.io/?EIO=4&sid=AAAAAAAAAAAAAAAA&t=1",
                "/socket.io/?EIO=4&sid=",
                "&t=1",
            ),
            ("http://a.test:80/x?sid=", "http://a.test:80/x?sid=", ""),
            ("/x?sid=a&b&sid=c&d=e", "/x?sid=", "&b&d=e"),
        ] {
            let changed = with_unknown_sid(&uri.parse().unwrap()).to_string();
            let sid = changed.strip_prefix(before).unwrap();
            let sid = sid.strip_suffix(after).unwrap();
            assert_eq!(sid.len(), 16, "{changed}");
            assert_ne!(sid, "AAAAAAAAAAAAAAAA");
        }
    }

    #[test]
    fn the_longest_uris_are_changed_too() {
        for (sids, room) in [("sid=&sid=", 0), ("sid=&sid=", 20), ("sid=abc&sid=", 4)] {
            let start = format!("/x?EIO=4&transport=polling&{sids}&a=");
            let padding = "a".repeat(usize::from(u16::MAX) - 1 - room - start.len());
            let uri: Uri = format!("{start}{padding}").parse().unwrap();
            let changed = with_unknown_sid(&uri);
            match EngineRequest::of(&changed) {
                Some(EngineRequest::Continues(sid)) => assert!(sid == "-" || sid.len() == 16),
                other => panic!("{other:?}"),
            }
            assert!(changed.query().unwrap().ends_with(&padding));
        }
    }
}
