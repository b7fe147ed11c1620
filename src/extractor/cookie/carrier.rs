//! The common part of all cookies that carry a session id.

use std::borrow::Cow;

use cookie::{Cookie, SameSite};
use http::HeaderValue;

#[cfg(any(feature = "tower-sessions-0-14", feature = "tower-sessions-0-15"))]
use super::ids;
use super::{
    CookieConfigError,
    attributes::{CookieAttributes, Scope},
    ids::Ids,
};
use crate::{
    extractor::{ExtractError, ForbiddenReason, InvalidCredential, OriginPolicy},
    handshake::Handshake,
    id::SessionId,
};

/// A cookie that carries a session id: its name, the origins that may use it, and its attributes.
/// Each kind of cookie has its own way to verify a value.
#[derive(Debug, Clone)]
pub(crate) struct CookieCarrier {
    name: Cow<'static, str>,
    origin: OriginPolicy,
    attributes: CookieAttributes,
}

impl CookieCarrier {
    pub(crate) fn new(name: Cow<'static, str>) -> Result<Self, CookieConfigError> {
        if name.is_empty() || !name.bytes().all(is_name_byte) {
            return Err(CookieConfigError::Name(name.into_owned()));
        }
        Ok(Self {
            name,
            origin: OriginPolicy::same_origin(),
            attributes: CookieAttributes::default(),
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether pages of the request's origin may use the cookie.
    pub(crate) fn check_origin(&self, handshake: &Handshake<'_>) -> Result<(), ForbiddenReason> {
        self.origin.check_cookie(handshake, self.attributes.secure)
    }

    /// The one id, from an origin that may use it.
    ///
    /// `verify` gets a value without quotes and escapes, of at most 1,024 bytes.
    pub(crate) fn extract(
        &self,
        handshake: &Handshake<'_>,
        verify: impl Fn(&[u8]) -> Result<SessionId, InvalidCredential>,
    ) -> Result<SessionId, ExtractError> {
        self.check_origin(handshake)?;
        match Ids::search(handshake, &self.name, verify)? {
            Ids::One(id) => Ok(id),
            Ids::Several(ids) => Err(ExtractError::Several(ids)),
        }
    }

    /// The id in the last value, whatever the others are, from an origin that may use it.
    #[cfg(any(feature = "tower-sessions-0-14", feature = "tower-sessions-0-15"))]
    pub(crate) fn extract_last(
        &self,
        handshake: &Handshake<'_>,
        verify: impl Fn(&[u8]) -> Result<SessionId, InvalidCredential>,
    ) -> Result<SessionId, ExtractError> {
        self.check_origin(handshake)?;
        self.last(handshake, verify)
    }

    /// The id in the last value, from any origin.
    #[cfg(any(feature = "tower-sessions-0-14", feature = "tower-sessions-0-15"))]
    pub(crate) fn last(
        &self,
        handshake: &Handshake<'_>,
        verify: impl Fn(&[u8]) -> Result<SessionId, InvalidCredential>,
    ) -> Result<SessionId, ExtractError> {
        ids::last(handshake, &self.name, verify)
    }

    /// All authentic ids, from any origin.
    pub(crate) fn presented(
        &self,
        handshake: &Handshake<'_>,
        verify: impl Fn(&[u8]) -> Result<SessionId, InvalidCredential>,
    ) -> Vec<SessionId> {
        match Ids::search(handshake, &self.name, verify) {
            Ok(Ids::One(id)) => vec![id],
            Ok(Ids::Several(ids)) => ids,
            Err(_) => Vec::new(),
        }
    }

    pub(crate) fn issue(&self, value: &str) -> Cookie<'static> {
        self.attributes.issue(&self.name, value)
    }

    pub(crate) fn removal(&self) -> Cookie<'static> {
        self.attributes.removal(&self.name)
    }

    pub(crate) fn removal_headers(&self) -> Vec<HeaderValue> {
        let removals = self.attributes.removals(&self.name);
        removals.map(|cookie| header(&cookie)).collect()
    }

    /// Duration for which a browser keeps the cookie.
    pub(crate) fn max_age(&self) -> Option<std::time::Duration> {
        self.attributes.max_age?.try_into().ok()
    }

    pub(crate) fn set_origin_policy(&mut self, policy: OriginPolicy) {
        self.origin = policy;
    }

    pub(crate) fn origin_policy(&self) -> &OriginPolicy {
        &self.origin
    }

    pub(crate) fn is_secure(&self) -> bool {
        self.attributes.secure
    }

    pub(crate) fn set_domain(&mut self, domain: &str) -> Result<(), CookieConfigError> {
        self.change(|attributes| attributes.scope.set_domain(domain))
    }

    pub(crate) fn set_path(&mut self, path: &str) -> Result<(), CookieConfigError> {
        self.change(|attributes| attributes.scope.set_path(path))
    }

    pub(crate) fn set_same_site(&mut self, same_site: SameSite) -> Result<(), CookieConfigError> {
        self.change(|attributes| {
            attributes.same_site = same_site;
            Ok(())
        })
    }

    pub(crate) fn set_partitioned(&mut self) -> Result<(), CookieConfigError> {
        self.change(|attributes| {
            attributes.partitioned = true;
            Ok(())
        })
    }

    pub(crate) fn set_insecure(&mut self) -> Result<(), CookieConfigError> {
        self.change(|attributes| {
            attributes.secure = false;
            Ok(())
        })
    }

    pub(crate) fn set_max_age(
        &mut self,
        max_age: std::time::Duration,
    ) -> Result<(), CookieConfigError> {
        // Less than a second would be written as `Max-Age=0`, which removes the cookie.
        if max_age.as_secs() == 0 {
            return Err(CookieConfigError::MaxAge);
        }
        let max_age = max_age.try_into().map_err(|_| CookieConfigError::MaxAge)?;
        self.attributes.max_age = Some(max_age);
        Ok(())
    }

    pub(crate) fn add_former_scope(
        &mut self,
        domain: Option<&str>,
        path: &str,
    ) -> Result<(), CookieConfigError> {
        let mut scope = Scope::default();
        scope.set_path(path)?;
        if let Some(domain) = domain {
            scope.set_domain(domain)?;
        }
        self.change(|attributes| {
            attributes.former.push(scope);
            Ok(())
        })
    }

    /// Changes the attributes, and checks them together: so the order of the calls does not matter.
    fn change(
        &mut self,
        change: impl FnOnce(&mut CookieAttributes) -> Result<(), CookieConfigError>,
    ) -> Result<(), CookieConfigError> {
        let mut attributes = self.attributes.clone();
        change(&mut attributes)?;
        self.attributes = attributes.checked(&self.name)?;
        Ok(())
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// A cookie as the value of a `Set-Cookie` field.
pub(crate) fn header(cookie: &Cookie<'_>) -> HeaderValue {
    HeaderValue::try_from(cookie.to_string())
        .expect("names, values and attributes of cookies were checked to be visible ASCII")
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::testing::HandshakeBuilder;

    fn carrier() -> CookieCarrier {
        CookieCarrier::new("sid".into()).unwrap()
    }

    /// Accepts `good-…`; counts how often it is called.
    fn search(header: &str) -> (String, usize) {
        let calls = Cell::new(0);
        let verify = |value: &[u8]| {
            calls.set(calls.get() + 1);
            if !value.starts_with(b"good-") {
                return Err(InvalidCredential::NotAuthentic);
            }
            SessionId::from_bytes(value).map_err(InvalidCredential::Id)
        };
        let handshake = HandshakeBuilder::socket("/").header("cookie", header);
        handshake.with(|handshake| {
            let extracted = carrier().extract(handshake, verify);
            let calls = calls.get();
            let presented = carrier().presented(handshake, verify);
            let presented = presented.iter().map(SessionId::expose).collect::<Vec<_>>();
            let text = match extracted {
                Ok(id) => {
                    assert_eq!(presented, [id.expose()]);
                    id.expose().to_owned()
                }
                Err(ExtractError::Several(ids)) => {
                    let ids = ids.iter().map(SessionId::expose).collect::<Vec<_>>();
                    assert_eq!(presented, ids);
                    ids.join(" ")
                }
                Err(ExtractError::Invalid(invalid)) => {
                    assert!(presented.is_empty());
                    format!("{invalid:?}")
                }
                Err(other) => format!("{other:?}"),
            };
            (text, calls)
        })
    }

    #[test]
    fn distinct_ids_are_all_returned_in_either_order() {
        assert_eq!(search("sid=good-a").0, "good-a");
        assert_eq!(search("sid=good-a; sid=good-a").0, "good-a");
        assert_eq!(search("sid=good-a; sid=good-b").0, "good-a good-b");
        assert_eq!(search("sid=good-b; sid=good-a").0, "good-b good-a");
        let three = "sid=good-a; sid=x; sid=good-b; sid=\"good-a\"; sid=good%2Dc";
        assert_eq!(search(three).0, "good-a good-b good-c");
        assert_eq!(search("sid=x; sid=good-a; sid=y").0, "good-a");
        assert_eq!(search("sid=x; sid=y").0, "NotAuthentic");
        assert_eq!(search("sid=; sid=\"\"; other=good-a").0, "NoCookie");
    }

    #[test]
    fn up_to_eight_values_are_verified_and_of_nine_none() {
        let foreign = |count| "sid=x; ".repeat(count) + "sid=good-a";
        assert_eq!(search(&foreign(7)), ("good-a".into(), 8));
        assert_eq!(search(&foreign(8)), ("TooMany".into(), 0));
        // Empty ones don't count.
        let header = "sid=; ".repeat(20) + &foreign(7);
        assert_eq!(search(&header).0, "good-a");
    }

    #[test]
    fn sizes_come_before_verification() {
        let long = format!("sid={}", "x".repeat(1025));
        assert_eq!(search(&long), ("TooLarge".into(), 0));
        let header = format!("a={}; sid=good-a", "x".repeat(65_536));
        let (answer, calls) = search(&header);
        assert!(answer.contains("bytes: 65550"), "{answer}");
        assert_eq!(calls, 0);
        assert_eq!(search("sid=good%").0, "Malformed");
    }

    #[test]
    fn the_origin_matters_to_extract_and_not_to_presented() {
        let handshake = HandshakeBuilder::socket("/")
            .cookie("sid", "good-a")
            .origin("https://evil.example");
        handshake.with(|handshake| {
            let verify = |value: &[u8]| SessionId::from_bytes(value).map_err(InvalidCredential::Id);
            let extracted = carrier().extract(handshake, verify);
            assert!(matches!(extracted, Err(ExtractError::Forbidden(_))));
            assert_eq!(carrier().presented(handshake, verify).len(), 1);
        });
    }
}
