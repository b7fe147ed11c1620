//! Every order of the steps of an end of all sessions and of another node's renames.

use std::collections::HashSet;

use super::*;

const RENAMES: u8 = 4;

type Bits = u16;

/// A session that is renamed from 0 to 1, from 1 to 2, …, while all sessions of its user are ended.
#[derive(Clone)]
struct Model {
    /// The id of the session; `None` once it has ended.
    current: Option<u8>,
    /// The ids that a listing names.
    index: Bits,
    /// The next id is in the index, and the session does not have it yet.
    is_named: bool,
    ending: Ending,
    /// The ids that are to be looked up in this round, in any order.
    lookups: Bits,
    /// The ids whose lookup found the session, and which are not deleted yet.
    found: Bits,
    is_over: bool,
}

fn bit(id: u8) -> Bits {
    1 << id
}

fn ids(of: Bits) -> impl Iterator<Item = u8> {
    (0..=RENAMES).filter(move |id| of & bit(*id) != 0)
}

fn name(id: u8) -> SessionId {
    format!("id-{id}").parse().unwrap()
}

fn bits(of: &HashSet<SessionId>) -> Bits {
    let ids = (0..=RENAMES).filter(|id| of.contains(&name(*id)));
    ids.map(bit).sum()
}

impl Model {
    fn start() -> Self {
        Self {
            current: Some(0),
            index: bit(0),
            is_named: false,
            ending: Ending::new(),
            lookups: 0,
            found: 0,
            is_over: false,
        }
    }

    fn key(&self) -> (Option<u8>, [Bits; 5], [bool; 3]) {
        let ending = &self.ending;
        let named = bits(&ending.named);
        let sets = [
            self.index,
            self.lookups,
            self.found,
            named,
            bits(&ending.done),
        ];
        (
            self.current,
            sets,
            [self.is_named, ending.is_quiet, self.is_over],
        )
    }

    /// All states that one step leads to.
    fn steps(&self) -> Vec<Self> {
        let mut next = self.renames();
        if !self.is_over {
            next.extend(self.ends());
        }
        next
    }

    fn step(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut next = self.clone();
        change(&mut next);
        next
    }

    fn renames(&self) -> Vec<Self> {
        let mut next = Vec::new();
        match self.current {
            Some(id) if self.is_named => next.push(self.step(|next| {
                next.current = Some(id + 1);
                next.is_named = false;
            })),
            Some(id) if id < RENAMES => next.push(self.step(|next| {
                next.index |= bit(id + 1);
                next.is_named = true;
            })),
            _ => {}
        }
        // A former id leaves the index at any time, or never.
        let former = ids(self.index).filter(|id| self.current.is_some_and(|now| *id < now));
        next.extend(former.map(|id| self.step(|next| next.index &= !bit(id))));
        next
    }

    fn ends(&self) -> Vec<Self> {
        if self.lookups == 0 && self.found == 0 {
            return vec![self.step(Self::list)];
        }
        let lookups = ids(self.lookups).map(|id| {
            self.step(|next| {
                next.lookups &= !bit(id);
                if next.current == Some(id) {
                    next.found |= bit(id);
                }
            })
        });
        let deletions = ids(self.found).map(|id| {
            self.step(|next| {
                next.found &= !bit(id);
                if next.current == Some(id) {
                    next.current = None;
                }
                next.ending.note(name(id), Ok(()));
            })
        });
        lookups.chain(deletions).collect()
    }

    fn list(&mut self) {
        let listed =
            ids(self.index).map(|id| IndexedSession::new(name(id), SystemTime::UNIX_EPOCH));
        let lookups = self.ending.start_round(listed.collect(), &[]);
        self.lookups = bits(&lookups.into_iter().collect());
        self.is_over = self.lookups == 0;
    }
}

#[test]
fn no_order_of_steps_leaves_a_session_that_is_renamed_meanwhile() {
    let mut seen = HashSet::new();
    let mut open = vec![Model::start()];
    let mut over = 0;
    while let Some(model) = open.pop() {
        if !seen.insert(model.key()) {
            continue;
        }
        if model.is_over {
            over += 1;
            assert_eq!(model.current, None, "the session {:?} is left", model.key());
        }
        open.extend(model.steps());
    }
    assert!(
        over > 100 && seen.len() > 10_000,
        "{over} of {}",
        seen.len()
    );
}
