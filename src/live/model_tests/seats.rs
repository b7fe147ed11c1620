//! Sockets that take the same seat one after the other, and disconnect handlers that panic.

use std::{sync::Arc, time::Duration};

use super::{
    super::{Attachment, Disconnect, LiveSocket as _, Presence},
    Run,
    explorer::{Actor, explore, interleave},
    settle,
    sockets::{Place, SeatedSocket},
};
use crate::id::SessionId;

impl Run {
    /// Steps of a server for a socket: our middleware, another one, then the socket enters.
    async fn connect(&self, id: &SessionId, socket: &Arc<SeatedSocket>) -> Option<Attachment<u32>> {
        assert!(self.live.succeed(SeatedSocket::the_seat).await);
        let attachment = self.live.admit(id, socket.clone()).await.ok()?;
        // Longer than any interval at which old sockets are looked at.
        tokio::time::sleep(Duration::from_millis(120)).await;
        socket.enter();
        Some(attachment)
    }
}

/// Way in which the first socket of the seat leaves.
#[derive(Clone, Copy, Debug)]
enum First {
    Plain,
    Panics,
    DoesNotRead,
    /// `Session::disconnect` came before the end.
    IsRetiredTwice,
    /// A middleware after ours rejected it, and the application holds it.
    WasRejected,
    WasRejectedAndIsRetiredTwice,
    /// As before, and its session was replaced: it is inert for a second.
    WasRejectedAndIsInert,
}

impl First {
    const ALL: [Self; 7] = [
        Self::Plain,
        Self::Panics,
        Self::DoesNotRead,
        Self::IsRetiredTwice,
        Self::WasRejected,
        Self::WasRejectedAndIsRetiredTwice,
        Self::WasRejectedAndIsInert,
    ];

    fn enters(self) -> bool {
        !matches!(
            self,
            Self::WasRejected | Self::WasRejectedAndIsRetiredTwice | Self::WasRejectedAndIsInert
        )
    }

    fn is_retired_twice(self) -> bool {
        matches!(
            self,
            Self::IsRetiredTwice | Self::WasRejectedAndIsRetiredTwice
        )
    }
}

/// A client whose session ended connects again on its transport with another session: whatever the
/// old socket is still going through, its successor keeps its rooms.
#[test]
fn a_successor_keeps_its_rooms_while_the_old_socket_is_retired() {
    for first in First::ALL {
        let runs = explore(async |explorer, runs| {
            let run = Run::new(true);
            let other: SessionId = "another-session".parse().unwrap();
            run.store.sessions.lock().insert(other.clone(), (0, 1));
            let place = Arc::<Place>::default();
            let old = match first {
                First::Panics => SeatedSocket::panicking(&place, 1, 1),
                First::DoesNotRead => SeatedSocket::failing(&place, 1, 1),
                _ => SeatedSocket::new(&place, 1),
            };
            let new = SeatedSocket::new(&place, 2);
            let old_attachment = if first.enters() {
                run.connect(&run.id, &old).await.unwrap()
            } else {
                run.live.admit(&run.id, old.clone()).await.unwrap()
            };
            assert!(place.is_in_room());
            if !first.enters() {
                place.clear();
            }
            let view = run.live.resolve(&run.id).await.unwrap();
            let end = async {
                if first.is_retired_twice() {
                    run.live.disconnect(&view.entry);
                }
                if let First::WasRejectedAndIsInert = first {
                    let when = Disconnect::later();
                    let new = run.live.core().entry(&other);
                    run.live.replace(&run.id, &new, when).await.unwrap();
                } else {
                    run.live.end(&view.entry).await.unwrap();
                }
            };
            let connected = parking_lot::Mutex::new(None);
            let connect = async {
                // The server ignores a connect while the seat is taken.
                while view.entry.end_reason().is_none() || !place.is_empty() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                *connected.lock() = run.connect(&other, &new).await;
            };
            let actors = vec![Actor::new(end), Actor::new(connect)];
            interleave(explorer, actors, 2).await;
            settle().await;
            assert_eq!(new.presence(), Presence::Connected, "run {runs}");
            assert!(place.is_in_room(), "{first:?}, run {runs}");
            assert_ne!(old.presence(), Presence::Connected, "run {runs}");
            drop((connected, old_attachment, view));
            run.assert_nothing_left(runs).await;
        });
        assert!(runs > 10, "{runs} runs");
    }
}

/// The old socket of a seat is held, and counts among the sockets of a session when its successor
/// does: the end of the session disconnects the successor, and the one after that keeps its rooms.
#[test]
fn three_sockets_of_one_seat() {
    for held_comes_last in [true, false] {
        let runs = explore(async |explorer, runs| {
            let run = Run::new(true);
            let other: SessionId = "another-session".parse().unwrap();
            run.store.sessions.lock().insert(other.clone(), (0, 1));
            let place = Arc::<Place>::default();
            let [held, second, third] = [1, 2, 3].map(|nth| SeatedSocket::new(&place, nth));
            let padding = run.live.admit(&run.id, run.socket.clone()).await.unwrap();
            let mut padding = Some(padding);
            let held_attachment = run.connect(&run.id, &held).await;
            place.clear();
            let second_attachment = run.connect(&run.id, &second).await;
            assert!(second_attachment.is_some());
            if held_comes_last {
                // The last of the list takes the place of one that leaves: the order changes.
                padding = None;
            }
            let view = run.live.resolve(&run.id).await.unwrap();
            let end = async { run.live.end(&view.entry).await.unwrap() };
            let connected = parking_lot::Mutex::new(None);
            let connect = async {
                while !place.is_empty() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                *connected.lock() = run.connect(&other, &third).await;
            };
            interleave(explorer, vec![Actor::new(end), Actor::new(connect)], 2).await;
            settle().await;
            assert_eq!(third.presence(), Presence::Connected, "run {runs}");
            assert!(place.is_in_room(), "out of its rooms, run {runs}");
            drop((connected, held_attachment, second_attachment, view, padding));
            run.socket.disconnect();
            run.assert_nothing_left(runs).await;
        });
        assert!(runs > 10, "{runs} runs");
    }
}

/// The application holds all sockets that a middleware after ours rejected, of one seat and one
/// session. After its end none of them acts on the socket that is admitted to the seat.
#[test]
fn rejected_sockets_of_one_seat_leave_their_successor_alone() {
    let runs = explore(async |explorer, runs| {
        let run = Run::new(true);
        let other: SessionId = "another-session".parse().unwrap();
        run.store.sessions.lock().insert(other.clone(), (0, 1));
        let place = Arc::<Place>::default();
        let mut held = Vec::new();
        for nth in 0..3 {
            let socket = SeatedSocket::new(&place, nth);
            held.push(run.live.admit(&run.id, socket).await.unwrap());
            place.clear();
        }
        let new = SeatedSocket::new(&place, 3);
        let connected = parking_lot::Mutex::new(None);
        let view = run.live.resolve(&run.id).await.unwrap();
        let connect = async {
            while view.entry.end_reason().is_none() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            *connected.lock() = run.connect(&other, &new).await;
        };
        let actors = vec![Actor::new(run.end()), Actor::new(connect)];
        interleave(explorer, actors, 2).await;
        settle().await;
        assert_eq!(new.presence(), Presence::Connected, "run {runs}");
        assert!(place.is_in_room(), "out of its rooms, run {runs}");
        drop((connected, held, view));
        run.assert_nothing_left(runs).await;
    });
    assert!(runs > 10, "{runs} runs");
}

/// One socket's disconnect handler panics: all sockets are gone, and the session is deleted.
#[test]
fn a_disconnect_handler_that_panics_harms_no_other_socket() {
    for elsewhere in [true, false] {
        let runs = explore(async |explorer, runs| {
            let run = Run::new(true);
            let places: Vec<Arc<Place>> = (0..3).map(|_| Arc::default()).collect();
            let mut attachments = Vec::new();
            for (nth, place) in places.iter().enumerate() {
                let socket = SeatedSocket::panicking(place, nth, 1);
                attachments.push(run.live.admit(&run.id, socket.clone()).await.unwrap());
                socket.enter();
            }
            let end = async {
                if elsewhere {
                    use crate::store::SessionStore as _;
                    run.store.delete(&run.id).await.unwrap();
                } else {
                    run.end().await;
                }
            };
            interleave(explorer, vec![Actor::new(end)], 3).await;
            settle().await;
            for place in &places {
                assert!(place.is_empty() && !place.is_in_room(), "run {runs}");
            }
            assert!(!run.is_stored(&run.id));
            drop(attachments);
            run.assert_nothing_left(runs).await;
        });
        assert!(runs >= 3, "{runs} runs");
    }
}
