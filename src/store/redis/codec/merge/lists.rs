//! The alignment of the elements of two lists, so that other programs' fields stay with their elements.
//!
//! The elements of a list have no names. What the type read and what it writes are aligned by their
//! first scalar where that tells them apart (a set, a map as a list of pairs, in any order), else by
//! their place. Where neither fits what is stored, the list as a whole is the type's own.

use std::collections::{HashMap, HashSet, VecDeque};

use super::text::{Lists, canonical, elements, is_container, members};

/// For each new element, where it is in `stored` and in `base`, if it is there. `None` when the
/// elements that are stored can't be told apart, or hold nothing that others could have added to.
pub(super) fn aligned(
    stored: &[&str],
    base: &[&str],
    new: &[&str],
) -> Option<Vec<Option<(usize, usize)>>> {
    if !stored.iter().copied().any(is_container) {
        return None;
    }
    let to_stored = base_in_stored(stored, base)?;
    let found = new_in_base(base, new).into_iter().map(|in_base| {
        let in_base = in_base?;
        Some((to_stored[in_base]?, in_base))
    });
    Some(found.collect())
}

fn base_in_stored(stored: &[&str], base: &[&str]) -> Option<Vec<Option<usize>>> {
    if let (Some(stored), Some(base)) = (identities(stored), identities(base)) {
        let stored: HashMap<&String, usize> = stored.iter().zip(0..).collect();
        return Some(base.iter().map(|base| stored.get(base).copied()).collect());
    }
    let in_place = stored.len() == base.len()
        && stored
            .iter()
            .zip(base)
            .all(|(stored, base)| plausible(stored, base, DEPTH));
    in_place.then(|| (0..base.len()).map(Some).collect())
}

fn new_in_base(base: &[&str], new: &[&str]) -> Vec<Option<usize>> {
    if let (Some(base), Some(new)) = (identities(base), identities(new)) {
        let base: HashMap<&String, usize> = base.iter().zip(0..).collect();
        return new.iter().map(|new| base.get(new).copied()).collect();
    }
    let mut unchanged: HashMap<String, VecDeque<usize>> = HashMap::new();
    for (nth, base) in base.iter().enumerate() {
        let places = unchanged.entry(canonical(base, Lists::Ordered));
        places.or_default().push_back(nth);
    }
    let mut found: Vec<Option<usize>> = new
        .iter()
        .map(|new| {
            unchanged
                .get_mut(&canonical(new, Lists::Ordered))?
                .pop_front()
        })
        .collect();
    // One that changed is found by its place, if no other has moved there.
    if base.len() == new.len() {
        let left: HashSet<usize> = unchanged.into_values().flatten().collect();
        for (nth, found) in found.iter_mut().enumerate() {
            *found = found.or(Some(nth).filter(|nth| left.contains(nth)));
        }
    }
    found
}

/// The identity of each element: a scalar by itself, a list by its first scalar. `None` when one has
/// none, or two have the same.
fn identities(list: &[&str]) -> Option<Vec<String>> {
    let identities: Option<Vec<String>> = list.iter().map(|element| identity(element)).collect();
    let identities = identities?;
    let distinct: HashSet<&String> = identities.iter().collect();
    (distinct.len() == identities.len()).then_some(identities)
}

fn identity(element: &str) -> Option<String> {
    let first = if is_container(element) {
        *elements(element)?.first()?
    } else {
        element
    };
    (!is_container(first)).then(|| canonical(first, Lists::Ordered))
}

/// Whether `base` can be what the type read from `stored`, two objects or two lists: if so, the number of
/// names that both have.
pub(super) fn likely(stored: &str, base: &str) -> Option<usize> {
    if !is_container(stored) || stored.get(..1) != base.get(..1) {
        return None;
    }
    let (in_stored, in_base) = (
        members(stored).unwrap_or_default(),
        members(base).unwrap_or_default(),
    );
    let names: HashSet<&str> = in_stored.iter().map(|member| &*member.name).collect();
    let shared = in_base
        .iter()
        .filter(|member| names.contains(&*member.name));
    plausible(stored, base, DEPTH).then(|| shared.count())
}

/// Levels of an element that are compared to tell whether it is in its place.
const DEPTH: usize = 8;

/// Whether `base` can be what the type read from `stored`: no scalar that both name differs. Of a set
/// of objects, which has another order each time, this tells that its elements are elsewhere.
fn plausible(stored: &str, base: &str, depth: usize) -> bool {
    if depth == 0 || stored == base {
        return true;
    }
    if let (Some(stored), Some(base)) = (members(stored), members(base)) {
        let stored: HashMap<&str, &str> = stored.iter().map(|m| (&*m.name, m.value)).collect();
        return base.iter().all(|member| {
            let stored = stored.get(&*member.name);
            stored.is_none_or(|stored| plausible(stored, member.value, depth - 1))
        });
    }
    let number = |text: &str| text.parse::<f64>().ok();
    match (number(stored), number(base)) {
        (Some(stored), Some(base)) => stored.total_cmp(&base).is_eq(),
        (None, None) if stored.starts_with('"') && base.starts_with('"') => {
            canonical(stored, Lists::Ordered) == canonical(base, Lists::Ordered)
        }
        _ => true,
    }
}
