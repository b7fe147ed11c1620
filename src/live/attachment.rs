//! A socket that is attached to its session, and how it is admitted.

use std::sync::{Arc, atomic::Ordering};

use super::{
    activity, entry::Entry, load, load_error::LoadError, sessions::LiveSessions,
    socket::LiveSocket, users, view::View,
};
use crate::{id::SessionId, store::StoreError};

/// Holds a socket attached to its session; dropped with the socket.
pub(crate) struct Attachment<T: Send + Sync + 'static> {
    sessions: LiveSessions<T>,
    entry: Arc<Entry<T>>,
    key: u64,
    socket: Arc<dyn LiveSocket>,
}

impl<T: Send + Sync + 'static> LiveSessions<T> {
    /// Admits a socket to a session. It is attached first, then the session is loaded, then it joins
    /// its room: whatever ends the session in between finds the socket.
    pub(crate) async fn admit(
        &self,
        id: &SessionId,
        socket: Arc<dyn LiveSocket>,
    ) -> Result<Attachment<T>, LoadError> {
        self.ensure_worker();
        let attachment = self.attach(id, socket)?;
        let known = load::current(&self.0, &attachment.entry).await?;
        // A shutdown that began meanwhile did not find the socket.
        self.check_not_shut_down()?;
        attachment.socket.join(attachment.entry.room().to_owned());
        users::join(&self.0, &attachment.entry, &known.data, &attachment.socket);
        if attachment.entry.leave_if_ended([&attachment.socket]) {
            return Err(LoadError::NotFound);
        }
        activity::used(&self.0, &attachment.entry, &known);
        Ok(attachment)
    }

    fn attach(
        &self,
        id: &SessionId,
        socket: Arc<dyn LiveSocket>,
    ) -> Result<Attachment<T>, LoadError> {
        self.check_not_shut_down()?;
        let entry = self.0.entry(id);
        let key = self.0.attach(&entry, &socket).ok_or(LoadError::NotFound)?;
        Ok(Attachment {
            sessions: self.clone(),
            entry,
            key,
            socket,
        })
    }

    fn check_not_shut_down(&self) -> Result<(), LoadError> {
        if self.0.shut_down.load(Ordering::SeqCst) {
            return Err(LoadError::Store(StoreError::shut_down()));
        }
        Ok(())
    }
}

impl<T: Send + Sync + 'static> Attachment<T> {
    pub(crate) fn view(&self) -> View<T> {
        View {
            entry: self.entry.clone(),
            snapshot: self.entry.snapshot().expect("it was loaded at admission"),
        }
    }

    #[cfg(test)]
    pub(super) fn entry(&self) -> &Arc<Entry<T>> {
        &self.entry
    }

    #[cfg(test)]
    pub(super) fn end_reason(&self) -> Option<super::EndReason> {
        self.entry.end_reason()
    }

    pub(crate) fn id(&self) -> &SessionId {
        self.entry.id()
    }

    pub(crate) fn sessions(&self) -> &LiveSessions<T> {
        &self.sessions
    }

    pub(crate) fn socket(&self) -> &Arc<dyn LiveSocket> {
        &self.socket
    }
}

impl<T: Send + Sync + 'static> Drop for Attachment<T> {
    fn drop(&mut self) {
        self.sessions.0.detach(&self.entry, self.key);
    }
}
