//! Callers that wait for the end or a change of a session.

use std::{
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

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
        let ended = wait(pin!(watching.entry.ended()), socket).await;
        ended.unwrap_or(EndReason::SocketClosed)
    }

    /// Waits until the data is another than in `view`.
    pub(crate) async fn changed(
        &self,
        view: &View<T>,
        socket: Option<&Arc<dyn LiveSocket>>,
    ) -> Result<View<T>, EndReason> {
        let watching = self.watch(&view.entry);
        loop {
            let mut changed = pin!(watching.entry.changed.notified());
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
            if wait(changed, socket).await.is_none() {
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

/// Waits for `event`, or until the socket is gone: then returns `None`.
async fn wait<E: Future>(
    mut event: Pin<&mut E>,
    socket: Option<&Arc<dyn LiveSocket>>,
) -> Option<E::Output> {
    let Some(socket) = socket else {
        return Some(event.await);
    };
    loop {
        let gone = matches!(socket.presence(), Presence::Gone | Presence::Leaving);
        if gone {
            return None;
        }
        if let Ok(output) = tokio::time::timeout(SOCKET_INTERVAL, event.as_mut()).await {
            return Some(output);
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
