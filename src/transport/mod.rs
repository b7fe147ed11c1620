//! Engine.IO transports: whose one is, and how often it asks.
//!
//! 1. While a client polls, its transport is a `sid` in the URL, and whoever knows that can read its
//!    packets and send in its name. So a polling transport that is opened with a session's credential
//!    is [bound](Transports::bind) to that session, before anybody can know its `sid`: all further
//!    requests must bring a credential of the session, too.
//! 2. A client that is refused keeps its transport, and may ask to connect again and again. A
//!    [`Budget`] bounds how often that asks the store.

mod binding;
mod budget;
mod engine;

use std::sync::OnceLock;

pub(crate) use binding::Transports;
pub(crate) use budget::{Budget, Spent};
pub(crate) use engine::{EngineRequest, TransportKind, sid_of_open_packet, with_unknown_sid};

/// One transport, as long as its opening request is kept. There is one for each request, so it is
/// small.
pub(crate) struct Transport<T> {
    pub(crate) budget: Budget,
    binding: OnceLock<Box<binding::Binding<T>>>,
}

impl<T> Default for Transport<T> {
    fn default() -> Self {
        Self {
            budget: Budget::default(),
            binding: OnceLock::new(),
        }
    }
}
