//! Sessions that stay current while their sockets live.

mod activity;
mod admission;
mod bridges;
mod changes;
mod ends;
mod leaving;
mod outage;
mod retire;
mod rotation;
mod soak;

use std::time::Duration;

use socketioxide_session::bridge::SessionBridgeBuilder;

use crate::support::server::{Server, Setup, User};

/// Periodic checks that come soon.
fn quick(bridge: SessionBridgeBuilder<User>) -> SessionBridgeBuilder<User> {
    bridge.revalidate_every(Duration::from_millis(50))
}

async fn quick_server() -> Server {
    Setup::new().say_why().bridge(quick).start().await
}

fn user(name: &str) -> User {
    User {
        name: name.into(),
        visits: 0,
    }
}
