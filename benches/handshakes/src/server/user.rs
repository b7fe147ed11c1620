//! The data of every session: about 260 bytes of JSON.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct User {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) email: String,
    pub(super) roles: Vec<String>,
    pub(super) visits: u32,
    pub(super) note: String,
}

impl User {
    pub(super) fn nth(n: usize) -> Self {
        Self {
            id: n as u64,
            name: format!("Ann Example {n:05}"),
            email: format!("ann.example.{n:05}@example.com"),
            roles: ["reader", "writer", "moderator"].map(String::from).to_vec(),
            visits: 7,
            note: "x".repeat(92),
        }
    }
}
