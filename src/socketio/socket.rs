//! A socket of socketioxide, as the live sessions see it.

use std::{
    convert::Infallible,
    marker::PhantomData,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use socketioxide::{
    SocketIo, adapter::Adapter, extract::SocketRef, handler::FromConnectParts, socket::Socket,
};
use tokio::time::Instant;

use super::Attached;
use crate::live::{EndReason, LiveSocket, Presence, Seat};

/// Boxed, so that each socket holds a thin pointer.
pub(super) type EndHook<A> = Box<dyn Fn(SocketRef<A>, EndReason) + Send + Sync>;

/// Time after which a socket that has not entered its namespace never will, however slow the other
/// middlewares are.
const CONNECT_TIMEOUT: Duration = Duration::from_hours(1);

/// A socket as the live sessions see it. It does not keep the socket alive.
pub(super) struct IoSocket<A: Adapter, T> {
    socket: Weak<Socket<A>>,
    since: Instant,
    /// It was seen in its namespace, or connected.
    entered: AtomicBool,
    /// It was seen leaving.
    leaving: AtomicBool,
    on_end: Option<Arc<EndHook<A>>>,
    data: PhantomData<fn() -> T>,
}

/// Content of a socket's seat in its namespace.
enum AtSeat {
    /// The namespace, or the whole server, is gone.
    NoNamespace,
    Empty,
    This,
    Another,
}

impl<A: Adapter, T> IoSocket<A, T> {
    pub(super) fn new(socket: &Arc<Socket<A>>, on_end: Option<Arc<EndHook<A>>>) -> Self {
        Self {
            socket: Arc::downgrade(socket),
            since: Instant::now(),
            entered: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            on_end,
            data: PhantomData,
        }
    }

    fn at_seat(socket: &Arc<Socket<A>>) -> AtSeat {
        // The socket's own reference to its namespace outlives the namespace's removal.
        let io: Result<SocketIo<A>, Infallible> = SocketIo::from_connect_parts(socket, &None);
        let Some(namespace) = io.ok().and_then(|io| io.of(socket.ns())) else {
            return AtSeat::NoNamespace;
        };
        match namespace.get_socket(socket.id) {
            None => AtSeat::Empty,
            Some(found) if std::ptr::eq(&raw const *found, Arc::as_ptr(socket)) => AtSeat::This,
            Some(_) => AtSeat::Another,
        }
    }

    /// Whether rooms of the seat are those of this socket. An empty seat is this socket's only while it has
    /// not entered its namespace yet. When another middleware rejects it, which nothing tells, socketioxide
    /// takes it out of its rooms, and a successor's are others.
    fn has_seat(&self, socket: &Arc<Socket<A>>, own: &str) -> bool {
        match Self::at_seat(socket) {
            AtSeat::This => true,
            AtSeat::Empty if self.entered.load(Ordering::SeqCst) => false,
            AtSeat::Empty => socket.rooms().iter().any(|room| &**room == own),
            AtSeat::Another | AtSeat::NoNamespace => false,
        }
    }
}

pub(super) fn seat_of<A: Adapter>(socket: &Socket<A>) -> Seat {
    Seat {
        namespace: socket.ns().into(),
        sid: socket.id.as_str().into(),
    }
}

impl<A: Adapter, T: Send + Sync + 'static> LiveSocket for IoSocket<A, T> {
    fn presence(&self) -> Presence {
        let Some(socket) = self.socket.upgrade() else {
            return Presence::Gone;
        };
        let connected = socket.connected();
        let is_here = match Self::at_seat(&socket) {
            AtSeat::NoNamespace | AtSeat::Another => return Presence::Gone,
            AtSeat::Empty => false,
            AtSeat::This => true,
        };
        let had_entered = self
            .entered
            .fetch_or(is_here || connected, Ordering::SeqCst);
        match (is_here, connected) {
            (true, true) => Presence::Connected,
            // It enters its namespace and is connected in one go: when it was here before, it is
            // leaving.
            (true, false) if had_entered => Presence::Leaving,
            // `connected` alone proves nothing: a namespace can lose a socket without telling it.
            (false, true) => Presence::Gone,
            (false, false) if had_entered => Presence::Gone,
            // Another middleware has rejected it, and the application holds it. Nothing tells that.
            (false, false) if self.since.elapsed() > CONNECT_TIMEOUT => Presence::Gone,
            (_, false) => Presence::Connecting,
        }
    }

    fn seat(&self) -> Option<Seat> {
        self.socket.upgrade().map(|socket| seat_of(&socket))
    }

    fn seen(&self) {
        self.entered.store(true, Ordering::SeqCst);
    }

    fn join(&self, room: String) {
        if let Some(socket) = self.socket.upgrade() {
            socket.join(room);
        }
    }

    fn still_leaving(&self) -> bool {
        let leaving = self.presence() == Presence::Leaving;
        self.leaving.swap(leaving, Ordering::SeqCst) && leaving
    }

    fn join_later(&self, room: String, own: &str) {
        let Some(socket) = self.socket.upgrade() else {
            return;
        };
        if !self.has_seat(&socket, own) {
            return;
        }
        socket.join(room.clone());
        // Should it have left meanwhile, its rooms were emptied before it joined this one.
        if !self.has_seat(&socket, own) {
            socket.leave(room);
        }
    }

    fn leave_rooms(&self, own: &str) {
        if let Some(socket) = self.socket.upgrade()
            && self.has_seat(&socket, own)
        {
            socket.leave_all();
        }
    }

    fn disconnect(&self) {
        if let Some(socket) = self.socket.upgrade()
            && let AtSeat::This = Self::at_seat(&socket)
        {
            // It fails when the client does not read; the presence tells.
            let _ = socket.disconnect();
        }
    }

    fn release(&self) {
        if let Some(socket) = self.socket.upgrade() {
            let attached = socket.extensions.insert(Attached::<T>::Released);
            drop(attached);
        }
    }

    fn end_hook(&self, reason: EndReason) -> Option<Box<dyn FnOnce() + Send>> {
        let hook = self.on_end.clone()?;
        let socket = SocketRef::from(self.socket.upgrade()?);
        Some(Box::new(move || hook(socket, reason)))
    }
}
