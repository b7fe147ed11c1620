//! Keeps what a node knows of its live sessions current.
//!
//! | noun | meaning |
//! |---|---|
//! | entry | one session on this node; handles, sockets and calls under way hold it |
//! | registry | the entries by id; it keeps none of them alive |
//! | watched, live | an entry with sockets, or with callers that wait for its end or a change |
//! | fresh, stale | what is known can be relied on without a load, or can't |
//! | invalidate | a report, or a write of unknown outcome, makes an entry stale |
//! | feed, epoch | the store's reports; a new epoch begins whenever some may have been lost |
//! | turn | the right to call the store for a session and to learn from the answer |
//! | check | a load by the worker: after a report, at a deadline, or periodically |
//! | pace | the minimum interval between checks of a session whose reports find nothing new |
//! | worker | the background task that schedules checks, touches and owed deletions |
//! | owed | a deletion that the store has not confirmed |
//! | retired, inert | a socket of an ended session: out of its rooms, disconnected until it is gone |
//! | seat | the place of a socket in its namespace, by which rooms and disconnects go |
//!
//! Rules:
//!
//! 1. Attach first, then load, then join the room, then look whether the session ended: nothing is
//!    admitted in between (`attachment`).
//! 2. All that is known of a session is one small state under one lock (`state`, `entry`).
//! 3. One store call of a session at a time is learned from (`load`, `update`, `rotate`, `turn`).
//!    An end never waits for it (`end`), and is owed until the store confirms it (`owed`).
//! 4. One worker schedules, and never runs user code (`worker`, `queue`, `timers`). Disconnect
//!    handlers and end hooks run elsewhere (`retire`).
//!
//! A logout on another node: the feed reports the id → `worker::reported` → `core::invalidate` queues an
//! urgent check → `load` finds no session → `end::finish` marks it as ended and hands its sockets to
//! `retire`, which takes them out of their rooms and disconnects each one.

mod activity;
#[cfg(test)]
mod activity_tests;
mod attachment;
#[cfg(test)]
mod callback_tests;
mod clock;
mod config;
mod core;
mod disconnect;
mod end;
#[cfg(test)]
mod end_tests;
mod entry;
mod failed;
mod feed;
mod fetch;
mod inert;
mod life;
mod load;
mod load_error;
#[cfg(test)]
mod load_tests;
mod loading;
mod look;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod overload_tests;
mod owed;
#[cfg(test)]
mod owed_tests;
mod pace;
mod queue;
mod reason;
mod registry;
mod retire;
#[cfg(test)]
mod retire_tests;
mod rotate;
#[cfg(test)]
mod rotation_tests;
mod sessions;
mod snapshot;
mod socket;
mod state;
#[cfg(test)]
mod tests_support;
mod throttle;
mod timers;
mod touch_every;
mod turn;
#[cfg(test)]
mod turn_tests;
mod update;
mod update_error;
mod users;
mod view;
mod waiting;
mod worker;
#[cfg(test)]
mod worker_tests;

pub(crate) use attachment::Attachment;
pub(crate) use config::{Config, MaxLifetime, TtlOf, Verify, VerifyError};
pub(crate) use disconnect::Disconnect;
pub(crate) use load_error::LoadError;
pub use reason::EndReason;
pub(crate) use sessions::LiveSessions;
pub(crate) use socket::{LiveSocket, Presence, Seat};
pub(crate) use touch_every::TouchEvery;
pub use update_error::{TryUpdateError, UpdateError};
pub(crate) use users::user_room;
pub(crate) use view::View;
