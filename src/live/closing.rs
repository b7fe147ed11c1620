//! A socket whose session has ended, until it is gone.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{
    EndReason,
    socket::{LiveSocket, Presence},
};
use crate::hook::{HookThread, Job};

/// So long the application's last word may take before the socket is closed without it.
const LAST_WORD: Duration = Duration::from_millis(500);
/// How soon a socket is looked at again that can't be closed yet.
const FIRST_DELAY: Duration = Duration::from_millis(1);
const LONGEST_DELAY: Duration = Duration::from_secs(1);
/// While its handshake goes on, it may come alive at any moment.
const LONGEST_CONNECTING_DELAY: Duration = Duration::from_millis(20);
/// A last word is said in no time, unless the hook blocks.
const LONGEST_SPEAKING_DELAY: Duration = Duration::from_millis(5);

/// Closes a socket step by step: out of its rooms, the last word, disconnect, and again until it
/// was seen to be gone. `disconnect` alone is not enough: it fails when the client does not read, it
/// is undone when another middleware is still running, and events and broadcasts go on arriving
/// while a disconnect handler runs.
pub(super) struct Closing {
    socket: Arc<dyn LiveSocket>,
    reason: EndReason,
    last_word: LastWord,
    delay: Duration,
}

enum LastWord {
    Unsaid,
    Speaking {
        said: Arc<AtomicBool>,
        until: Instant,
    },
    Said,
}

impl Closing {
    pub(super) fn new(socket: Arc<dyn LiveSocket>, reason: EndReason) -> Self {
        Self {
            socket,
            reason,
            last_word: LastWord::Unsaid,
            delay: FIRST_DELAY,
        }
    }

    /// Goes one step on. `Some`: when to go on with the next one; `None`: it is gone.
    pub(super) fn step(&mut self, hooks: &HookThread) -> Option<Instant> {
        let presence = self.socket.presence();
        // Again each time: a handler that runs still may have joined a room.
        self.socket.leave_rooms();
        match presence {
            Presence::Gone => return self.gone(),
            Presence::Connecting => return Some(self.later(LONGEST_CONNECTING_DELAY)),
            Presence::Leaving => return Some(self.later(LONGEST_DELAY)),
            Presence::Connected => {}
        }
        if let Some(until) = self.speak(hooks) {
            return Some(until);
        }
        self.socket.disconnect();
        match self.socket.presence() {
            Presence::Gone => self.gone(),
            _ => Some(self.later(LONGEST_DELAY)),
        }
    }

    /// `Some`: the last word is being said, and this is when to look again.
    fn speak(&mut self, hooks: &HookThread) -> Option<Instant> {
        if let LastWord::Unsaid = self.last_word {
            self.last_word = match self.socket.last_word(self.reason) {
                Some(word) => start(word, hooks),
                None => LastWord::Said,
            };
        }
        if let LastWord::Speaking { said, until } = &self.last_word
            && !said.load(Ordering::SeqCst)
            && Instant::now() < *until
        {
            let until = *until;
            return Some(self.later(LONGEST_SPEAKING_DELAY).min(until));
        }
        self.last_word = LastWord::Said;
        None
    }

    fn gone(&self) -> Option<Instant> {
        self.socket.release();
        None
    }

    fn later(&mut self, longest: Duration) -> Instant {
        let delay = self.delay.min(longest);
        self.delay = (self.delay * 2).min(LONGEST_DELAY);
        Instant::now() + delay
    }
}

fn start(word: Job, hooks: &HookThread) -> LastWord {
    let said = Arc::new(AtomicBool::new(false));
    let done = Done(said.clone());
    let speaking = hooks.run(Box::new(move || {
        let _done = done;
        word();
    }));
    if !speaking {
        return LastWord::Said;
    }
    let until = Instant::now() + LAST_WORD;
    LastWord::Speaking { said, until }
}

/// Says that the hook is over, also when it panicked.
struct Done(Arc<AtomicBool>);

impl Drop for Done {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
