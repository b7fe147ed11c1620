//! What a client can send as a credential.

mod auth_payload;
mod cookie;
mod express_cookie;
mod origin;
mod token;
