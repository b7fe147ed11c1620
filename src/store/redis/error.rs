//! What goes wrong, in the words of [`StoreError`].

use fred::error::{Error, ErrorKind};
use tokio::sync::TryAcquireError;

use crate::store::{StoreError, StoreErrorKind};

/// What a server says that can't answer now: it is loading its data, is a replica or has no master,
/// has no memory or no disk left, is busy with a script, or has too few replicas.
const NOT_NOW: [&str; 9] = [
    "LOADING",
    "READONLY",
    "CLUSTERDOWN",
    "MASTERDOWN",
    "TRYAGAIN",
    "OOM",
    "BUSY",
    "MISCONF",
    "NOREPLICAS",
];

pub(super) fn unavailable(error: Error) -> StoreError {
    let says = |code: &str| {
        let text = error.details();
        // Redis 6 puts what a script met behind words of its own.
        text.starts_with(code)
            || (text.starts_with("ERR Error running script") && text.contains(code))
    };
    let kind = match error.kind() {
        ErrorKind::Timeout => StoreErrorKind::Timeout,
        ErrorKind::IO
        | ErrorKind::Canceled
        | ErrorKind::Backpressure
        | ErrorKind::Cluster
        | ErrorKind::Sentinel
        | ErrorKind::Routing
        | ErrorKind::Auth => StoreErrorKind::Unavailable,
        // The key holds something that is no string, so it is no session.
        _ if says("WRONGTYPE") => StoreErrorKind::Decode,
        _ if NOT_NOW.into_iter().any(says) => StoreErrorKind::Unavailable,
        // fred's own words, of connections that are not there; a server's begin with a code.
        ErrorKind::Unknown if !begins_with_a_code(error.details()) => StoreErrorKind::Unavailable,
        _ => StoreErrorKind::Other,
    };
    StoreError::new(kind, error)
}

fn begins_with_a_code(text: &str) -> bool {
    let word = text.split(' ').next().unwrap_or_default();
    word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// The position in the text says enough; serde's words may quote the data.
pub(super) fn decode(error: serde_json::Error) -> StoreError {
    let (line, column) = (error.line(), error.column());
    let why = format!("no such JSON, at line {line}, column {column}");
    StoreError::new(StoreErrorKind::Decode, why)
}

pub(super) fn encode(error: serde_json::Error) -> StoreError {
    StoreError::new(StoreErrorKind::Encode, error)
}

pub(super) fn too_many(error: TryAcquireError) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, error)
}

pub(super) fn too_large(bytes: usize) -> StoreError {
    let why = format!("{bytes} bytes of JSON");
    StoreError::new(StoreErrorKind::TooLarge, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_tell_what_to_do() {
        for (kind, text, expected) in [
            (ErrorKind::Timeout, "", StoreErrorKind::Timeout),
            (
                ErrorKind::Unknown,
                "Failed to route command.",
                StoreErrorKind::Unavailable,
            ),
            (
                ErrorKind::Unknown,
                "OOM command not allowed",
                StoreErrorKind::Unavailable,
            ),
            (
                ErrorKind::Unknown,
                "NOPERM no permission",
                StoreErrorKind::Other,
            ),
            (
                ErrorKind::InvalidArgument,
                "WRONGTYPE Operation",
                StoreErrorKind::Decode,
            ),
            (
                ErrorKind::InvalidCommand,
                "ERR Error running script (call to f_1): @user_script:1: WRONGTYPE Operation",
                StoreErrorKind::Decode,
            ),
            (
                ErrorKind::InvalidCommand,
                "READONLY You can't write",
                StoreErrorKind::Unavailable,
            ),
            (
                ErrorKind::InvalidCommand,
                "ERR unknown command",
                StoreErrorKind::Other,
            ),
        ] {
            assert_eq!(
                unavailable(Error::new(kind, text)).kind(),
                expected,
                "{text}"
            );
        }
    }
}
