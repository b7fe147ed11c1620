//! The transports of Socket.IO.

mod binding;
mod requests;
