//! The integration tests, in one binary.

mod auth_payload;
mod conformance;
mod cookie;
mod extractors;
mod http;
mod imports;
mod live;
mod logged_in_socket;
mod origin;
mod soak;
mod store_faults;
mod support;
mod token;
