//! Sessions that may have been replaced elsewhere.
//!
//! A store may not know yet whether a deletion is part of a rotation: then it reports the id, calls it
//! replaced, and reports it again once it knows. Meanwhile the sockets are inert.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::Notify;

use crate::{id::SessionId, lock::Mutex};

/// The ids whose sockets are inert because the store called them replaced.
#[derive(Default)]
pub(super) struct InertIds(Watches);

/// Several entries of one id can be inert at the same time.
type Watches = Arc<Mutex<HashMap<SessionId, Vec<Arc<Notify>>>>>;

/// Receives the reports of one id; its drop ends that.
pub(super) struct InertId {
    ids: Watches,
    id: SessionId,
    reported: Arc<Notify>,
}

impl InertIds {
    pub(super) fn watch(&self, id: &SessionId) -> InertId {
        let reported = Arc::new(Notify::new());
        let mut ids = self.0.lock();
        ids.entry(id.clone()).or_default().push(reported.clone());
        drop(ids);
        InertId {
            ids: self.0.clone(),
            id: id.clone(),
            reported,
        }
    }

    pub(super) fn report(&self, id: &SessionId) {
        for reported in self.0.lock().get(id).into_iter().flatten() {
            reported.notify_one();
        }
    }
}

impl InertId {
    pub(super) async fn reported(&self) {
        self.reported.notified().await;
    }
}

impl Drop for InertId {
    fn drop(&mut self) {
        let mut ids = self.ids.lock();
        if let Some(all) = ids.get_mut(&self.id) {
            all.retain(|other| !Arc::ptr_eq(other, &self.reported));
            if all.is_empty() {
                ids.remove(&self.id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_watch_of_an_id_is_reported() {
        let (inert, id): (_, SessionId) = (InertIds::default(), "an-id".parse().unwrap());
        let (first, second) = (inert.watch(&id), inert.watch(&id));
        drop(first);
        inert.report(&id);
        let reported = tokio::time::timeout(Duration::from_secs(1), second.reported()).await;
        assert!(reported.is_ok());
        drop(second);
        assert!(inert.0.lock().is_empty());
    }
}
