//! Requests that pass through the tower layer.

mod answer;
mod in_flight;
mod layered;
mod refresh;

pub(crate) use in_flight::InFlight;
pub(crate) use layered::{LayeredRequest, TakenFor};
pub(crate) use refresh::CookieRefresh;
