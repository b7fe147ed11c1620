//! Adding a cookie to the answer, so that it lives as long as its session.

use http::{
    HeaderMap, Response,
    header::{CACHE_CONTROL, SET_COOKIE},
};

use crate::request::InFlight;

/// Adds the cookie to an answer whose head passes, if it is due.
pub(super) fn refresh<B>(response: &mut Response<B>, request: Option<&InFlight>) {
    let Some(request) = request.filter(|request| request.may_refresh()) else {
        return;
    };
    let unfit = response.status().is_server_error() || is_shared(response.headers());
    let cookie = request.refreshed_cookie(&|name| unfit || sets(response.headers(), name));
    if let Some(cookie) = cookie {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
}

/// Whether shared caches may keep the answer (RFC 9111 §5.2.2.9, §5.2.2.10).
fn is_shared(headers: &HeaderMap) -> bool {
    let values = headers.get_all(CACHE_CONTROL).into_iter();
    let directives = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    directives.into_iter().any(|directive| {
        let name = directive.split(|byte| *byte == b'=').next();
        let name = name.unwrap_or_default().trim_ascii();
        name.eq_ignore_ascii_case(b"public") || name.eq_ignore_ascii_case(b"s-maxage")
    })
}

/// Whether the answer sets the cookie of this name.
fn sets(headers: &HeaderMap, cookie: &str) -> bool {
    headers.get_all(SET_COOKIE).into_iter().any(|value| {
        let name = value.as_bytes().split(|byte| *byte == b'=').next();
        name.unwrap_or_default().trim_ascii() == cookie.as_bytes()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_for_shared_caches_are_recognized() {
        for (value, expected) in [
            ("public", true),
            ("max-age=60, PUBLIC", true),
            ("private, s-maxage=10", true),
            (" S-MaxAge = 10", true),
            ("private, max-age=60", false),
            ("no-store", false),
            ("x-public, publicity", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.append(CACHE_CONTROL, "must-revalidate".parse().unwrap());
            headers.append(CACHE_CONTROL, value.parse().unwrap());
            assert_eq!(is_shared(&headers), expected, "{value}");
        }
        assert!(!is_shared(&HeaderMap::new()));
    }

    #[test]
    fn the_own_cookie_of_an_answer_is_recognized() {
        let mut headers = HeaderMap::new();
        headers.append(SET_COOKIE, "sid2=a; Path=/".parse().unwrap());
        headers.append(SET_COOKIE, "x=sid=a".parse().unwrap());
        assert!(!sets(&headers, "sid"));
        headers.append(SET_COOKIE, " sid =; Max-Age=0".parse().unwrap());
        assert!(sets(&headers, "sid") && !sets(&headers, "SID"));
    }
}
