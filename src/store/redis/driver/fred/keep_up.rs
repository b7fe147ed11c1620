//! Clients that stay connected for as long as a store uses them.

use std::time::Duration;

use fred::{
    clients::Client, error::Error, interfaces::ClientLike as _, types::ConnectHandle,
    types::config::PerformanceConfig,
};
use tokio::sync::watch;

use crate::observe::target;

/// Timeout for closing a connection.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// Delay before fred's task is started again.
const RESTART_DELAY: Duration = Duration::from_millis(500);

/// Starts fred's task again whenever it ends: without it, every command would time out from then on.
/// Closes the client once the sender of `in_use` is dropped.
pub(super) async fn keep_up(
    client: Client,
    performance: PerformanceConfig,
    mut task: ConnectHandle,
    mut in_use: watch::Receiver<()>,
) {
    loop {
        tokio::select! {
            _ = in_use.changed() => {
                close(client).await;
                task.abort();
                return;
            }
            ended = &mut task => {
                let error = ended.ok().and_then(Result::err);
                let error = error.as_ref().map(|error: &Error| error as &dyn std::error::Error);
                tracing::error!(
                    target: target::STORE,
                    error,
                    "the connection to Redis ended; it is started again"
                );
            }
        }
        tokio::time::sleep(RESTART_DELAY).await;
        // Work-around 4: the count of waiting commands is wrong now, and fred would not flush before
        // it is high enough.
        client.update_perf_config(PerformanceConfig {
            max_feed_count: 0,
            ..performance.clone()
        });
        task = client.connect();
    }
}

pub(super) async fn close(client: Client) {
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, client.quit()).await;
}
