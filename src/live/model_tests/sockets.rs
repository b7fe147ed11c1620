//! Sockets without a server.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;

use super::super::{EndReason, LiveSocket, Presence, Seat};

/// A socket that can be disconnected at once, in a place of its own.
pub(crate) struct PlainSocket {
    number: usize,
    gone: AtomicBool,
    in_room: AtomicBool,
    /// The reasons that its end hook was called with, if it has one.
    ended: Option<Arc<Mutex<Vec<EndReason>>>>,
}

impl Default for PlainSocket {
    fn default() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        Self {
            number: NUMBER.fetch_add(1, Ordering::Relaxed),
            gone: AtomicBool::new(false),
            in_room: AtomicBool::new(false),
            ended: None,
        }
    }
}

impl PlainSocket {
    /// A socket with an end hook, and the reasons that this is called with.
    pub(crate) fn with_end_hook() -> (Arc<Self>, Arc<Mutex<Vec<EndReason>>>) {
        let ended = Arc::<Mutex<Vec<EndReason>>>::default();
        let socket = Self {
            ended: Some(ended.clone()),
            ..Self::default()
        };
        (Arc::new(socket), ended)
    }

    pub(crate) fn is_in_room(&self) -> bool {
        self.in_room.load(Ordering::SeqCst)
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::SeqCst)
    }
}

impl LiveSocket for PlainSocket {
    fn presence(&self) -> Presence {
        if self.is_gone() {
            Presence::Gone
        } else {
            Presence::Connected
        }
    }

    fn seat(&self) -> Option<Seat> {
        Some(Seat {
            namespace: "/".into(),
            sid: format!("plain-{}", self.number).into(),
        })
    }

    fn seen(&self) {}
    fn still_leaving(&self) -> bool {
        false
    }

    fn join(&self, _: String) {
        self.in_room.store(true, Ordering::SeqCst);
    }

    fn join_later(&self, room: String, _: &str) {
        if !self.is_gone() {
            self.join(room);
        }
    }

    fn leave_rooms(&self, _: &str) {
        self.in_room.store(false, Ordering::SeqCst);
    }

    fn disconnect(&self) {
        self.gone.store(true, Ordering::SeqCst);
        self.in_room.store(false, Ordering::SeqCst);
    }

    fn release(&self) {}

    fn end_hook(&self, reason: EndReason) -> Option<Box<dyn FnOnce() + Send>> {
        let ended = self.ended.clone()?;
        Some(Box::new(move || ended.lock().push(reason)))
    }
}

/// A seat of a namespace, as a Socket.IO server has it: rooms belong to the seat, and go with the
/// socket that is removed from it.
#[derive(Default)]
pub(crate) struct Place(Mutex<Occupied>);

#[derive(Default)]
struct Occupied {
    by: Option<usize>,
    rooms: HashSet<String>,
}

impl Place {
    pub(crate) fn is_in_room(&self) -> bool {
        !self.0.lock().rooms.is_empty()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().by.is_none()
    }

    /// Steps of a server when the client leaves.
    pub(crate) fn clear(&self) {
        *self.0.lock() = Occupied::default();
    }
}

/// A socket that takes a seat which other sockets had or will have.
pub(crate) struct SeatedSocket {
    place: Arc<Place>,
    number: usize,
    entered: AtomicBool,
    connected: AtomicBool,
    /// Number of disconnects that panic before one succeeds.
    panics: AtomicUsize,
    /// Number of disconnects that fail before one succeeds: the client does not read.
    fails: AtomicUsize,
}

impl SeatedSocket {
    pub(crate) fn new(place: &Arc<Place>, number: usize) -> Arc<Self> {
        Self::panicking(place, number, 0)
    }

    pub(crate) fn panicking(place: &Arc<Place>, number: usize, panics: usize) -> Arc<Self> {
        Arc::new(Self {
            place: place.clone(),
            number,
            entered: AtomicBool::new(false),
            connected: AtomicBool::new(false),
            panics: AtomicUsize::new(panics),
            fails: AtomicUsize::new(0),
        })
    }

    pub(crate) fn failing(place: &Arc<Place>, number: usize, fails: usize) -> Arc<Self> {
        let socket = Self::new(place, number);
        socket.fails.store(fails, Ordering::SeqCst);
        socket
    }

    pub(crate) fn the_seat() -> Seat {
        Seat {
            namespace: "/".into(),
            sid: "the-sid".into(),
        }
    }

    /// Steps of a server when all middlewares have admitted the socket.
    pub(crate) fn enter(&self) {
        self.place.0.lock().by = Some(self.number);
        self.entered.store(true, Ordering::SeqCst);
        self.connected.store(true, Ordering::SeqCst);
    }

    /// An empty seat is this socket's only while it has not entered its namespace yet, and the room is there
    /// that it joined at its admission.
    fn acts(&self, place: &Occupied, own: &str) -> bool {
        match place.by {
            Some(by) => by == self.number,
            None => !self.entered.load(Ordering::SeqCst) && place.rooms.contains(own),
        }
    }

    fn has_seat(&self) -> bool {
        self.place.0.lock().by == Some(self.number)
    }
}

fn take_one(counter: &AtomicUsize) -> bool {
    let taken = counter.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
        left.checked_sub(1)
    });
    taken.is_ok()
}

impl LiveSocket for SeatedSocket {
    fn presence(&self) -> Presence {
        let connected = self.connected.load(Ordering::SeqCst);
        match (self.has_seat(), self.entered.load(Ordering::SeqCst)) {
            (true, _) if connected => Presence::Connected,
            (true, _) => Presence::Leaving,
            (false, true) => Presence::Gone,
            (false, false) => Presence::Connecting,
        }
    }

    fn seat(&self) -> Option<Seat> {
        Some(Self::the_seat())
    }

    fn seen(&self) {}
    fn still_leaving(&self) -> bool {
        false
    }

    fn join(&self, room: String) {
        self.place.0.lock().rooms.insert(room);
    }

    fn join_later(&self, room: String, own: &str) {
        let mut place = self.place.0.lock();
        if self.acts(&place, own) {
            place.rooms.insert(room);
        }
    }

    fn leave_rooms(&self, own: &str) {
        let mut place = self.place.0.lock();
        if self.acts(&place, own) {
            place.rooms.clear();
        }
    }

    fn disconnect(&self) {
        if !self.has_seat() || take_one(&self.fails) {
            return;
        }
        self.connected.store(false, Ordering::SeqCst);
        if take_one(&self.panics) {
            // As a panic, but without a message for each of thousands of runs.
            std::panic::resume_unwind(Box::new("a disconnect handler that panics"));
        }
        self.place.clear();
    }

    fn release(&self) {}

    fn end_hook(&self, _: EndReason) -> Option<Box<dyn FnOnce() + Send>> {
        None
    }
}
