//! Sessions that may have been replaced elsewhere.
//!
//! A store may not know yet whether a deletion is part of a rotation: then it reports the id, calls it
//! replaced, and reports it again once it knows. Meanwhile the sockets are inert.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::Notify;

use crate::{id::SessionId, lock::Mutex};

/// The ids whose sockets are inert because the store called them replaced.
#[derive(Default)]
pub(super) struct InertIds(Arc<Mutex<HashMap<SessionId, Arc<Notify>>>>);

/// Receives the reports of one id; its drop ends that.
pub(super) struct InertId {
    ids: Arc<Mutex<HashMap<SessionId, Arc<Notify>>>>,
    id: SessionId,
    reported: Arc<Notify>,
}

impl InertIds {
    pub(super) fn watch(&self, id: &SessionId) -> InertId {
        let reported = self.0.lock().entry(id.clone()).or_default().clone();
        InertId {
            ids: self.0.clone(),
            id: id.clone(),
            reported,
        }
    }

    pub(super) fn report(&self, id: &SessionId) {
        if let Some(reported) = self.0.lock().get(id) {
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
        self.ids.lock().remove(&self.id);
    }
}
