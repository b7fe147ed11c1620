//! The guides of the documentation, compiled and run as documentation tests. They are here because
//! they use more crates than the crate itself depends on.

#![cfg(doctest)]

#[doc = include_str!("../../README.md")]
struct Readme;

#[doc = include_str!("../../src/docs/clients.md")]
struct Clients;

#[doc = include_str!("../../src/docs/deployment.md")]
struct Deployment;

#[cfg(feature = "redis")]
#[doc = include_str!("../../src/docs/express.md")]
struct Express;

#[doc = include_str!("../../src/docs/extending.md")]
struct Extending;

#[doc = include_str!("../../src/docs/lifetimes.md")]
struct Lifetimes;

#[doc = include_str!("../../src/docs/nodes.md")]
struct Nodes;

#[doc = include_str!("../../src/docs/operation.md")]
struct Operation;

#[doc = include_str!("../../src/docs/sockets.md")]
struct Sockets;

#[doc = include_str!("../../src/docs/tower_sessions.md")]
struct TowerSessions;

#[doc = include_str!("../../src/docs/troubleshooting.md")]
struct Troubleshooting;

#[doc = include_str!("../../src/docs/users.md")]
struct Users;
