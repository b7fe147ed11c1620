//! What goes wrong, in the words of [`StoreError`].

use fred::error::{Error, ErrorKind};

use crate::store::{StoreError, StoreErrorKind};

pub(super) fn unavailable(error: Error) -> StoreError {
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
        _ if error.details().starts_with("WRONGTYPE") => StoreErrorKind::Decode,
        // The server is loading its data, is a replica, or has no master.
        _ if [
            "LOADING",
            "READONLY",
            "CLUSTERDOWN",
            "MASTERDOWN",
            "TRYAGAIN",
        ]
        .iter()
        .any(|start| error.details().starts_with(start)) =>
        {
            StoreErrorKind::Unavailable
        }
        _ => StoreErrorKind::Other,
    };
    StoreError::new(kind, error)
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

pub(super) fn too_large(bytes: usize) -> StoreError {
    let why = format!("{bytes} bytes of JSON");
    StoreError::new(StoreErrorKind::TooLarge, why)
}
