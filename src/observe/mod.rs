//! Observability: metrics of the `metrics` facade, and the span around an admission.
//!
//! 1. Without the feature `metrics`, everything here but the span compiles to nothing.
//! 2. Each emission looks the recorder up, because one may be installed after a bridge was built. No
//!    handle of a metric is kept.
//! 3. Labels are `&'static str` from closed sets. What clients choose (namespaces, origins) is never
//!    a label.
//! 4. An admission makes at most eight emissions.
//! 5. The recorder is called while its thread holds no lock of the crate, see [`lock`](crate::lock). So
//!    one that blocks delays the client that it was called for and no other, and one that asks a bridge
//!    for its numbers gets them.
//!
//! The names are part of the public interface, see [`docs::operation`](crate::docs::operation).

mod gauge;
mod metrics;
mod span;
mod stopwatch;
mod store_call;
pub(crate) mod target;

pub(crate) use gauge::Gauge;
pub(crate) use metrics::{
    admitted, conflict, disconnected, ended, feed_lost, not_admitted, rejected,
};
pub(crate) use span::{admission_span, identified};
pub(crate) use stopwatch::Stopwatch;
pub(crate) use store_call::StoreCall;
