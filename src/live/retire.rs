//! Sockets whose session has ended, until they are gone.
//!
//! Rooms and disconnects of a Socket.IO server go by the [`Seat`] of a socket, not by the socket, and
//! a client that connects again on its transport takes the same seat. Invariant: a retired socket acts
//! on its seat only while it holds its own lock and was not succeeded. The connect middleware, which
//! every successor passes before it is inserted, takes that lock and marks the old socket as
//! succeeded. So nothing here ever acts on a successor.

use std::{collections::HashMap, future::Future, pin::Pin, sync::Arc, time::Duration};

use tokio::{runtime::Handle, time::Instant};

use super::{
    disconnect::Disconnect,
    reason::EndReason,
    socket::{LiveSocket, Presence, Seat},
};
use crate::{
    blocking::Blocking,
    deadline::within,
    lock::Mutex,
    observe::{self, Stopwatch, target},
};

/// Maximum number of calls of disconnect handlers and end hooks at the same time.
const MAX_CALLS: usize = 64;
/// Timeout for the end hook, after which the socket is disconnected without waiting for it.
const HOOK_TIMEOUT: Duration = Duration::from_millis(500);
/// Delay before the first retry of a disconnect.
const FIRST_DELAY: Duration = Duration::from_millis(1);
const MAX_DELAY: Duration = Duration::from_secs(1);
/// The same while the handshake goes on, because the socket may be connected at any moment.
const MAX_CONNECTING_DELAY: Duration = Duration::from_millis(20);
/// Interval at which inert sockets are taken out of their rooms again.
const INERT_INTERVAL: Duration = Duration::from_millis(50);
/// Time after which a socket whose disconnect handler does not end is given up. One whose handshake
/// goes on is not: it may enter its namespace at any moment.
const GIVE_UP: Duration = Duration::from_mins(1);

/// The sockets of this node whose session has ended and that are not gone yet.
#[derive(Clone)]
pub(super) struct Retiring {
    /// A seat may have several: what a later middleware rejected and the application holds never
    /// enters its namespace, and is one of the session's sockets all the same.
    table: Arc<Mutex<HashMap<Seat, Vec<Arc<Retired>>>>>,
    /// Two pools, so that hooks that hang leave the disconnects alone.
    hooks: Blocking,
    disconnects: Blocking,
    /// The runtime of the worker, for calls from outside of one.
    runtime: Arc<Mutex<Option<Handle>>>,
}

/// Why sockets are retired.
#[derive(Debug, Clone, Copy)]
pub(super) struct Why {
    pub(super) reason: EndReason,
    /// Since the report that ended the session, if one did.
    pub(super) reported: Stopwatch,
}

impl Why {
    /// The session goes on.
    pub(super) fn socket_closed() -> Self {
        Self {
            reason: EndReason::SocketClosed,
            reported: Stopwatch::default(),
        }
    }
}

struct Retired {
    socket: Arc<dyn LiveSocket>,
    seat: Seat,
    /// The room of its session.
    own: Arc<str>,
    reason: Mutex<EndReason>,
    /// Another socket has the seat.
    succeeded: tokio::sync::Mutex<bool>,
    /// Since the report that ended the session, if one did.
    reported: Stopwatch,
}

impl Retiring {
    pub(super) fn new() -> Self {
        Self {
            table: Arc::default(),
            hooks: Blocking::new("an end hook", MAX_CALLS),
            disconnects: Blocking::new("a disconnect handler", MAX_CALLS),
            runtime: Arc::default(),
        }
    }

    /// `None`: the worker and its runtime have ended.
    pub(super) fn set_runtime(&self, runtime: Option<Handle>) {
        *self.runtime.lock() = runtime;
    }

    /// Takes all sockets out of their rooms, and has each disconnected by itself. `own`: the room of their
    /// session.
    pub(super) fn retire(
        &self,
        sockets: Vec<Arc<dyn LiveSocket>>,
        own: &str,
        why: Why,
        when: Disconnect,
    ) {
        if sockets.is_empty() {
            return;
        }
        let own: Arc<str> = own.into();
        let retired: Vec<_> = sockets
            .into_iter()
            .filter_map(|socket| self.insert(socket, &own, why))
            .collect();
        for socket in &retired {
            socket.leave_rooms();
        }
        // The caller's runtime may end with its call.
        let runtime = self.runtime.lock().clone();
        let Some(runtime) = runtime.or_else(|| Handle::try_current().ok()) else {
            tracing::error!(
                target: target::END,
                "sockets of an ended session can't be disconnected without a runtime"
            );
            return;
        };
        match when {
            Disconnect::Now => self.disconnect_all(&runtime, retired),
            Disconnect::After(until) => {
                let (this, tasks) = (self.clone(), runtime.clone());
                runtime.spawn(async move {
                    if let Some(decided) = stay_inert(&retired, until).await {
                        for socket in &retired {
                            *socket.reason.lock() = decided;
                        }
                    }
                    this.disconnect_all(&tasks, retired);
                });
            }
        }
    }

    /// The seat is about to get another socket: from now on no old one acts on it. `false` when one is
    /// still acting after `timeout`, because a disconnect handler takes its time.
    pub(super) async fn succeed(&self, seat: impl FnOnce() -> Seat, timeout: Duration) -> bool {
        let (seat, all) = {
            let table = self.table.lock();
            // Almost always empty, so the seat need not be made.
            if table.is_empty() {
                return true;
            }
            let seat = seat();
            let all = table.get(&seat).cloned().unwrap_or_default();
            (seat, all)
        };
        let deadline = Instant::now() + timeout;
        for retired in &all {
            let Some(mut succeeded) = within(deadline, retired.succeeded.lock()).await else {
                return false;
            };
            *succeeded = true;
        }
        let mut table = self.table.lock();
        if let Some(left) = table.get_mut(&seat) {
            left.retain(|old| !all.iter().any(|succeeded| Arc::ptr_eq(old, succeeded)));
            if left.is_empty() {
                table.remove(&seat);
            }
        }
        true
    }

    /// Registers a socket; `None` when it is gone, or is retired already: then the newer reason counts.
    fn insert(
        &self,
        socket: Arc<dyn LiveSocket>,
        own: &Arc<str>,
        why: Why,
    ) -> Option<Arc<Retired>> {
        if socket.presence() == Presence::Gone {
            socket.release();
            return None;
        }
        let seat = socket.seat()?;
        let mut table = self.table.lock();
        let all = table.entry(seat.clone()).or_default();
        if let Some(retired) = all.iter().find(|old| Arc::ptr_eq(&old.socket, &socket)) {
            *retired.reason.lock() = why.reason;
            return None;
        }
        let retired = Arc::new(Retired {
            socket,
            seat,
            own: own.clone(),
            reason: Mutex::new(why.reason),
            succeeded: tokio::sync::Mutex::new(false),
            reported: why.reported,
        });
        all.push(retired.clone());
        Some(retired)
    }

    fn disconnect_all(&self, runtime: &Handle, sockets: Vec<Arc<Retired>>) {
        for socket in sockets {
            runtime.spawn(self.clone().disconnect(socket));
        }
    }

    /// Goes on until the socket was seen to be gone: `disconnect` fails while the client does not
    /// read, it has no effect while another middleware is still running, and broadcasts go on
    /// arriving while a disconnect handler runs.
    async fn disconnect(self, retired: Arc<Retired>) {
        let began = Instant::now();
        let mut delay = FIRST_DELAY;
        let mut hook_called = false;
        while !retired.is_gone().await {
            let max = match retired.socket.presence() {
                Presence::Gone => break,
                Presence::Connecting if began.elapsed() < GIVE_UP => MAX_CONNECTING_DELAY,
                Presence::Connecting | Presence::Leaving => MAX_DELAY,
                Presence::Connected => {
                    if !hook_called {
                        hook_called = self.call_hook(&retired).await;
                    }
                    self.call_disconnect(&retired).await;
                    if retired.socket.presence() == Presence::Gone {
                        break;
                    }
                    MAX_DELAY
                }
            };
            retired.leave_rooms();
            let given_up = began.elapsed() >= GIVE_UP;
            if given_up && retired.socket.presence() == Presence::Leaving {
                // Should its disconnect handler have panicked, this removes it from its namespace.
                self.call_disconnect(&retired).await;
                break;
            }
            tokio::time::sleep(delay.min(max)).await;
            delay = (delay * 2).min(MAX_DELAY);
        }
        observe::disconnected(retired.reason.lock().as_str(), retired.reported);
        self.remove(&retired);
        retired.socket.release();
    }

    /// `false` while the session goes on, whose end the hook is for.
    async fn call_hook(&self, retired: &Retired) -> bool {
        let reason = *retired.reason.lock();
        if reason == EndReason::SocketClosed {
            return false;
        }
        if let Some(hook) = retired.socket.end_hook(reason) {
            self.hooks.run_within(HOOK_TIMEOUT, hook).await;
        }
        true
    }

    /// After a panic of the disconnect handler the socket has no handler any more, and the second
    /// call removes it from its namespace.
    async fn call_disconnect(&self, retired: &Arc<Retired>) {
        for _ in 0..2 {
            let socket = retired.clone();
            let called = self.disconnects.run(move || {
                let succeeded = socket.succeeded.blocking_lock();
                if !*succeeded {
                    socket.socket.disconnect();
                }
            });
            if called.await.is_some() {
                return;
            }
        }
    }

    fn remove(&self, retired: &Arc<Retired>) {
        let mut table = self.table.lock();
        let Some(all) = table.get_mut(&retired.seat) else {
            return;
        };
        let at = all.iter().position(|other| Arc::ptr_eq(other, retired));
        let removed = at.map(|at| all.swap_remove(at));
        if all.is_empty() {
            table.remove(&retired.seat);
        }
        drop(table);
        drop(removed);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.table.lock().len()
    }
}

impl Retired {
    /// Does nothing while a disconnect is under way, which takes the socket out of its rooms too.
    fn leave_rooms(&self) {
        if let Ok(succeeded) = self.succeeded.try_lock()
            && !*succeeded
        {
            self.socket.leave_rooms(&self.own);
        }
    }

    async fn is_gone(&self) -> bool {
        *self.succeeded.lock().await
    }
}

/// Takes the sockets out of their rooms again and again until they are to be disconnected, because a
/// handler without a session may join one.
async fn stay_inert(
    sockets: &[Arc<Retired>],
    mut until: Pin<Box<dyn Future<Output = Option<EndReason>> + Send>>,
) -> Option<EndReason> {
    loop {
        if let Ok(decided) = tokio::time::timeout(INERT_INTERVAL, &mut until).await {
            return decided;
        }
        for socket in sockets {
            socket.leave_rooms();
        }
    }
}
