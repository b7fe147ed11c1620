//! Credentials that a client can send.

mod auth_payload;
mod cookie;
mod express_cookie;
mod origin;
mod token;
