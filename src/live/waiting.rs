//! Callers that wait for the end or a change of a session.

use std::{sync::Arc, time::Duration};

use super::{
    core::Core,
    entry::Entry,
    reason::EndReason,
    sessions::LiveSessions,
    socket::{LiveSocket, Presence},
    view::View,
};

/// Interval at which a waiter of a socket's handle looks at the socket.
const SOCKET_INTERVAL: Duration = Duration::from_secs(2);

impl<T: Send + Sync + 'static> LiveSessions<T> {
    /// Waits until the session has ended, or `socket` is gone.
    pub(crate) async fn ended(
        &self,
        view: &View<T>,
        socket: Option<&Arc<dyn LiveSocket>>,
    ) -> EndReason {
        let watching = self.watch(&view.entry);
        loop {
            let changed = watching.entry.changed.notified();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            if let Some(reason) = watching.entry.end_reason() {
                return reason;
            }
            if wait(changed, socket).await {
                return EndReason::SocketClosed;
            }
        }
    }

    /// Waits until the data is another than in `view`.
    pub(crate) async fn changed(
        &self,
        view: &View<T>,
        socket: Option<&Arc<dyn LiveSocket>>,
    ) -> Result<View<T>, EndReason> {
        let watching = self.watch(&view.entry);
        loop {
            let changed = watching.entry.changed.notified();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            {
                let state = watching.entry.state();
                if let Some(reason) = state.end_reason() {
                    return Err(reason);
                }
                if let Some(known) = state.snapshot()
                    && known.revision != view.snapshot.revision
                {
                    return Ok(View {
                        entry: view.entry.clone(),
                        snapshot: known.clone(),
                    });
                }
            }
            if wait(changed, socket).await {
                return Err(EndReason::SocketClosed);
            }
        }
    }

    /// Keeps the entry watched, and has it loaded if it is stale.
    fn watch(&self, entry: &Arc<Entry<T>>) -> Watching<T> {
        self.ensure_worker();
        self.0.watch(entry);
        Watching {
            core: self.0.clone(),
            entry: entry.clone(),
        }
    }
}

/// Waits for a notification, or until the socket is gone: then returns `true`.
async fn wait(
    mut changed: std::pin::Pin<&mut tokio::sync::futures::Notified<'_>>,
    socket: Option<&Arc<dyn LiveSocket>>,
) -> bool {
    let Some(socket) = socket else {
        changed.await;
        return false;
    };
    loop {
        let gone = matches!(socket.presence(), Presence::Gone | Presence::Leaving);
        if gone {
            return true;
        }
        if tokio::time::timeout(SOCKET_INTERVAL, changed.as_mut())
            .await
            .is_ok()
        {
            return false;
        }
    }
}

/// A caller that waits for the end or a change of a session.
struct Watching<T> {
    core: Arc<Core<T>>,
    entry: Arc<Entry<T>>,
}

impl<T> Drop for Watching<T> {
    fn drop(&mut self) {
        self.core.unwatch(&self.entry);
    }
}
