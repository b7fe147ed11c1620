//! Requests that pass through the tower layer.

mod answer;
mod in_flight;
mod layered;

pub(crate) use in_flight::InFlight;
pub(crate) use layered::{LayeredRequest, TakenFor};
