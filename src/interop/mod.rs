//! Sessions of other frameworks: their cookies, beside their own programs.

pub mod express;
