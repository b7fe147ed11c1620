//! Serialized origins, and the authorities that they are compared with.

use std::{fmt, net::Ipv4Addr};

/// Maximum length of an origin, in bytes: a host name has 253 at most.
const MAX_BYTES: usize = 512;

/// A scheme, a host and a port (RFC 6454 §6.2), compared without regard to case. A WebSocket's
/// scheme counts as the one of its handshake: `ws` is `http`, and `wss` is `https`.
///
/// It is parsed from text and not through `http::Uri`, which refuses schemes of applications such
/// as `capacitor://localhost`, and accepts a path and user info.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin<'a> {
    scheme: &'a str,
    /// The host and the port, as they came.
    authority: &'a str,
    host: &'a str,
    /// `None` when it is the default port of the scheme.
    port: Option<u16>,
}

impl<'a> Origin<'a> {
    /// Parses attacker-controlled text. One slash at its end is tolerated, because React Native
    /// sends it on Android.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        if text.len() > MAX_BYTES {
            return None;
        }
        // A scheme holds no colon, so the first one ends it.
        let (scheme, rest) = text.split_at(text.bytes().position(|byte| byte == b':')?);
        let authority = rest.strip_prefix("://")?;
        if !is_scheme(scheme) {
            return None;
        }
        let scheme = match scheme {
            ws if ws.eq_ignore_ascii_case("ws") => "http",
            wss if wss.eq_ignore_ascii_case("wss") => "https",
            other => other,
        };
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let (host, port) = split(authority)?;
        let port = port.filter(|port| Some(*port) != default_port(scheme));
        Some(Self {
            scheme,
            authority,
            host,
            port,
        })
    }

    /// Whether this is the origin of a server with this authority. The authority's port is dropped
    /// only when it is the default one of the *origin's* scheme: the server's own scheme is unknown
    /// behind a proxy.
    pub(super) fn has_authority(&self, authority: &str) -> bool {
        // The usual case. The same text has the same host and port.
        if authority == self.authority {
            return true;
        }
        split(authority).is_some_and(|(host, port)| {
            let port = port.filter(|port| Some(*port) != default_port(self.scheme));
            host.eq_ignore_ascii_case(self.host) && port == self.port
        })
    }

    pub(super) fn is_https(&self) -> bool {
        self.scheme.eq_ignore_ascii_case("https")
    }

    pub(super) fn is_http(&self) -> bool {
        self.scheme.eq_ignore_ascii_case("http")
    }

    /// Whether the host is this machine, which no attacker in the network can answer for.
    pub(super) fn is_loopback(&self) -> bool {
        const LOCAL: &str = ".localhost";
        let host = self.host;
        let below = host.len().checked_sub(LOCAL.len()).filter(|at| *at > 0);
        host.eq_ignore_ascii_case(&LOCAL[1..])
            || below.is_some_and(|at| host[at..].eq_ignore_ascii_case(LOCAL))
            || host == "[::1]"
            || host.parse().is_ok_and(|ip: Ipv4Addr| ip.is_loopback())
    }
}

impl PartialEq for Origin<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.scheme.eq_ignore_ascii_case(other.scheme)
            && self.host.eq_ignore_ascii_case(other.host)
            && self.port == other.port
    }
}

impl fmt::Display for Origin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, host) = (self.scheme, self.host);
        write!(
            f,
            "{}://{}",
            scheme.to_ascii_lowercase(),
            host.to_ascii_lowercase()
        )?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// Splits `host` or `host:port`. User info, white space, lists and wildcards are no host.
fn split(authority: &str) -> Option<(&str, Option<u16>)> {
    let host_end = if let Some(ipv6) = authority.strip_prefix('[') {
        ipv6.find(']')? + 2
    } else {
        let colon = authority.bytes().position(|byte| byte == b':');
        colon.unwrap_or(authority.len())
    };
    let (host, port) = authority.split_at(host_end);
    let is_host = match host.strip_prefix('[') {
        Some(ipv6) => ipv6
            .bytes()
            .all(|b| b.is_ascii_hexdigit() || b":.]".contains(&b)),
        None => host.bytes().all(|b| IS_HOST_BYTE[usize::from(b)]),
    };
    if host.is_empty() || !is_host {
        return None;
    }
    match port.strip_prefix(':') {
        None if port.is_empty() => Some((host, None)),
        None => None,
        Some(port) => {
            let canonical = port.bytes().all(|b| b.is_ascii_digit()) && !port.starts_with('0');
            Some((host, Some(port.parse().ok().filter(|_| canonical)?)))
        }
    }
}

/// Whether a byte can be part of a host name (RFC 3986 §3.2.2, without escapes and `sub-delims`).
static IS_HOST_BYTE: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = u8::MIN;
    while byte < u8::MAX {
        table[byte as usize] =
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        byte += 1;
    }
    table
};

/// RFC 3986 §3.1.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        http if http.eq_ignore_ascii_case("http") => Some(80),
        https if https.eq_ignore_ascii_case("https") => Some(443),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn same(a: &str, b: &str) -> bool {
        Origin::parse(a).is_some_and(|a| Origin::parse(b).is_some_and(|b| a == b))
    }

    #[test]
    fn texts_that_are_origins() {
        for (text, shown) in [
            ("https://a.test", "https://a.test"),
            ("HTTPS://A.Test:443/", "https://a.test"),
            ("http://a.test:80", "http://a.test"),
            ("http://a.test:443", "http://a.test:443"),
            ("wss://a.test:443", "https://a.test"),
            ("ws://a.test", "http://a.test"),
            ("http://[::1]:3000", "http://[::1]:3000"),
            ("http://my_app:3000", "http://my_app:3000"),
            ("capacitor://localhost", "capacitor://localhost"),
            (
                "chrome-extension://abcdefghij",
                "chrome-extension://abcdefghij",
            ),
            ("app://-", "app://-"),
            ("app://.", "app://."),
        ] {
            assert_eq!(Origin::parse(text).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn texts_that_are_none() {
        for text in [
            "",
            "null",
            "*",
            "a.test",
            "//a.test",
            "https://",
            "https:///",
            "https:a.test",
            "https://a.test//",
            "https://a.test/x",
            "https://a.test?x",
            "https://a.test#x",
            "https://u@a.test",
            "https://u:p@a.test",
            "https://a.test:",
            "https://a.test:99999",
            "https://a.test:080",
            "https://a.test:+80",
            "https://a.test:8x",
            "https://*.a.test",
            "https://a.test, https://b.test",
            "https://a.test https://b.test",
            "https://é.test",
            "https://a.test\\@b.test",
            "https://[::1",
            "https://[::1]x",
            "https://[a.test]",
            "1https://a.test",
            "ht tp://a.test",
            "://a.test",
            "file://",
            "file:///",
        ] {
            assert!(Origin::parse(text).is_none(), "{text}");
        }
        assert!(Origin::parse(&format!("https://{}", "a".repeat(600))).is_none());
    }

    #[test]
    fn only_this_machine_is_loopback() {
        let loopback = |host| {
            Origin::parse(&format!("http://{host}"))
                .unwrap()
                .is_loopback()
        };
        for host in [
            "localhost",
            "LocalHost:3000",
            "a.b.localhost",
            "127.0.0.1",
            "127.9.9.9:1",
            "[::1]",
        ] {
            assert!(loopback(host), "{host}");
        }
        for host in [
            "localhost.a.test",
            "alocalhost",
            ".localhost",
            "127.0.0.1.a.test",
            "127.a.test",
            "128.0.0.1",
            "[::2]",
            "0.0.0.0",
            "127.1",
            "localhost.",
        ] {
            assert!(!loopback(host), "{host}");
        }
    }

    proptest! {
        #[test]
        fn case_default_port_and_a_slash_do_not_matter(host in "[a-z]{1,8}(\\.[a-z]{1,8}){0,2}") {
            let plain = format!("https://{host}");
            prop_assert!(same(&plain, &plain.to_uppercase()));
            let (with_port, with_slash) = (format!("{plain}:443"), format!("{plain}/"));
            prop_assert!(same(&plain, &with_port) && same(&plain, &with_slash));
            prop_assert!(Origin::parse(&plain).unwrap().has_authority(&host.to_uppercase()));
            let with_port = format!("{host}:443");
            prop_assert!(Origin::parse(&plain).unwrap().has_authority(&with_port));
        }

        #[test]
        fn look_alikes_differ(
            host in "[a-z]{1,8}(\\.[a-z]{1,8}){0,2}",
            extra in "[a-z0-9.-]{1,6}",
            port in 1..=65_535_u16,
        ) {
            let plain = format!("https://{host}");
            let origin = Origin::parse(&plain).unwrap();
            let mut others = vec![
                format!("https://{host}{extra}"),
                format!("https://{extra}{host}"),
                format!("https://{host}.{extra}"),
                format!("https://{extra}.{host}"),
                format!("https://{host}."),
                format!("https://{extra}@{host}"),
                format!("https://{host}@{extra}"),
                format!("https://{extra}/{host}"),
                format!("https://{host}/{extra}"),
                format!("https://{extra}#{host}"),
                format!("https://{extra}\\{host}"),
                format!("http://{host}"),
                format!("http://{host}:443"),
                format!("httpsx://{host}"),
                format!("https:/{host}"),
                host.clone(),
            ];
            if port != 443 {
                others.push(format!("https://{host}:{port}"));
            }
            for other in others {
                prop_assert!(!same(&plain, &other), "{other}");
                let authority = other.split_once("://").map_or("", |(_, authority)| authority);
                // The same authority with another scheme is another origin of the same host.
                if authority != host && authority != format!("{host}:443") {
                    prop_assert!(!origin.has_authority(authority), "{authority}");
                }
            }
        }

        #[test]
        fn any_text_that_parses_shows_the_same_origin(text in "[ -~]{0,40}") {
            if let Some(origin) = Origin::parse(&text) {
                let shown = origin.to_string();
                prop_assert!(same(&text, &shown));
                prop_assert_eq!(Origin::parse(&shown).unwrap().to_string(), shown);
            }
        }
    }
}
