//! The bindings of all polling transports, by `sid` and by session id.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use crate::{id::SessionId, observe::Gauge};

pub(super) type Sid = Arc<str>;

/// Maximum number of ids in a binding. An opening request has few credentials; the rest are
/// successors of a transport that outlived many rotations.
const MAX_IDS: usize = 16;

/// All bindings of a bridge.
///
/// Invariant: `sids` lists a `sid` under an id exactly if the binding of that `sid` accepts the id,
/// and `bound` is the number of bindings with at least one id.
pub(super) struct Table {
    bindings: HashMap<Sid, Binding>,
    /// The transports that accept an id, so that replacing an id does not look at all transports.
    sids: HashMap<SessionId, HashSet<Sid>>,
    bound: Gauge,
    next_number: u64,
}

/// Part of its binding that a slot holds.
pub(super) struct Held {
    pub(super) sid: Sid,
    number: u64,
}

struct Binding {
    /// Tells this binding from an earlier or later one of the same `sid`.
    number: u64,
    accepted: Vec<Accepted>,
    /// Whether a later request has proved an id of the set.
    continued: bool,
}

struct Accepted {
    id: SessionId,
    /// Position of the opening request's id that this is, or that this is a successor of.
    origin: usize,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            bindings: HashMap::new(),
            sids: HashMap::new(),
            bound: Gauge::bound_transports(),
            next_number: 0,
        }
    }
}

impl Table {
    /// Binds the transport, in the place of a binding that another slot has for it.
    pub(super) fn bind(&mut self, sid: &str, ids: Vec<SessionId>) -> Held {
        self.remove(sid);
        let sid: Sid = sid.into();
        let number = self.next_number;
        self.next_number += 1;
        let mut accepted: Vec<Accepted> = Vec::with_capacity(ids.len().min(MAX_IDS));
        for (origin, id) in ids.into_iter().take(MAX_IDS).enumerate() {
            if !accepted.iter().any(|other| other.id == id) {
                self.index(&id, &sid);
                accepted.push(Accepted { id, origin });
            }
        }
        self.bound.add(usize::from(!accepted.is_empty()));
        let binding = Binding {
            number,
            accepted,
            continued: false,
        };
        self.bindings.insert(sid.clone(), binding);
        Held { sid, number }
    }

    /// Removes the binding of a slot, unless another has taken its place.
    pub(super) fn release(&mut self, held: &Held) {
        if self.holds(held) {
            self.remove(&held.sid);
        }
    }

    /// Whether the binding of the transport is still the one of this slot.
    pub(super) fn holds(&self, held: &Held) -> bool {
        let binding = self.bindings.get(&held.sid);
        binding.is_some_and(|binding| binding.number == held.number)
    }

    pub(super) fn contains(&self, sid: &str) -> bool {
        self.bindings.contains_key(sid)
    }

    /// Whether the transport has ids, so that a request must prove one.
    pub(super) fn is_bound(&self, sid: &str) -> bool {
        let binding = self.bindings.get(sid);
        binding.is_some_and(|binding| !binding.accepted.is_empty())
    }

    /// Whether a request that proves these ids may act for the transport.
    pub(super) fn accepts(&mut self, sid: &str, shown: &[SessionId]) -> bool {
        let Some(binding) = self.bindings.get_mut(sid) else {
            return true;
        };
        let is_shown = shown.iter().any(|id| binding.accepts(id));
        binding.continued |= is_shown;
        is_shown || binding.accepted.is_empty()
    }

    /// Whether a later request of the transport has proved an id of its set.
    pub(super) fn was_continued(&self, sid: &str) -> bool {
        let binding = self.bindings.get(sid);
        binding.is_some_and(|binding| binding.continued)
    }

    /// Narrows the set to this id and those of the same origin, if it is in the set.
    pub(super) fn narrow(&mut self, sid: &str, id: &SessionId) {
        let Some((sid, binding)) = self.bindings.get_key_value(sid) else {
            return;
        };
        let origins = binding.origins_of(id);
        if origins.is_empty() || binding.accepted.iter().all(|a| origins.contains(&a.origin)) {
            return;
        }
        let sid = sid.clone();
        let removed = self.binding_mut(&sid).narrow(&origins);
        for id in removed {
            self.unindex(&id, &sid);
        }
    }

    /// Accepts `new` wherever `old` is accepted.
    pub(super) fn replace(&mut self, old: &SessionId, new: &SessionId) {
        if old == new {
            return;
        }
        for sid in self.sids.get(old).cloned().unwrap_or_default() {
            let binding = self.binding_mut(&sid);
            binding.replace(old, new);
            let (kept, joined) = (binding.accepts(old), binding.accepts(new));
            if !kept {
                self.unindex(old, &sid);
            }
            if joined {
                self.index(new, &sid);
            }
        }
    }

    pub(super) fn bound(&self) -> usize {
        self.bound.get()
    }

    fn remove(&mut self, sid: &str) {
        let Some((sid, binding)) = self.bindings.remove_entry(sid) else {
            return;
        };
        self.bound.sub(usize::from(!binding.accepted.is_empty()));
        for accepted in &binding.accepted {
            self.unindex(&accepted.id, &sid);
        }
    }

    fn binding_mut(&mut self, sid: &str) -> &mut Binding {
        let binding = self.bindings.get_mut(sid);
        binding.expect("the index lists only transports that have a binding")
    }

    fn index(&mut self, id: &SessionId, sid: &Sid) {
        let sids = self.sids.entry(id.clone()).or_default();
        sids.insert(sid.clone());
    }

    fn unindex(&mut self, id: &SessionId, sid: &Sid) {
        let Some(sids) = self.sids.get_mut(id) else {
            return;
        };
        sids.remove(sid);
        if sids.is_empty() {
            self.sids.remove(id);
        }
    }
}

impl Binding {
    fn accepts(&self, id: &SessionId) -> bool {
        self.accepted.iter().any(|accepted| accepted.id == *id)
    }

    fn origins_of(&self, id: &SessionId) -> Vec<usize> {
        let of_id = self.accepted.iter().filter(|accepted| accepted.id == *id);
        of_id.map(|accepted| accepted.origin).collect()
    }

    /// Keeps the ids of these origins, and returns those that are not accepted any more.
    fn narrow(&mut self, origins: &[usize]) -> Vec<SessionId> {
        let all = std::mem::take(&mut self.accepted);
        let (kept, removed): (Vec<_>, Vec<_>) = all
            .into_iter()
            .partition(|accepted| origins.contains(&accepted.origin));
        self.accepted = kept;
        let removed = removed.into_iter().map(|accepted| accepted.id);
        removed.filter(|id| !self.accepts(id)).collect()
    }

    /// Adds `new` beside each `old`; in a full set it takes the place of `old`.
    fn replace(&mut self, old: &SessionId, new: &SessionId) {
        for origin in self.origins_of(old) {
            let is_known = |a: &Accepted| a.id == *new && a.origin == origin;
            if self.accepted.iter().any(is_known) {
                continue;
            }
            let id = new.clone();
            if self.accepted.len() < MAX_IDS {
                self.accepted.push(Accepted { id, origin });
            } else if let Some(at) = self
                .accepted
                .iter()
                .position(|a| a.id == *old && a.origin == origin)
            {
                self.accepted[at].id = id;
            }
        }
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
