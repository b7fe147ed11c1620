//! For stores of tower-sessions-core 0.14: tower-sessions 0.14, axum-login 0.18,
//! tower-sessions-sqlx-store 0.15, tower-sessions-redis-store 0.16.
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

use tower_sessions_core_0_14 as core;

pub use record_view::RecordView;
pub use reporting_store::ReportingStore;
