//! Times: when a token is valid, and which lifetimes can be set.

use super::{
    tests::{assert_opens, claims, id, parts, sealed, tokens},
    *,
};

#[test]
fn times_are_checked_with_leeway() {
    let tokens = tokens();
    let now = 1_000_000;
    let open = |issued, expires| {
        let token = sealed(&tokens, &claims(issued, expires));
        match tokens.open(&token, None, Some(now)) {
            Ok(_) => "opens".to_owned(),
            Err(error) => format!("{error:?}"),
        }
    };
    assert_eq!(open(now, now + 60), "opens");
    assert_eq!(open(now - 90, now - 30), "opens");
    assert_eq!(open(now - 91, now - 31), "Expired");
    assert_eq!(open(now + 30, now + 90), "opens");
    assert_eq!(open(now + 31, now + 91), "NotYetValid");
    assert_eq!(open(now, now + 3600), "opens");
    assert_eq!(open(now, now + 3601), "LifetimeTooLong");
    assert_eq!(open(now, u64::MAX), "LifetimeTooLong");
    assert_eq!(open(u64::MAX, u64::MAX), "NotYetValid");
    assert_eq!(open(now, now - 1), "Malformed");
}

#[test]
fn when_a_transport_goes_on_the_time_does_not_matter_and_all_else_does() {
    let tokens = tokens();
    let expired = sealed(&tokens, &claims(1_000_000, 1_000_060));
    let extract = |token: &str, continues: bool| {
        let parts = parts(&format!("&token={token}"));
        let handshake = Handshake::from_parts(&parts).as_opening();
        if continues {
            tokens.extract(&handshake.at(Stage::Continuing))
        } else {
            tokens.extract(&handshake)
        }
    };
    let refused = extract(&expired, false);
    assert!(matches!(
        refused,
        Err(ExtractError::Invalid(InvalidCredential::Expired))
    ));
    assert_eq!(extract(&expired, true).unwrap(), id());
    assert!(extract(&expired[..expired.len() - 1], true).is_err());
}

#[test]
fn lifetimes_are_bounded_where_they_are_issued() {
    let tokens = tokens().max_lifetime(Duration::from_secs(90)).unwrap();
    let with = |seconds| {
        let options = TokenOptions::new().lifetime(Duration::from_secs(seconds));
        tokens.issue_with(&id(), options)
    };
    assert!(with(90).is_ok());
    assert!(matches!(with(91), Err(IssueTokenError::LifetimeTooLong)));
    assert!(matches!(with(0), Err(IssueTokenError::LifetimeZero)));
    let options = TokenOptions::new().lifetime(Duration::from_millis(1));
    let short = tokens.issue_with(&id(), options).unwrap();
    assert_opens(&tokens, &short, "the-session-id");
    let never = self::tokens().lifetime(Duration::MAX).unwrap();
    assert_opens(&never, &never.issue(&id()).unwrap(), "the-session-id");
    assert_opens(&tokens, &never.issue(&id()).unwrap(), "LifetimeTooLong");
}

#[test]
fn a_default_lifetime_yields_to_one_that_is_set() {
    let seconds = Duration::from_secs;
    let short = tokens().max_lifetime(seconds(10)).unwrap();
    assert_eq!(short.lifetimes.issued(), seconds(10));
    assert_opens(&short, &short.issue(&id()).unwrap(), "the-session-id");
    let long = tokens().lifetime(seconds(7200)).unwrap();
    assert_opens(&long, &long.issue(&id()).unwrap(), "the-session-id");
    assert_eq!(tokens().lifetimes.max(), seconds(3600));
}

#[test]
fn lifetimes_that_are_zero_or_contradict_are_refused_in_either_order() {
    let (short, long) = (Duration::from_secs(10), Duration::from_secs(20));
    let zero = Err(TokenConfigError::LifetimeZero);
    assert_eq!(tokens().lifetime(Duration::ZERO).map(drop), zero);
    assert_eq!(tokens().max_lifetime(Duration::ZERO).map(drop), zero);
    let too_long = Err(TokenConfigError::LifetimeTooLong);
    let lifetime_last = tokens().max_lifetime(short).unwrap().lifetime(long);
    assert_eq!(lifetime_last.map(drop), too_long);
    let max_last = tokens().lifetime(long).unwrap().max_lifetime(short);
    assert_eq!(max_last.map(drop), too_long);
    assert!(tokens().lifetime(long).unwrap().max_lifetime(long).is_ok());
}
