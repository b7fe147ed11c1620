//! The merged document, with a choice for each thing in it that is not the type's own.
//!
//! Three texts come in: `stored`, what the type writes for what it read there (`base`), and what it
//! writes now (`new`). Whatever `base` or `new` names is the type's own, and becomes what `new` says.
//! Everything else in `stored` is a [choice](Part::Theirs): keep it or not. With every choice kept,
//! the document is `stored` with the changes from `base` to `new`; with none, it is `new`.

use std::{borrow::Cow, cmp::Reverse, collections::HashMap};

use super::{
    lists,
    part::Part,
    text::{MAX_DEPTH, Member, elements, members, same},
};

pub(super) struct Plan<'a> {
    root: Part<'a>,
    /// The group of each choice; see [`Group`].
    groups: Vec<Group<'a>>,
}

/// Common part of choices whose fate is probably the same: the name of the member, and the object
/// two levels up. In `{"users": {"ann": {"name": …}, "bob": {"name": …}}}` both names are of one group.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Group<'a> {
    grandparent: usize,
    /// In an object that the type has removed.
    removed: bool,
    name: Cow<'a, str>,
}

impl<'a> Plan<'a> {
    pub(super) fn new(stored: &'a str, base: &'a str, new: &'a str) -> Self {
        let mut planner = Planner {
            groups: Vec::new(),
            objects: 0,
            removed: false,
        };
        let place = Place {
            parent: 0,
            grandparent: 0,
            depth: MAX_DEPTH,
        };
        Self {
            root: planner.value(stored, base, new, place),
            groups: planner.groups,
        }
    }

    /// The document with these choices kept.
    pub(super) fn text(&self, kept: impl Fn(usize) -> bool) -> String {
        let mut out = String::new();
        self.root.write(&kept, &mut out);
        out
    }

    pub(super) fn choices(&self) -> usize {
        self.groups.len()
    }

    /// The choices by their groups.
    pub(super) fn groups(&self) -> Vec<Vec<usize>> {
        let mut choices: Vec<usize> = (0..self.groups.len()).collect();
        choices.sort_by_key(|&choice| &self.groups[choice]);
        choices
            .chunk_by(|&one, &other| self.groups[one] == self.groups[other])
            .map(<[usize]>::to_vec)
            .collect()
    }
}

struct Planner<'a> {
    groups: Vec<Group<'a>>,
    objects: usize,
    removed: bool,
}

#[derive(Clone, Copy)]
struct Place {
    parent: usize,
    grandparent: usize,
    /// Levels that may still be taken apart.
    depth: usize,
}

impl<'a> Planner<'a> {
    fn value(&mut self, stored: &'a str, base: &'a str, new: &'a str, place: Place) -> Part<'a> {
        if stored == new {
            return Part::Ours(new);
        }
        if place.depth > 0 {
            match (members(stored), members(base), members(new)) {
                (Some(stored), Some(base), Some(new)) => {
                    return Part::Object(self.members(stored, base, new, place));
                }
                (Some(_), Some(_), None) => return self.rest(stored, base, Some(new), place),
                _ => {}
            }
            if let Some(list) = self.list(stored, base, new, place) {
                return list;
            }
        }
        if same(base, new) {
            return self.theirs(stored, Some(new), "".into(), place);
        }
        Part::Ours(new)
    }

    /// Stored elements stay in their order; new ones follow.
    fn members(
        &mut self,
        stored: Vec<Member<'a>>,
        base: Vec<Member<'a>>,
        new: Vec<Member<'a>>,
        place: Place,
    ) -> Vec<(&'a str, Part<'a>)> {
        let place = self.inside(place);
        let (base, new_by_name) = (Names::of(&base), Names::of(&new));
        let mut merged = Vec::with_capacity(stored.len() + new.len());
        let mut theirs = Vec::new();
        for member in &stored {
            let (name, value) = (&member.name, member.value);
            let part = match (base.get(name), new_by_name.get(name)) {
                (Some(base), Some(new)) => self.value(value, base, new, place),
                // A type may leave out what is empty.
                (None, Some(new)) if value.starts_with('{') => self.value(value, "{}", new, place),
                (None, Some(new)) => Part::Ours(new),
                (Some(base), None) => self.rest(value, base, None, place),
                (None, None) => {
                    theirs.push((self.groups.len(), value));
                    self.theirs(value, None, name.clone(), place)
                }
            };
            merged.push((member.key, part));
        }
        let names = Names::of(&stored);
        for added in new
            .iter()
            .filter(|member| names.get(&member.name).is_none())
        {
            let base = base.get(&added.name);
            let part = base.and_then(|base| self.renamed(&mut theirs, base, added.value, place));
            merged.push((added.key, part.unwrap_or(Part::Ours(added.value))));
        }
        merged
    }

    /// The type may have read this field under its old name, and then the fields of others move along.
    fn renamed(
        &mut self,
        theirs: &mut Vec<(usize, &'a str)>,
        base: &'a str,
        new: &'a str,
        place: Place,
    ) -> Option<Part<'a>> {
        let likely = theirs.iter().enumerate();
        let likely = likely.filter_map(|(nth, (_, stored))| {
            let shared = lists::likely(stored, base)?;
            Some((shared, Reverse(nth)))
        });
        let (_, Reverse(nth)) = likely.max()?;
        let (choice, stored) = theirs.remove(nth);
        Some(Part::Renamed {
            choice,
            new,
            merged: Box::new(self.value(stored, base, new, place)),
        })
    }

    fn rest(
        &mut self,
        stored: &'a str,
        base: &'a str,
        new: Option<&'a str>,
        place: Place,
    ) -> Part<'a> {
        let before = std::mem::replace(&mut self.removed, true);
        let members = match (members(stored), members(base)) {
            (Some(stored), Some(base)) if place.depth > 0 => {
                self.members(stored, base, Vec::new(), place)
            }
            _ => Vec::new(),
        };
        self.removed = before;
        Part::Rest { members, new }
    }

    fn list(
        &mut self,
        stored: &'a str,
        base: &'a str,
        new: &'a str,
        place: Place,
    ) -> Option<Part<'a>> {
        let (stored, base, new) = (elements(stored)?, elements(base)?, elements(new)?);
        let found = lists::aligned(&stored, &base, &new)?;
        let place = self.inside(place);
        let parts = new.into_iter().zip(found).map(|(new, found)| match found {
            Some((in_stored, in_base)) => self.value(stored[in_stored], base[in_base], new, place),
            None => Part::Ours(new),
        });
        Some(Part::Array(parts.collect()))
    }

    fn theirs(
        &mut self,
        stored: &'a str,
        new: Option<&'a str>,
        name: Cow<'a, str>,
        place: Place,
    ) -> Part<'a> {
        let choice = self.groups.len();
        self.groups.push(Group {
            grandparent: place.grandparent,
            removed: self.removed,
            name,
        });
        Part::Theirs {
            choice,
            stored,
            new,
        }
    }

    fn inside(&mut self, place: Place) -> Place {
        self.objects += 1;
        Place {
            parent: self.objects,
            grandparent: place.parent,
            depth: place.depth - 1,
        }
    }
}

/// The values of an object by their names; of doubled ones, the last.
enum Names<'a, 'b> {
    Few(&'b [Member<'a>]),
    Many(HashMap<&'b str, &'a str>),
}

impl<'a, 'b> Names<'a, 'b> {
    /// Number of members up to which looking at each is faster than hashing.
    const FEW: usize = 12;

    fn of(members: &'b [Member<'a>]) -> Self {
        if members.len() <= Self::FEW {
            return Self::Few(members);
        }
        let pairs = members.iter().map(|member| (&*member.name, member.value));
        Self::Many(pairs.collect())
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        match self {
            Self::Few(members) => members.iter().rfind(|m| m.name == name).map(|m| m.value),
            Self::Many(values) => values.get(name).copied(),
        }
    }
}
