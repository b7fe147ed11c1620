//! The layer, and sessions in HTTP requests.

mod between;
mod mounting;
mod refresh_cookie;
mod requests;
mod sign_in;
