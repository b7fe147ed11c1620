//! The bridge, which ties extractor, store and live sessions together.

mod activity;
mod operation;
mod read_only;
mod users;
mod verify;
