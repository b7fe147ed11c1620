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
    /// What the request proved; moved to the table by the hint.
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
mod tests {
    use super::*;

    fn id(text: &str) -> SessionId {
        text.parse().unwrap()
    }

    fn ids(texts: &[&str]) -> Vec<SessionId> {
        texts.iter().map(|text| id(text)).collect()
    }

    /// The ids of a..h that a request may show for the transport.
    fn accepted(all: &Transports, sid: &str) -> String {
        let letters = 'a'..='h';
        letters
            .filter(|letter| all.is_entitled(sid, &[id(&letter.to_string())]))
            .collect()
    }

    impl Transports {
        pub(in super::super) fn assert_consistent(&self) {
            self.0.table.lock().assert_consistent();
        }

        pub(in super::super) fn assert_empty(&self) {
            assert!(self.0.table.lock().is_empty());
        }
    }

    fn never() -> Vec<SessionId> {
        panic!("the transport is bound")
    }

    #[test]
    fn a_binding_lives_as_long_as_its_slot() {
        let all = Transports::default();
        let slot = all.slot(ids(&["a"]));
        assert!(all.is_entitled("S", &[]), "it is not open yet");
        all.hint(&slot, "S");
        assert_eq!((accepted(&all, "S").as_str(), all.bound_count()), ("a", 1));
        assert!(!all.is_entitled("S", &[]) && all.is_entitled("S", &ids(&["x", "a"])));
        assert!(all.is_entitled("other", &[]));
        all.confirm(&slot, "S", never);
        drop(slot);
        assert!(all.is_entitled("S", &[]));
        all.assert_empty();
    }

    #[test]
    fn a_hint_displaces_nothing_and_its_end_removes_nothing() {
        for opened_with in [&["a"][..], &[]] {
            let all = Transports::default();
            let (victim, mallory) = (all.slot(ids(opened_with)), all.slot(ids(&["m"])));
            all.hint(&victim, "S");
            let before = accepted(&all, "S");
            all.hint(&mallory, "S");
            assert_eq!(accepted(&all, "S"), before);
            drop(mallory);
            assert_eq!(accepted(&all, "S"), before);
            assert_eq!(all.bound_count(), opened_with.len());
            drop(victim);
            all.assert_empty();
        }
    }

    #[test]
    fn connect_replaces_the_hint_of_another_request() {
        for opened_with in [&["a"][..], &[]] {
            let all = Transports::default();
            let (victim, mallory) = (all.slot(Vec::new()), all.slot(ids(&["b"])));
            all.hint(&mallory, "S");
            assert_eq!(accepted(&all, "S"), "b");
            all.confirm(&victim, "S", || ids(opened_with));
            let expected = if opened_with.is_empty() {
                "abcdefgh"
            } else {
                "a"
            };
            assert_eq!(accepted(&all, "S"), expected);
            drop(mallory);
            assert_eq!(accepted(&all, "S"), expected);
            drop(victim);
            all.assert_empty();
        }
    }

    #[test]
    fn connect_corrects_a_wrong_hint_of_its_own_request() {
        let all = Transports::default();
        let slot = all.slot(ids(&["a"]));
        all.hint(&slot, "wrong");
        all.confirm(&slot, "S", || ids(&["a"]));
        assert!(all.is_entitled("wrong", &[]) && !all.is_entitled("S", &[]));
        // The answer is read after the client has connected.
        let early = all.slot(ids(&["b"]));
        all.confirm(&early, "T", || ids(&["b"]));
        all.hint(&early, "T");
        all.hint(&early, "U");
        assert_eq!((accepted(&all, "T").as_str(), all.bound_count()), ("b", 2));
        drop((slot, early));
        all.assert_empty();
    }

    #[test]
    fn what_is_proved_only_at_connect_binds_too() {
        let all = Transports::default();
        let slot = all.slot(Vec::new());
        all.hint(&slot, "S");
        all.confirm(&slot, "S", Vec::new);
        assert!(all.is_entitled("S", &[]));
        all.confirm(&slot, "S", || ids(&["a"]));
        assert_eq!((accepted(&all, "S").as_str(), all.bound_count()), ("a", 1));
    }

    #[test]
    fn an_admission_narrows_the_set_to_its_own() {
        let all = Transports::default();
        let slot = all.slot(ids(&["a", "b", "a"]));
        all.hint(&slot, "S");
        assert_eq!(accepted(&all, "S"), "ab");
        all.admitted("S", &id("from-the-payload"));
        all.admitted("other", &id("a"));
        all.replaced(&id("a"), &id("c"));
        all.replaced(&id("b"), &id("d"));
        all.replaced(&id("c"), &id("e"));
        assert_eq!(accepted(&all, "S"), "abcde");
        all.admitted("S", &id("a"));
        assert_eq!(accepted(&all, "S"), "ace");
        all.admitted("S", &id("b"));
        all.replaced(&id("d"), &id("f"));
        assert_eq!(accepted(&all, "S"), "ace");
        drop(slot);
        all.assert_empty();
    }

    #[test]
    fn one_sign_in_can_replace_all_that_was_shown() {
        let all = Transports::default();
        let slot = all.slot(ids(&["a", "b"]));
        all.hint(&slot, "S");
        for old in ["a", "b", "a"] {
            all.replaced(&id(old), &id("c"));
        }
        all.admitted("S", &id("c"));
        assert_eq!(accepted(&all, "S"), "abc");
        all.admitted("S", &id("b"));
        assert_eq!(accepted(&all, "S"), "bc");
        drop(slot);
        all.assert_empty();
    }

    #[test]
    fn a_replaced_id_is_replaced_in_its_own_transports_only() {
        let all = Transports::default();
        let slots: Vec<_> = [("S", "a"), ("T", "a"), ("U", "b")]
            .into_iter()
            .map(|(sid, of)| {
                let slot = all.slot(ids(&[of]));
                all.hint(&slot, sid);
                slot
            })
            .collect();
        all.replaced(&id("a"), &id("c"));
        all.replaced(&id("unknown"), &id("d"));
        all.replaced(&id("a"), &id("a"));
        let of = |sid| accepted(&all, sid);
        assert_eq!([of("S"), of("T"), of("U")], ["ac", "ac", "b"]);
        drop(slots);
        all.assert_empty();
    }

    #[test]
    fn a_set_does_not_grow_without_end() {
        let all = Transports::default();
        let slot = all.slot(ids(&["a", "b"]));
        all.hint(&slot, "S");
        let mut last = id("a");
        for nth in 0..1000 {
            let next = id(&format!("rotated-{nth}"));
            all.replaced(&last, &next);
            assert!(all.is_entitled("S", std::slice::from_ref(&next)));
            last = next;
        }
        assert_eq!(accepted(&all, "S"), "ab");
        assert!(!all.is_entitled("S", &ids(&["rotated-500"])));
        drop(slot);
        all.assert_empty();
    }
}
