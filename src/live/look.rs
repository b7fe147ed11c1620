//! The steps when the timer of an entry is due.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    activity::used, core::Core, disconnect::Disconnect, end::finish, entry::Entry,
    reason::EndReason, retire::Why, socket::Presence, state::Queued, timers::Timer,
};

/// Time for the load at a deadline, after which the session ends without an answer.
const LAST_CHECK: Duration = Duration::from_millis(750);

/// The timer of an entry is due: the session ends, or is loaded again.
pub(super) fn look<T: Send + Sync + 'static>(
    core: &Arc<Core<T>>,
    entry: &Arc<Entry<T>>,
    timer: Timer,
) {
    let (ends, connected) = {
        let mut state = entry.state();
        if state.timer != Some(timer) {
            return;
        }
        state.timer = None;
        let Some(snapshot) = state.snapshot().cloned() else {
            return;
        };
        let now = Instant::now();
        let failing = state
            .failing
            .filter(|_| core.too_stale_at(&snapshot) <= now);
        let touch_is_due = state.connected_touch.take_if(|at| *at <= now).is_some();
        let connected = (touch_is_due && !state.sockets.list.is_empty()).then(|| snapshot.clone());
        let expired = state.life.last_check().is_some_and(|at| at <= now);
        let ends = if expired {
            Some(EndReason::Expired)
        } else if failing.is_some() {
            failing
        } else {
            if snapshot.is_over(now) && state.life.last_check().is_none() {
                state.life.set_last_check(Some(now + LAST_CHECK));
                core.queue_check(entry, &mut state, Queued::Urgent);
            } else if state.recheck.is_none_or(|at| at <= now) {
                state.recheck = Some(now + core.config.recheck_delay());
                core.queue_check(entry, &mut state, Queued::Routine);
            }
            core.schedule(entry, &mut state);
            None
        };
        (ends, connected)
    };
    match ends {
        Some(reason) => finish(core, entry, reason),
        None => sweep(core, entry),
    }
    if let Some(known) = connected {
        used(core, entry, &known);
    }
}

/// Lets go of sockets that are gone although the application still holds them.
fn sweep<T>(core: &Core<T>, entry: &Arc<Entry<T>>) {
    let sockets = entry.state().sockets.list.clone();
    for (key, socket) in sockets {
        match socket.presence() {
            Presence::Gone => {
                core.detach(entry, key);
                socket.release();
            }
            // Its disconnect handler may not end. Until it does, or is given up, the socket is in its
            // namespace, and an end of the session is to find it here or there.
            Presence::Leaving if socket.still_leaving() => {
                core.detach(entry, key);
                let (sockets, why) = (vec![socket], Why::socket_closed());
                core.retiring
                    .retire(sockets, entry.room(), why, Disconnect::Now);
            }
            Presence::Leaving | Presence::Connecting | Presence::Connected => {}
        }
    }
}
