//! A socket of socketioxide, as the live sessions see it.

use std::{
    marker::PhantomData,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use socketioxide::{adapter::Adapter, extract::SocketRef, socket::Socket};

use super::Attached;
use crate::{
    hook::Job,
    live::{EndReason, LiveSocket, Presence},
};

pub(super) type EndHook<A> = dyn Fn(SocketRef<A>, EndReason) + Send + Sync;

/// A socket as the live sessions see it. It does not keep the socket alive.
pub(super) struct IoSocket<A: Adapter, T> {
    socket: Weak<Socket<A>>,
    seen: AtomicBool,
    on_end: Option<Arc<EndHook<A>>>,
    data: PhantomData<fn() -> T>,
}

impl<A: Adapter, T> IoSocket<A, T> {
    pub(super) fn new(socket: &Arc<Socket<A>>, on_end: Option<Arc<EndHook<A>>>) -> Self {
        Self {
            socket: Arc::downgrade(socket),
            seen: AtomicBool::new(false),
            on_end,
            data: PhantomData,
        }
    }
}

impl<A: Adapter, T: Send + Sync + 'static> LiveSocket for IoSocket<A, T> {
    fn presence(&self) -> Presence {
        let Some(socket) = self.socket.upgrade() else {
            return Presence::Gone;
        };
        // A client may have come back with the same id: it must be the very same socket.
        let found = socket.broadcast().get_socket(socket.id);
        let is_here =
            found.is_some_and(|found| std::ptr::eq(&raw const *found, Arc::as_ptr(&socket)));
        let was_here = self.seen.fetch_or(is_here, Ordering::SeqCst);
        match (is_here, socket.connected()) {
            (_, true) => Presence::Connected,
            (true, false) if was_here => Presence::Leaving,
            (false, false) if was_here => Presence::Gone,
            (_, false) => Presence::Connecting,
        }
    }

    fn seen(&self) {
        self.seen.store(true, Ordering::SeqCst);
    }

    fn leave_rooms(&self) {
        if let Some(socket) = self.socket.upgrade() {
            socket.leave_all();
        }
    }

    fn disconnect(&self) {
        if let Some(socket) = self.socket.upgrade() {
            // It fails when the client does not read; the presence tells.
            let _ = socket.disconnect();
        }
    }

    fn release(&self) {
        if let Some(socket) = self.socket.upgrade() {
            socket.extensions.remove::<Attached<T>>();
        }
    }

    fn last_word(&self, reason: EndReason) -> Option<Job> {
        let hook = self.on_end.clone()?;
        let socket = SocketRef::from(self.socket.upgrade()?);
        Some(Box::new(move || hook(socket, reason)))
    }
}
