//! The search for other programs' fields that keep a document from reading as it was saved.

use super::plan::Plan;

/// The document with as many choices kept as can be. A choice is dropped only if the document reads
/// without it and does not read with it. `None` when no document reads, or the answers contradict
/// each other.
///
/// Groups are judged first, because an old name in each entry of a map is one culprit, not a thousand.
/// Then the choices of the groups that were dropped, one by one, as far as `reads` goes on.
pub(super) fn most(plan: &Plan<'_>, reads: impl Fn(&str) -> bool) -> Option<String> {
    let mut search = Search {
        plan,
        reads,
        kept: vec![false; plan.choices()],
    };
    if !search.reads() {
        return None;
    }
    let groups = plan.groups();
    let mut dropped = Vec::new();
    search.settle(&groups, &mut dropped)?;
    for group in dropped.into_iter().filter(|group| group.len() > 1) {
        let single: Vec<Vec<usize>> = group.iter().map(|&choice| vec![choice]).collect();
        if search.settle(&single, &mut Vec::new()).is_none() {
            break;
        }
    }
    let text = search.text();
    Some(text)
}

struct Search<'a, F> {
    plan: &'a Plan<'a>,
    reads: F,
    /// The document with these reads as what was saved.
    kept: Vec<bool>,
}

impl<F: Fn(&str) -> bool> Search<'_, F> {
    /// Keeps as many of these as can be, each as a whole; the others are `dropped`. It halves, so few
    /// culprits among many are found with few reads. `None` when the answers contradict each other.
    fn settle(&mut self, units: &[Vec<usize>], dropped: &mut Vec<Vec<usize>>) -> Option<()> {
        if units.is_empty() {
            return Some(());
        }
        self.set(units, true);
        if self.reads() {
            return Some(());
        }
        self.set(units, false);
        if let [unit] = units {
            // A type that writes something else each time must not convict a field.
            if !self.reads() {
                return None;
            }
            dropped.push(unit.clone());
            return Some(());
        }
        let (first, second) = units.split_at(units.len() / 2);
        self.settle(first, dropped)?;
        self.settle(second, dropped)
    }

    fn set(&mut self, units: &[Vec<usize>], kept: bool) {
        for &choice in units.iter().flatten() {
            self.kept[choice] = kept;
        }
    }

    fn reads(&self) -> bool {
        (self.reads)(&self.text())
    }

    fn text(&self) -> String {
        self.plan.text(|choice| self.kept[choice])
    }
}
