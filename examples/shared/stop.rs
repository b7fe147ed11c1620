//! The end of the process.

use tokio::signal::ctrl_c;

/// Completes with Ctrl-C, or with the SIGTERM of Docker, Kubernetes and systemd.
pub(crate) async fn requested() {
    tokio::select! {
        _ = ctrl_c() => {}
        () = terminated() => {}
    }
}

#[cfg(unix)]
async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};

    match signal(SignalKind::terminate()) {
        Ok(mut signals) => drop(signals.recv().await),
        Err(error) => {
            tracing::warn!(%error, "only Ctrl-C stops the server gracefully");
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(not(unix))]
async fn terminated() {
    std::future::pending::<()>().await;
}
