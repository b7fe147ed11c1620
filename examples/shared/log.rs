//! The log of the examples.

use std::{env, io::stderr};

use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    fmt,
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

/// Logs to standard error what `RUST_LOG` selects, as in `socketioxide_session=debug`; else everything
/// from level info on.
pub(crate) fn init() {
    let selected = env::var("RUST_LOG").ok().and_then(|text| text.parse().ok());
    let targets = selected.unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO));
    tracing_subscriber::registry()
        .with(fmt::layer().with_writer(stderr))
        .with(targets)
        .init();
}
