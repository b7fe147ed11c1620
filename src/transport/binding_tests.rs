//! The requests that a transport accepts after each event of its life.

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
