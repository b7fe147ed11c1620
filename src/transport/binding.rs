//! Which polling transport belongs to which session.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;

use super::Transport;
use crate::{id::SessionId, live::EndFlag};

/// The polling transports of a bridge.
pub(crate) struct Transports<T> {
    by_sid: Arc<Owners<T>>,
}

/// Which polling transport belongs to which session, by the `sid`.
type Owners<T> = Mutex<HashMap<Arc<str>, Owner<T>>>;

struct Owner<T> {
    id: SessionId,
    /// Whether the session was rotated; known once it has connected.
    end: Option<Arc<EndFlag<T>>>,
}

impl<T> Transports<T> {
    /// Binds a transport to a session, unless it is bound already; as long as the transport is kept.
    pub(crate) fn bind(&self, transport: &Transport<T>, sid: &str, id: &SessionId) {
        transport.binding.get_or_init(|| {
            let sid: Arc<str> = sid.into();
            let owner = Owner {
                id: id.clone(),
                end: None,
            };
            self.by_sid.lock().insert(sid.clone(), owner);
            let by_sid = self.by_sid.clone();
            Box::new(Binding { by_sid, sid })
        });
    }

    /// The session of a transport has connected: should it be rotated here, its client goes on with
    /// the new id.
    pub(crate) fn connected(&self, sid: &str, id: &SessionId, end: &Arc<EndFlag<T>>) {
        if let Some(owner) = self.by_sid.lock().get_mut(sid)
            && owner.id == *id
        {
            owner.end = Some(end.clone());
        }
    }

    /// The session that a transport was opened with is gone, so with its opening request nobody can
    /// connect: it is nobody's, as one that was opened without any credential.
    pub(crate) fn release(&self, transport: &Transport<T>, id: &SessionId) {
        if let Some(binding) = transport.binding.get() {
            let mut by_sid = self.by_sid.lock();
            let owner = by_sid.get(&binding.sid);
            let released = owner.is_some_and(|owner| owner.id == *id && owner.end.is_none());
            let owner = released.then(|| by_sid.remove(&binding.sid));
            drop(by_sid);
            drop(owner);
        }
    }

    pub(crate) fn is_bound(&self, sid: &str) -> bool {
        self.by_sid.lock().contains_key(sid)
    }

    /// Whether a request that shows this session may act for the transport.
    pub(crate) fn is_owner(&self, sid: &str, shown: &SessionId) -> bool {
        let by_sid = self.by_sid.lock();
        by_sid.get(sid).is_none_or(|owner| {
            let successor = owner.end.as_ref().and_then(|end| end.successor());
            owner.id == *shown || successor.is_some_and(|id| id == *shown)
        })
    }

    pub(crate) fn bound_count(&self) -> usize {
        self.by_sid.lock().len()
    }
}

impl<T> Default for Transports<T> {
    fn default() -> Self {
        Self {
            by_sid: Arc::default(),
        }
    }
}

/// Keeps a transport bound.
pub(super) struct Binding<T> {
    by_sid: Arc<Owners<T>>,
    sid: Arc<str>,
}

impl<T> Drop for Binding<T> {
    fn drop(&mut self) {
        let owner = self.by_sid.lock().remove(&self.sid);
        drop(owner);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::EndReason;

    fn id(text: &str) -> SessionId {
        text.parse().unwrap()
    }

    #[test]
    fn a_binding_lives_as_long_as_its_transport() {
        let all = Transports::<()>::default();
        let (ann, bob) = (id("ann"), id("bob"));
        let transport = Transport::default();
        all.bind(&transport, "a", &ann);
        all.bind(&transport, "a", &bob);
        assert!(all.is_bound("a") && !all.is_bound("b"));
        assert!(all.is_owner("a", &ann) && !all.is_owner("a", &bob));
        assert!(all.is_owner("b", &bob), "it is nobody's");
        drop(transport);
        assert_eq!(all.bound_count(), 0);
    }

    #[test]
    fn after_a_rotation_here_the_new_id_is_as_good_and_after_any_other_end_nothing_else() {
        for reason in [
            EndReason::Deleted,
            EndReason::Rotated,
            EndReason::Expired,
            EndReason::StoreUnreachable,
        ] {
            let all = Transports::<()>::default();
            let (old, new) = (id("old"), id("new"));
            let transport = Transport::default();
            let end = Arc::new(EndFlag::of_nobody());
            all.bind(&transport, "a", &old);
            all.connected("a", &old, &end);
            end.set_successor(&new);
            assert!(!all.is_owner("a", &new));
            end.raise(reason);
            assert_eq!(all.is_owner("a", &new), reason == EndReason::Rotated);
            assert!(all.is_owner("a", &old));
            all.release(&transport, &old);
            assert!(all.is_bound("a"), "there was a session on it");
        }
    }

    #[test]
    fn a_transport_whose_session_was_never_there_is_nobodys() {
        let all = Transports::<()>::default();
        let transport = Transport::default();
        all.bind(&transport, "a", &id("gone"));
        all.release(&transport, &id("other"));
        assert!(all.is_bound("a"));
        all.release(&transport, &id("gone"));
        assert!(!all.is_bound("a"));
        all.release(&Transport::default(), &id("gone"));
    }
}
