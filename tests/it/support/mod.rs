//! A real server, and clients that speak to it in bytes of their own.

pub(crate) mod check;
#[cfg(feature = "redis")]
pub(crate) mod line;
pub(crate) mod log;
pub(crate) mod mounted;
pub(crate) mod polling;
#[cfg(feature = "redis")]
pub(crate) mod ports;
pub(crate) mod read_only;
#[cfg(feature = "redis")]
pub(crate) mod redis;
pub(crate) mod server;
pub(crate) mod socket;
pub(crate) mod user_model;
pub(crate) mod users;

use std::{future::Future, time::Duration};

/// Longer than anything that works takes, on a machine that is busy with something else.
const DEADLINE: Duration = Duration::from_mins(1);

/// Waits for something that must happen.
pub(crate) async fn soon<R>(what: &str, happens: impl Future<Output = R>) -> R {
    let happened = tokio::time::timeout(DEADLINE, happens).await;
    happened.unwrap_or_else(|_| panic!("never happened: {what}"))
}

/// Waits until something is so.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    soon(what, async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}
