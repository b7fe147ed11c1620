//! All sessions of a user.

mod by_id;
mod ends;
mod model;
mod rooms;
mod store;
