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

/// The guide is compiled, the README's lines are not.
#[test]
fn the_readme_adds_the_lines_of_the_guide() {
    let (readme, guide) = (
        include_str!("../../../../README.md"),
        include_str!("../../../../src/docs/tower_sessions.md"),
    );
    let diff = readme
        .split("```")
        .find_map(|block| block.strip_prefix("diff\n"));
    let code = |line: &'static str| line.split("//").next().unwrap_or_default().trim_end();
    let guide: Vec<&str> = guide.lines().map(code).collect();
    let lines = diff.unwrap().lines();
    let lines: Vec<&str> = lines
        .map(|line| line.get(1..).unwrap_or_default())
        .collect();
    for line in &lines {
        assert!(guide.contains(line), "{line}");
    }
    assert!(lines.len() > 10);
}
