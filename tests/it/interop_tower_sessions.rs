//! The sessions of tower-sessions and axum-login, with the real crates.

mod app;
mod cookies;
mod requests;
mod store;
mod view;

use futures_util::FutureExt as _;
use socketioxide_session::{
    SessionId,
    store::{Change, Changes},
};
use tower_sessions_0_14::session::Id;

fn session_id(id: Id) -> SessionId {
    id.to_string().parse().unwrap()
}

/// The ids that were reported until now, since the last call.
fn reported(changes: &mut Changes) -> Vec<SessionId> {
    let mut ids = Vec::new();
    while let Some(Some(change)) = changes.next().now_or_never() {
        match change {
            Change::Session(id) => ids.push(id),
            other => panic!("unexpected {other:?}"),
        }
    }
    ids
}
