//! For stores of tower-sessions-core 0.15: tower-sessions 0.15.
//!
//! The types of both versions have the same names, methods and behaviour.

#[allow(
    clippy::duplicate_mod,
    reason = "the two versions have the same trait, on types that differ"
)]
#[path = "versioned/record_view.rs"]
mod record_view;
#[allow(clippy::duplicate_mod, reason = "as above")]
#[path = "versioned/reporting_store.rs"]
mod reporting_store;

use tower_sessions_core_0_15 as core;

pub use record_view::RecordView;
pub use reporting_store::ReportingStore;
