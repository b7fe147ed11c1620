//! One extractor, else another.

use super::{ExtractError, ForbiddenReason, SessionIdExtractor};
use crate::{handshake::Handshake, id::SessionId};

/// Tries the second extractor when the first found nothing, or was
/// [`Forbidden`](ExtractError::Forbidden); made by [`SessionIdExtractor::or`].
///
/// 1. An id, several ids and a bad credential are decisions: the second extractor is not tried. If
///    a bad credential fell through, breaking it would choose another session.
/// 2. A [`Forbidden`](ExtractError::Forbidden) of the first says that its credential, which
///    browsers send by themselves, may not be used from this origin. The second is still tried,
///    because a credential that the page sends on purpose may be. When that finds nothing, the
///    answer is the first one's.
/// 3. When nothing is found, the answer is the last one's.
/// 4. [`presented`](SessionIdExtractor::presented) returns the ids of both.
///
/// ```
/// use socketioxide_session::{
///     EncryptedToken, Keyring, SecretKey, SessionIdExtractor, SignedCookie, extractor::Or,
/// };
///
/// let keys = Keyring::new(SecretKey::generate()?);
/// let cookie = SignedCookie::new("__Host-sid", &keys)?;
/// let extractor: Or<EncryptedToken, SignedCookie> = EncryptedToken::new("token", &keys)?.or(cookie);
/// # drop(extractor);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Or<A, B> {
    first: A,
    second: B,
}

impl<A, B> Or<A, B> {
    pub(super) fn new(first: A, second: B) -> Self {
        Self { first, second }
    }
}

impl<A: SessionIdExtractor, B: SessionIdExtractor> SessionIdExtractor for Or<A, B> {
    fn extract(&self, handshake: &Handshake<'_>) -> Result<SessionId, ExtractError> {
        let nothing = match self.first.extract(handshake) {
            Err(
                nothing @ (ExtractError::NoCookie
                | ExtractError::NoToken
                | ExtractError::Forbidden(_)),
            ) => nothing,
            decided => return decided,
        };
        match (self.second.extract(handshake), nothing) {
            (
                Err(ExtractError::NoCookie | ExtractError::NoToken),
                forbidden @ ExtractError::Forbidden(_),
            ) => Err(forbidden),
            (decided, _) => decided,
        }
    }

    fn presented(&self, handshake: &Handshake<'_>) -> Vec<SessionId> {
        let mut ids = self.first.presented(handshake);
        for id in self.second.presented(handshake) {
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        ids
    }

    /// A foreign page is refused whatever credentials it adds, so both are checked.
    fn check_origin(&self, handshake: &Handshake<'_>) -> Result<(), ForbiddenReason> {
        self.first.check_origin(handshake)?;
        self.second.check_origin(handshake)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Answer = Result<&'static str, ExtractError>;

    struct Says(Answer);

    impl SessionIdExtractor for Says {
        fn extract(&self, _: &Handshake<'_>) -> Result<SessionId, ExtractError> {
            self.0.clone().map(|id| id.parse().unwrap())
        }
    }

    fn bad() -> ExtractError {
        ExtractError::invalid("bad")
    }

    fn several_ids() -> ExtractError {
        ExtractError::Several(vec!["x".parse().unwrap(), "y".parse().unwrap()])
    }

    fn forbidden() -> ExtractError {
        ForbiddenReason::NullOrigin.into()
    }

    #[track_caller]
    fn assert_answer(first: Answer, second: Answer, expected: &str) {
        let (parts, ()) = http::Request::new(()).into_parts();
        let answer = Says(first)
            .or(Says(second))
            .extract(&Handshake::from_parts(&parts));
        let answer = match answer {
            Ok(id) => id.expose().to_owned(),
            Err(error) => error.to_string(),
        };
        assert_eq!(answer, expected);
    }

    #[test]
    fn only_nothing_at_all_falls_through() {
        use ExtractError::{NoCookie, NoToken};
        assert_answer(Ok("a"), Ok("b"), "a");
        assert_answer(Err(NoToken), Ok("b"), "b");
        assert_answer(Err(NoCookie), Ok("b"), "b");
        assert_answer(Err(bad()), Ok("b"), "invalid credential");
        assert_answer(Err(NoToken), Err(bad()), "invalid credential");
        assert_answer(Err(NoToken), Err(NoCookie), "no session cookie");
        assert_answer(Err(NoCookie), Err(NoToken), "no session token");
        assert_answer(Err(forbidden()), Ok("b"), "b");
        assert_answer(Err(forbidden()), Err(NoToken), "forbidden");
        assert_answer(Err(forbidden()), Err(bad()), "invalid credential");
        assert_answer(Err(NoToken), Err(forbidden()), "forbidden");
        let several = "several credentials for distinct sessions";
        assert_answer(Err(several_ids()), Ok("b"), several);
        assert_answer(Err(NoToken), Err(several_ids()), several);
        assert_answer(Err(forbidden()), Err(several_ids()), several);
    }

    #[test]
    fn all_ids_are_presented_once() {
        let (parts, ()) = http::Request::new(()).into_parts();
        let handshake = Handshake::from_parts(&parts);
        let presented = |first: Answer, second: Answer| {
            let ids = Says(first).or(Says(second)).presented(&handshake);
            let ids: Vec<_> = ids.iter().map(|id| id.expose().to_owned()).collect();
            ids.join(" ")
        };
        assert_eq!(presented(Ok("a"), Ok("b")), "a b");
        assert_eq!(presented(Ok("a"), Ok("a")), "a");
        assert_eq!(presented(Err(bad()), Ok("b")), "b");
        assert_eq!(presented(Err(several_ids()), Ok("y")), "x y");
        assert_eq!(presented(Err(forbidden()), Err(ExtractError::NoToken)), "");
    }

    #[test]
    fn a_pointer_to_an_extractor_is_one() {
        let (parts, ()) = http::Request::new(()).into_parts();
        let handshake = Handshake::from_parts(&parts);
        let boxed: Box<dyn SessionIdExtractor> = Box::new(Says(Err(ExtractError::NoToken)));
        let shared: std::sync::Arc<dyn SessionIdExtractor> =
            std::sync::Arc::new(boxed.or(Says(Err(several_ids()))));
        assert_eq!(shared.presented(&handshake).len(), 2);
        assert!(matches!(
            shared.extract(&handshake),
            Err(ExtractError::Several(_))
        ));
    }
}
