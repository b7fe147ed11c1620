//! One extractor, else another.

use super::{ExtractError, SessionIdExtractor};
use crate::{handshake::Handshake, id::SessionId};

/// Tries the second extractor when the first found nothing at all; made by
/// [`SessionIdExtractor::or`].
///
/// 1. A bad credential never falls through to the next extractor.
/// 2. When nothing is found, the last one's answer is the answer.
/// 3. A [`Forbidden`](ExtractError::Forbidden) of the first (its credential is one that browsers
///    send by themselves, and the origin is wrong) is remembered: the second is still tried, and
///    only when that finds nothing either is it the answer.
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
}

#[cfg(test)]
mod tests {
    use super::{super::ForbiddenReason, *};

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
    }
}
