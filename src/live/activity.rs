//! Activity keeps a session alive.
//!
//! 1. A use of a session touches it when it is due: when less than its ttl minus the interval is
//!    left. So there is one touch per interval on this node. On others the store does nothing then,
//!    see [`keep_alive`](crate::SessionStore::keep_alive).
//! 2. What the application says of lifetimes (`ttl_of`, `max_lifetime`) is evaluated without the
//!    lock of the entry.
//! 3. A change of the data that changes the lifetime touches at once. A lifetime that ends earlier
//!    than before takes effect at once, too.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

use super::{
    config::Config,
    core::Core,
    entry::Entry,
    queue::{Job, Lane},
    snapshot::{Snapshot, deadline_after, earlier, instant_of},
    turn::Write,
    update::{extend, touch},
    update_error::UpdateError,
};
use crate::{causes::Causes, observe::target, store::StoreErrorKind};

/// Minimum gain of a touch that takes a session to its absolute end.
const MIN_GAIN: Duration = Duration::from_secs(1);

/// Difference between a lifetime and the same one in a store that counts milliseconds.
const ROUNDING: Duration = Duration::from_millis(1);
/// Minimum interval between two touches, however short the life is that a store leaves.
const MIN_INTERVAL: Duration = Duration::from_millis(100);
/// Delay before a failed touch is retried.
const RETRY: Duration = Duration::from_secs(1);

/// When a session is touched next, and how.
struct Due {
    at: Instant,
    /// Minimum interval until the touch after it.
    every: Duration,
    /// The store does nothing if the lifetime lacks less than this.
    tolerance: Duration,
    ttl: Duration,
}

impl Due {
    /// `None`: a touch has no effect.
    fn of<T>(config: &Config<T>, known: &Snapshot<T>, now: Instant) -> Option<Self> {
        let touch = config.touch_every?;
        let deadline = known.deadline?;
        let full = config.uncapped_ttl_of(&known.data);
        let ttl = config.capped(full, &known.data);
        let every = touch.interval(full);
        if ttl < full {
            // The absolute end is near. One more touch reaches it.
            let gain = ttl.saturating_sub(deadline.saturating_duration_since(now));
            return (gain > MIN_GAIN).then_some(Self {
                at: now,
                every,
                tolerance: MIN_GAIN,
                ttl,
            });
        }
        let at = deadline
            .checked_sub(ttl.saturating_sub(every))
            .unwrap_or(now);
        Some(Self {
            at,
            every,
            tolerance: every,
            ttl,
        })
    }
}

/// The session is used: queues a touch, if it is due.
pub(super) fn used<T>(core: &Core<T>, entry: &Arc<Entry<T>>, seen: &Arc<Snapshot<T>>) {
    let Some(touch) = core.config.touch_every else {
        return;
    };
    if core.never_touches.load(Ordering::Relaxed) {
        return;
    }
    let now = Instant::now();
    let known = {
        let state = entry.state();
        if !touch.while_connected && state.next_touch.is_some_and(|next| now < next) {
            return;
        }
        state.snapshot().unwrap_or(seen).clone()
    };
    let Some(due) = Due::of(&core.config, &known, now) else {
        return;
    };
    let mut state = entry.state();
    if state.end_reason().is_some() {
        return;
    }
    let at = state.next_touch.map_or(due.at, |next| next.max(due.at));
    let is_due = at <= now;
    if is_due {
        state.next_touch = Some(now + due.every);
        core.queue.push(Lane::Write, Job::Touch(entry.clone()));
    }
    if touch.while_connected {
        state.connected_touch = Some(if is_due { now + due.every } else { at });
        core.schedule(entry, &mut state);
    }
    drop(state);
    if is_due {
        core.wake.notify_one();
    }
}

/// Makes a queued touch. The store extends the lifetime unless another node has just done so.
pub(super) async fn touch_used<T: Send + Sync + 'static>(
    core: &Arc<Core<T>>,
    entry: &Arc<Entry<T>>,
) {
    let Some(known) = entry.snapshot() else {
        return;
    };
    let Err(UpdateError::Store(error)) = keep_alive(core, entry, &known).await else {
        return;
    };
    let session = entry.id.fingerprint();
    if error.kind() != StoreErrorKind::Unsupported {
        tracing::warn!(
            target: target::STORE,
            session,
            error = %Causes(&error),
            "a used session could not be kept alive; its next use tries again"
        );
        retry_soon(core, entry);
    } else if !core.never_touches.swap(true, Ordering::Relaxed) {
        tracing::warn!(
            target: target::STORE,
            session,
            error = %Causes(&error),
            "the store does not touch, so used sessions are not kept alive"
        );
    }
}

async fn keep_alive<T: Send + Sync + 'static>(
    core: &Arc<Core<T>>,
    entry: &Arc<Entry<T>>,
    known: &Arc<Snapshot<T>>,
) -> Result<(), UpdateError> {
    let Some(due) = Due::of(&core.config, known, Instant::now()) else {
        return Ok(());
    };
    let (ttl, tolerance) = (due.ttl, due.tolerance);
    let write = Write::begin(core, entry).await?;
    let began = Instant::now();
    let touching = core
        .store
        .keep_alive(&entry.id, &known.data, ttl, tolerance);
    let Some(left) = write.call(touching).await? else {
        write.missing().await;
        return Ok(());
    };
    write.learn(|state| extend(core, entry, state, known, deadline_after(began, left)));
    // Another node has touched it, or another program's lifetime counts: it is due earlier here than
    // after a touch. (Stores round.)
    if left.saturating_add(ROUNDING) < ttl {
        entry.state().next_touch = Some(began + due.every.min((left / 10).max(MIN_INTERVAL)));
        connected_until(core, entry, known);
    }
    Ok(())
}

/// The next touch comes a moment after a failed one, because the session may have only the rest of an
/// interval to live.
fn retry_soon<T>(core: &Core<T>, entry: &Arc<Entry<T>>) {
    let at = Instant::now() + RETRY;
    let mut state = entry.state();
    state.next_touch = state.next_touch.map(|next| next.min(at));
    state.connected_touch = state.connected_touch.map(|next| next.min(at));
    core.schedule(entry, &mut state);
}

/// Looks again when a touch is due, if being connected counts as a use.
fn connected_until<T>(core: &Core<T>, entry: &Arc<Entry<T>>, known: &Arc<Snapshot<T>>) {
    if core
        .config
        .touch_every
        .is_some_and(|touch| touch.while_connected)
    {
        used(core, entry, known);
    }
}

/// The data has changed. Where the lifetime depends on it, the new one takes effect.
pub(super) async fn data_changed<T: Send + Sync + 'static>(
    core: &Arc<Core<T>>,
    entry: &Arc<Entry<T>>,
    old: &T,
    saved: Arc<Snapshot<T>>,
) -> Arc<Snapshot<T>> {
    let config = &core.config;
    let lifetime = |data: &T| (config.uncapped_ttl_of(data), config.latest_end(data));
    let (before, after) = (lifetime(old), lifetime(&saved.data));
    if before == after {
        return saved;
    }
    let saved = end_earlier(core, entry, saved, after.1);
    renew(core, entry, saved).await
}

/// Touches a session whose lifetime may have become longer. A failure of the store leaves the
/// lifetime as it is.
pub(super) async fn renew<T: Send + Sync + 'static>(
    core: &Arc<Core<T>>,
    entry: &Arc<Entry<T>>,
    known: Arc<Snapshot<T>>,
) -> Arc<Snapshot<T>> {
    if !core.store.capabilities().touch || core.never_touches.load(Ordering::Relaxed) {
        return known;
    }
    match touch(core, entry, &known, None).await {
        Ok(touched) => touched,
        Err(error) => {
            tracing::warn!(
                target: target::STORE,
                session = entry.id.fingerprint(),
                error = %Causes(&error),
                "the lifetime of a session could not be extended; its next touch does it"
            );
            known
        }
    }
}

/// The session ends at `latest` at the latest.
fn end_earlier<T>(
    core: &Core<T>,
    entry: &Arc<Entry<T>>,
    saved: Arc<Snapshot<T>>,
    latest: Option<SystemTime>,
) -> Arc<Snapshot<T>> {
    let mut state = entry.state();
    let known = state.snapshot().unwrap_or(&saved).clone();
    let deadline = earlier(known.deadline, latest.and_then(instant_of));
    if deadline == known.deadline || state.end_reason().is_some() {
        return saved;
    }
    let snapshot = Arc::new(known.with_deadline(deadline));
    state.amend(snapshot.clone());
    core.schedule(entry, &mut state);
    drop(state);
    snapshot
}
