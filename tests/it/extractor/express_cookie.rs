//! Cookies that a real `express-session` wrote and read.

use std::collections::BTreeSet;

use cookie::SameSite;
use serde_json::Value;
use socketioxide_session::{
    SessionId, SessionIdExtractor as _,
    extractor::{CookieConfigError, ExtractError},
    interop::express::ExpressCookie,
    testing::HandshakeBuilder,
};

use crate::support::{
    check::Brings,
    server::{DynExtractor, Setup},
};

fn golden() -> Value {
    serde_json::from_str(include_str!("../../golden/express-session.json")).unwrap()
}

fn text<'a>(case: &'a Value, name: &str) -> &'a str {
    case[name].as_str().unwrap()
}

fn cookie<S: AsRef<[u8]>>(secrets: impl IntoIterator<Item = S>) -> ExpressCookie {
    ExpressCookie::new("connect.sid", secrets).unwrap()
}

/// The id that is read from `Cookie` fields. Node reads each byte of a field as one character.
fn read(cookie: &ExpressCookie, fields: &[&str]) -> Option<String> {
    let mut handshake = HandshakeBuilder::socket("/");
    for field in fields {
        let bytes: Vec<u8> = field.chars().map(|c| u8::try_from(c).unwrap()).collect();
        handshake = handshake.header("cookie", bytes);
    }
    let id = handshake.with(|handshake| cookie.extract(handshake)).ok()?;
    Some(id.expose().to_owned())
}

/// The value of a `Set-Cookie` or a `Cookie` field, as `name=value`.
fn pair_of(header: &str) -> &str {
    header.split(';').next().unwrap()
}

#[test]
fn what_express_signed_is_read_and_issued_byte_for_byte() {
    let (mut good, mut strange, mut tampered) = (0, 0, 0);
    for case in golden()["signed_cookies"].as_array().unwrap() {
        let cookie = cookie([text(case, "secret")]);
        let (header, sid) = (text(case, "cookie_header"), text(case, "sid"));
        if let Ok(id) = sid.parse::<SessionId>() {
            assert_eq!(read(&cookie, &[header]).as_deref(), Some(sid), "{header}");
            let issued = cookie.issue_header(&id);
            assert_eq!(
                pair_of(issued.to_str().unwrap()),
                pair_of(text(case, "set_cookie"))
            );
            // Unencoded, as other clients may send it, unless it then holds an escape.
            let raw = text(case, "raw");
            let expected = Some(sid).filter(|_| !raw.contains('%'));
            let unencoded = format!("connect.sid={raw}");
            assert_eq!(read(&cookie, &[&unencoded]).as_deref(), expected, "{raw}");
            good += 1;
        } else {
            // Express accepts an id that can't be one here: with spaces, `;`, `,`, `"` or beyond ASCII.
            assert_eq!(read(&cookie, &[header]), None, "{header}");
            strange += 1;
        }
        for case in case["tampered"].as_array().unwrap() {
            assert_eq!(case["accepted"], false);
            let header = text(case, "cookie_header");
            // Some secrets give signatures without `+` and `/`, which are the same in each alphabet.
            assert_eq!(read(&cookie, &[header]), None, "{}: {header}", case["why"]);
            tampered += 1;
        }
    }
    assert!(
        good >= 20 && strange >= 5 && tampered >= 500,
        "{good} {strange} {tampered}"
    );
}

#[test]
fn header_edge_cases_are_read_as_express_reads_them() {
    let mut checked = 0;
    for case in golden()["header_edge_cases"].as_array().unwrap() {
        let fields: Vec<&str> = match case["cookie_header_lines"].as_array() {
            Some(lines) => lines.iter().map(|line| line.as_str().unwrap()).collect(),
            None => vec![text(case, "cookie_header")],
        };
        let expected = match text(case, "why") {
            // A cookie that a sibling host planted before the real one must not shut the client out,
            // and an empty value counts as absent.
            "first duplicate bad, second good" | "first duplicate empty, second good" => {
                Some("0123456789abcdef0123456789abcdef")
            }
            _ => case["accepted_sid"].as_str(),
        };
        let cookie = cookie([text(case, "secret")]);
        assert_eq!(
            read(&cookie, &fields).as_deref(),
            expected,
            "{}",
            case["why"]
        );
        checked += 1;
    }
    assert_eq!(checked, 28);
}

#[test]
fn secrets_are_rotated_as_in_express() {
    for case in golden()["rotation"].as_array().unwrap() {
        let secrets = case["secrets"].as_array().unwrap();
        let cookie = cookie(secrets.iter().map(|secret| secret.as_str().unwrap()));
        let expected = case["accepted_sid"].as_str();
        let header = text(case, "cookie_header");
        assert_eq!(read(&cookie, &[header]).as_deref(), expected);
        if let Some(set_cookie) = case["set_cookie_after"].as_str() {
            let id = text(case, "sid").parse().unwrap();
            let issued = cookie.issue_header(&id);
            assert_eq!(pair_of(issued.to_str().unwrap()), pair_of(set_cookie));
        }
    }
}

#[test]
fn signatures_are_taken_off_as_in_express() {
    for case in golden()["unsign"].as_array().unwrap() {
        let cookie = cookie([text(case, "secret")]);
        let header = format!("connect.sid=s:{}", text(case, "input"));
        // An empty id is authentic, and none here.
        let expected = case["result"].as_str().filter(|id| !id.is_empty());
        assert_eq!(read(&cookie, &[&header]).as_deref(), expected, "{header}");
    }
}

/// The attributes of a `Set-Cookie` field, in no order, without those of time.
fn attributes(header: &str) -> BTreeSet<String> {
    let attributes = header
        .split(';')
        .skip(1)
        .map(|attribute| attribute.trim().to_owned());
    attributes
        .filter(|a| !a.starts_with("Expires=") && !a.starts_with("Max-Age="))
        .collect()
}

#[test]
fn issued_cookies_have_the_options_of_the_application() {
    let id: SessionId = "Rot4t10n-0123456789abcdefghijkl".parse().unwrap();
    for case in golden()["set_cookie_attributes"].as_array().unwrap() {
        let options = &case["cookie_options"];
        let mut cookie = cookie(["any"]);
        let site = &options["sameSite"];
        let same_site = if site == "none" {
            SameSite::None
        } else if site == "strict" || site == true {
            SameSite::Strict
        } else {
            SameSite::Lax
        };
        cookie = cookie.same_site(same_site).unwrap();
        if let Some(domain) = options["domain"].as_str() {
            cookie = cookie.domain(domain).unwrap();
        }
        if let Some(path) = options["path"].as_str() {
            cookie = cookie.path(path).unwrap();
        }
        if options["partitioned"] == true {
            cookie = cookie.partitioned().unwrap();
        }
        if options["secure"] != true {
            cookie = cookie.insecure_http().unwrap();
        }
        if let Some(max_age) = options["maxAge"].as_u64() {
            cookie = cookie
                .max_age(std::time::Duration::from_millis(max_age))
                .unwrap();
        }
        let mut expected = attributes(text(case, "set_cookie"));
        // Without an option, browsers take `Lax`; here it is said.
        if options["sameSite"].is_null() {
            expected.insert("SameSite=Lax".into());
        }
        // Scripts never need the cookie, so `httpOnly: false` is not offered; nor is `priority`.
        expected.insert("HttpOnly".into());
        expected.remove("Priority=High");
        let issued = cookie.issue_header(&id).to_str().unwrap().to_owned();
        assert_eq!(attributes(&issued), expected, "{options}");
        // Express says it as `Expires`; both mean the same to a browser.
        assert_eq!(
            issued.contains("Max-Age=3600"),
            options["maxAge"] == 3_600_000
        );
    }
}

#[test]
fn what_cannot_sign_is_refused() {
    let no_secrets: [&str; 0] = [];
    let refused = ExpressCookie::new("connect.sid", no_secrets).unwrap_err();
    assert_eq!(refused, CookieConfigError::NoSecret);
    let refused = ExpressCookie::new("connect.sid", ["good", ""]).unwrap_err();
    assert_eq!(refused, CookieConfigError::NoSecret);
    let refused = ExpressCookie::new("connect sid", ["good"]).unwrap_err();
    assert_eq!(refused, CookieConfigError::Name("connect sid".into()));
    let shown = format!("{:?}", cookie(["keyboard cat"]));
    assert!(shown.contains("connect.sid") && !shown.contains("keyboard"));
}

#[test]
fn several_ids_and_foreign_origins_are_as_with_every_cookie() {
    let cookie = cookie(["keyboard cat"]);
    let pair = |id: &str| {
        let issued = cookie.issue_header(&id.parse().unwrap());
        pair_of(issued.to_str().unwrap()).to_owned()
    };
    let both =
        HandshakeBuilder::socket("/").header("cookie", format!("{}; {}", pair("a"), pair("b")));
    let several = both.with(|handshake| cookie.extract(handshake));
    assert!(matches!(several, Err(ExtractError::Several(ids)) if ids.len() == 2));
    let foreign = both.origin("https://evil.example");
    foreign.with(|handshake| {
        let forbidden = cookie.extract(handshake);
        assert!(matches!(forbidden, Err(ExtractError::Forbidden(_))));
        assert_eq!(cookie.presented(handshake).len(), 2);
    });
}

#[tokio::test]
async fn a_client_of_an_express_application_is_let_in() {
    let cookie = cookie(["keyboard cat"]).insecure_http().unwrap();
    let extractor = cookie.clone();
    let setup = Setup::new().extractor(move |_, _| DynExtractor::new(extractor));
    let server = setup.start().await;
    let ann = server.login("Ann").await;
    let issued = cookie.issue_header(ann.id());
    let pair = pair_of(issued.to_str().unwrap());
    server
        .admits("encoded", &Brings::nothing().cookie(pair))
        .await;
    let plain = pair
        .replace("%3A", ":")
        .replace("%2B", "+")
        .replace("%2F", "/");
    server
        .admits("plain", &Brings::nothing().cookie(plain))
        .await;
    let forged = pair.replacen("s%3A", "s%3AA", 1);
    let forged = Brings::nothing().cookie(forged);
    server
        .refuses_unasked("forged", &forged, "NO_SESSION")
        .await;
    let nothing = Brings::nothing().cookie("connect.sid=");
    server.refuses_unasked("empty", &nothing, "NO_COOKIE").await;
}
