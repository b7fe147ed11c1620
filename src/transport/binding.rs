//! The one face of transport protection.

use std::{fmt, sync::Arc};

use super::{
    advice::Advice,
    table::{Held, Table},
};
use crate::{id::SessionId, lock::Mutex};

/// The polling transports of a bridge, and which sessions may act for them. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Transports(Arc<Inner>);

#[derive(Default)]
struct Inner {
    table: Mutex<Table>,
    advice: Advice,
}

impl Transports {
    /// Makes the slot of a request that opens a polling transport and proved these ids.
    pub(crate) fn slot(&self, ids: Vec<SessionId>) -> TransportSlot {
        TransportSlot {
            transports: self.clone(),
            state: Mutex::new(State {
                ids,
                held: None,
                unreadable: false,
            }),
        }
    }

    /// Binds the transport whose `sid` was read from the answer to the slot's request. A hint: a
    /// binding that exists stays as it is.
    pub(crate) fn hint(&self, slot: &TransportSlot, sid: &str) {
        let mut state = slot.state.lock();
        let mut table = self.0.table.lock();
        // With EIO=3, the client can be connected before the answer is read.
        if state.held.is_none() && !table.contains(sid) {
            let ids = std::mem::take(&mut state.ids);
            state.held = Some(table.bind(sid, ids));
        }
    }

    /// Binds the transport `sid`, which the slot's request opened according to socketioxide. `ids`
    /// are those that the request proves; they are needed only if the transport is not bound yet.
    pub(crate) fn confirm(
        &self,
        slot: &TransportSlot,
        sid: &str,
        ids: impl FnOnce() -> Vec<SessionId>,
    ) {
        if self.is_confirmed(slot, sid) {
            return;
        }
        // Outside of the locks, because it runs the extractor.
        let ids = ids();
        let mut state = slot.state.lock();
        let mut table = self.0.table.lock();
        let own = state.held.take_if(|held| table.holds(held));
        if let Some(own) = own.as_ref().filter(|own| *own.sid != *sid) {
            table.release(own);
        }
        let contested = own.is_none_or(|own| *own.sid != *sid) && table.contains(sid);
        let late = state.unreadable && !ids.is_empty();
        state.held = Some(table.bind(sid, ids));
        drop((table, state));
        if contested {
            self.0.advice.contested_sid();
        } else if late {
            self.0.advice.hidden_sid();
        }
    }

    fn is_confirmed(&self, slot: &TransportSlot, sid: &str) -> bool {
        let state = slot.state.lock();
        let table = self.0.table.lock();
        let held = state.held.as_ref().filter(|held| *held.sid == *sid);
        held.is_some_and(|held| table.holds(held)) && table.is_bound(sid)
    }

    /// Narrows the binding of a transport to the session that was admitted on it.
    pub(crate) fn admitted(&self, sid: &str, id: &SessionId) {
        self.0.table.lock().narrow(sid, id);
    }

    /// Accepts `new` wherever `old` is accepted, after a rotation or a sign-in on this node. The cost
    /// is that of the transports of `old`.
    pub(crate) fn replaced(&self, old: &SessionId, new: &SessionId) {
        self.0.table.lock().replace(old, new);
    }

    /// Whether a request must prove a session to act for the transport.
    pub(crate) fn is_bound(&self, sid: &str) -> bool {
        self.0.table.lock().is_bound(sid)
    }

    /// Whether a request that proves these ids may act for the transport.
    pub(crate) fn is_entitled(&self, sid: &str, shown: &[SessionId]) -> bool {
        self.0.table.lock().accepts(sid, shown)
    }

    /// A request for the transport was refused because it came without any credential.
    ///
    /// That is normal after a logout, when the browser has no cookie any more. If no later request
    /// ever proved a session, the client never sends its cookie again, and a warning is logged.
    pub(crate) fn refused_without_credential(&self, sid: &str) {
        let was_continued = self.0.table.lock().was_continued(sid);
        if !was_continued {
            self.0.advice.no_credential();
        }
    }

    /// Number of transports that are bound to at least one id.
    pub(crate) fn bound_count(&self) -> usize {
        self.0.table.lock().bound()
    }

    pub(crate) fn advice(&self) -> &Advice {
        &self.0.advice
    }
}

/// The place of one polling transport, owned by the request that opened it. Its drop removes the
/// binding.
pub(crate) struct TransportSlot {
    transports: Transports,
    /// Locked before the table, never after it.
    state: Mutex<State>,
}

struct State {
    /// Ids that the request proved; moved to the table by the hint.
    ids: Vec<SessionId>,
    held: Option<Held>,
    unreadable: bool,
}

impl TransportSlot {
    /// Notes that the answer to the request could not be read.
    pub(crate) fn answer_is_unreadable(&self) {
        self.state.lock().unreadable = true;
    }
}

impl Drop for TransportSlot {
    fn drop(&mut self) {
        if let Some(held) = self.state.get_mut().held.take() {
            self.transports.0.table.lock().release(&held);
        }
    }
}

// The `sid` is a bearer secret.
impl fmt::Debug for TransportSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransportSlot").finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "binding_tests.rs"]
mod tests;
