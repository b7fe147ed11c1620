//! The table of transports against a model.

use proptest::{collection::vec, prelude::*};

use super::{super::Transports, *};

const SIDS: [&str; 4] = ["S0", "S1", "S2", "S3"];

#[derive(Debug, Clone)]
enum Step {
    /// A handler or Engine.IO answers the request of a slot with a `sid`.
    Hint {
        slot: usize,
        sid: usize,
    },
    Connect {
        slot: usize,
    },
    Admit {
        slot: usize,
        id: u8,
    },
    Replace {
        old: u8,
        new: u8,
    },
    Close {
        slot: usize,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (slot, sid, id) = (0..SIDS.len(), 0..SIDS.len(), 0..8_u8);
    let step = prop_oneof![
        (slot.clone(), sid).prop_map(|(slot, sid)| Step::Hint { slot, sid }),
        slot.clone().prop_map(|slot| Step::Connect { slot }),
        (slot.clone(), id.clone()).prop_map(|(slot, id)| Step::Admit { slot, id }),
        (id.clone(), id).prop_map(|(old, new)| Step::Replace { old, new }),
        slot.prop_map(|slot| Step::Close { slot }),
    ];
    vec(step, 0..14)
}

fn id(number: u8) -> SessionId {
    format!("id-{number}").parse().unwrap()
}

impl Table {
    /// Panics unless the index and the count are those of the bindings.
    pub(in super::super) fn assert_consistent(&self) {
        let mut pairs = 0;
        for (sid, binding) in &self.bindings {
            let mut ids: Vec<_> = binding.accepted.iter().map(|a| &a.id).collect();
            ids.sort_by_key(|id| id.expose());
            ids.dedup();
            pairs += ids.len();
            assert!(ids.iter().all(|id| self.sids[*id].contains(sid)));
        }
        assert_eq!(self.sids.values().map(HashSet::len).sum::<usize>(), pairs);
        assert!(self.sids.values().all(|sids| !sids.is_empty()));
        let bound = self.bindings.values().filter(|b| !b.accepted.is_empty());
        assert_eq!(self.bound(), bound.count());
    }

    pub(in super::super) fn is_empty(&self) -> bool {
        self.bindings.is_empty() && self.sids.is_empty() && self.bound() == 0
    }
}

proptest! {
    /// The slot `n` opened the transport `Sn`. Once it has connected, whatever was answered to
    /// other requests, only what it proved acts for it, and what replaced that.
    #[test]
    fn a_connected_transport_is_its_openers(
        opened in vec(vec(0..8_u8, 0..3), SIDS.len()),
        steps in steps(),
    ) {
        let all = Transports::default();
        let ids = |slot: usize| opened[slot].iter().copied().map(id).collect::<Vec<_>>();
        let mut slots: Vec<_> = (0..SIDS.len()).map(|slot| Some(all.slot(ids(slot)))).collect();
        let mut connected = [false; SIDS.len()];
        let mut allowed = opened.clone();
        for step in steps {
            match step {
                Step::Hint { slot, sid } => {
                    if let Some(slot) = &slots[slot] {
                        all.hint(slot, SIDS[sid]);
                    }
                }
                Step::Connect { slot } => {
                    if let Some(opener) = &slots[slot] {
                        all.confirm(opener, SIDS[slot], || ids(slot));
                        connected[slot] = true;
                    }
                }
                Step::Admit { slot, id: admitted } => all.admitted(SIDS[slot], &id(admitted)),
                Step::Replace { old, new } => {
                    let accepted = |sid: &str, number| all.is_entitled(sid, &[id(number)]);
                    let before = SIDS.map(|sid| accepted(sid, old));
                    all.replaced(&id(old), &id(new));
                    let after = SIDS.map(|sid| accepted(sid, new));
                    prop_assert!(before.iter().zip(after).all(|(old, new)| !old || new));
                    for ids in &mut allowed {
                        if ids.contains(&old) {
                            ids.push(new);
                        }
                    }
                }
                Step::Close { slot } => {
                    slots[slot] = None;
                    connected[slot] = false;
                }
            }
            all.assert_consistent();
            for slot in (0..SIDS.len()).filter(|slot| connected[*slot]) {
                let accepts = |number| all.is_entitled(SIDS[slot], &[id(number)]);
                let is_bound = !opened[slot].is_empty();
                prop_assert_eq!(all.is_bound(SIDS[slot]), is_bound);
                prop_assert_eq!(all.is_entitled(SIDS[slot], &[]), !is_bound);
                let accepted: Vec<_> = (0..8).filter(|number| accepts(*number)).collect();
                prop_assert!(!accepted.is_empty());
                prop_assert!(!is_bound || accepted.iter().all(|id| allowed[slot].contains(id)));
            }
        }
        drop(slots);
        all.assert_empty();
    }
}
