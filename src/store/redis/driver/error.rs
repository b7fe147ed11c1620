//! A failed command, whatever the library.

use std::error::Error;

/// Codes of a server that is reachable and can't run the command now: it has no memory or no disk
/// left, is busy with a script, or has too few replicas.
const NOT_NOW: [&str; 5] = ["OOM", "BUSY", "MISCONF", "NOREPLICAS", "TRYAGAIN"];
/// Codes of a server that is starting, or of a cluster that is not complete.
const STARTING: [&str; 2] = ["LOADING", "CLUSTERDOWN"];
/// Codes of a replica.
const DEMOTED: [&str; 2] = ["READONLY", "MASTERDOWN"];
/// Texts of a command that the user may not run, or that the server does not have. The last four are
/// those of scripts, by Redis 6 and 7, by Redis 8 and Valkey, and by all of them.
const DENIED: [&str; 8] = [
    "NOPERM",
    "NOPROTO",
    "ERR unknown command",
    "ERR unknown subcommand",
    "can't run this command",
    CANT_ACCESS,
    "ACL failure in script",
    "Unknown Redis command called from",
];
/// The text of a script that uses a key that the user may not use, by Redis 6 and 7.
const CANT_ACCESS: &str = "can't access at least one of the keys";
/// In the texts of a refusal because of keys, by all servers. Those because of a command contain `run`.
const ACCESS: &str = " access ";
/// Text in a reply that the arguments of the command follow: ids, data, or a password.
const ARGUMENTS: &str = ", with args beginning with";

/// A failed command.
#[derive(Debug)]
pub(in crate::store::redis) struct DriverError {
    failure: Failure,
    cause: Box<dyn Error + Send + Sync>,
}

/// The kinds of [`DriverError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store::redis) enum Failure {
    /// No answer in time.
    Timeout,
    /// There is no connection, or it broke.
    Disconnected,
    /// The password is wrong or missing.
    Auth,
    /// The user may not run the command, or the server does not have it.
    Denied,
    /// The server is a replica.
    Demoted,
    /// The server is starting, or the cluster is not complete.
    Starting,
    /// The server can't run the command now.
    NotNow,
    /// The key holds another type.
    WrongType,
    /// Anything else.
    Other,
}

impl DriverError {
    pub(super) fn new(failure: Failure, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let cause = cause.into();
        Self { failure, cause }
    }

    /// An error reply of the server.
    pub(in crate::store::redis) fn reply(text: &str) -> Self {
        let text = text.split(ARGUMENTS).next().unwrap_or_default();
        Self::new(failure_of(text), text)
    }

    pub(in crate::store::redis) fn timeout() -> Self {
        Self::new(Failure::Timeout, "no answer in time")
    }

    pub(in crate::store::redis) fn failure(&self) -> Failure {
        self.failure
    }

    /// Whether the server sent a reply, so that it is reachable.
    pub(in crate::store::redis) fn is_reply(&self) -> bool {
        !matches!(self.failure, Failure::Timeout | Failure::Disconnected)
    }

    /// Whether the user may not use the keys of the command, rather than the command.
    pub(in crate::store::redis) fn is_about_keys(&self) -> bool {
        self.failure == Failure::Denied && self.cause.to_string().contains(ACCESS)
    }

    pub(in crate::store::redis) fn into_cause(self) -> Box<dyn Error + Send + Sync> {
        self.cause
    }

    pub(in crate::store::redis) fn cause(&self) -> &(dyn Error + 'static) {
        &*self.cause
    }
}

fn failure_of(text: &str) -> Failure {
    // Redis 6 puts the error of a script behind a text of its own.
    let in_script = text.starts_with("ERR Error running script");
    let is = |code: &&str| text.starts_with(code) || (in_script && text.contains(code));
    if is(&"WRONGTYPE") {
        Failure::WrongType
    } else if ["NOAUTH", "WRONGPASS"].iter().any(is) {
        Failure::Auth
    } else if DEMOTED.iter().any(is) {
        Failure::Demoted
    } else if STARTING.iter().any(is) {
        Failure::Starting
    } else if NOT_NOW.iter().any(is) {
        Failure::NotNow
    } else if DENIED
        .iter()
        .any(|denied| is(denied) || text.contains(denied))
    {
        Failure::Denied
    } else {
        Failure::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_classified_by_their_code() {
        for (text, expected) in [
            ("OOM command not allowed", Failure::NotNow),
            (
                "LOADING Redis is loading the dataset in memory",
                Failure::Starting,
            ),
            (
                "READONLY You can't write against a read only replica.",
                Failure::Demoted,
            ),
            ("MASTERDOWN Link with MASTER is down", Failure::Demoted),
            (
                "NOPERM User app has no permissions to run the 'ping' command",
                Failure::Denied,
            ),
            ("ERR unknown command 'HELLO'", Failure::Denied),
            (
                "ERR The user executing the script can't run this command or subcommand script: f_1",
                Failure::Denied,
            ),
            (
                "ERR ACL failure in script: User app has no permissions to run the 'pexpire' command",
                Failure::Denied,
            ),
            ("WRONGTYPE Operation against a key", Failure::WrongType),
            (
                "ERR Error running script (call to f_1): @user_script:1: WRONGTYPE Operation",
                Failure::WrongType,
            ),
            (
                "ERR Error running script (call to f_1): @user_script:5: -READONLY You can't write",
                Failure::Demoted,
            ),
            ("WRONGPASS invalid username-password pair", Failure::Auth),
            ("ERR syntax error", Failure::Other),
        ] {
            let error = DriverError::reply(text);
            assert_eq!(error.failure(), expected, "{text}");
            assert!(error.is_reply());
        }
        assert!(!DriverError::timeout().is_reply());
    }

    #[test]
    fn a_refusal_because_of_keys_is_told_from_one_of_a_command() {
        for (text, of_keys) in [
            ("NOPERM No permissions to access a key", true),
            (
                "NOPERM this user has no permissions to access one of the keys used as arguments",
                true,
            ),
            (
                "ERR The user executing the script can't access at least one of the keys mentioned in the \
                 command arguments script: f_1",
                true,
            ),
            (
                "NOPERM User app has no permissions to run the 'keys' command",
                false,
            ),
            (
                "ERR The user executing the script can't run this command or subcommand script: f_1",
                false,
            ),
        ] {
            let error = DriverError::reply(text);
            assert_eq!(error.failure(), Failure::Denied, "{text}");
            assert_eq!(error.is_about_keys(), of_keys, "{text}");
        }
    }

    #[test]
    fn the_arguments_of_an_unknown_command_are_left_out() {
        let error = DriverError::reply(
            "ERR unknown command 'HELLO', with args beginning with: '3' 'AUTH' 'default' 'hunter2'",
        );
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}
