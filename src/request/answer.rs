//! The end of the answer to a request.

use std::{future::Future, mem};

use tokio::sync::watch;

use crate::lock::Mutex;

/// Whether the answer to one request has ended: its body was sent completely or dropped.
///
/// ```text
/// Open ──ended()──► Awaited ──end()──► Ended
///   └───────────────end()─────────────────▲
/// ```
///
/// A request whose answer is never awaited allocates nothing for it.
#[derive(Default)]
pub(super) struct Answer(Mutex<State>);

#[derive(Default)]
enum State {
    #[default]
    Open,
    /// The drop of the sender wakes those that wait.
    Awaited(watch::Sender<()>),
    Ended,
}

impl Answer {
    /// Resolves when the answer has ended, at once if it has already. The drop of the `Answer` is an
    /// end, too.
    pub(super) fn ended(&self) -> impl Future<Output = ()> + Send + use<> {
        let end = self.subscribe();
        async move {
            if let Some(mut end) = end {
                while end.changed().await.is_ok() {}
            }
        }
    }

    pub(super) fn end(&self) {
        let before = mem::replace(&mut *self.0.lock(), State::Ended);
        // Outside of the lock, because it wakes tasks.
        drop(before);
    }

    fn subscribe(&self) -> Option<watch::Receiver<()>> {
        let mut state = self.0.lock();
        match &*state {
            State::Ended => None,
            State::Awaited(sender) => Some(sender.subscribe()),
            State::Open => {
                let (sender, receiver) = watch::channel(());
                *state = State::Awaited(sender);
                Some(receiver)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn all_waiters_see_the_end() {
        let answer = Answer::default();
        let (mut first, mut second) = (Box::pin(answer.ended()), Box::pin(answer.ended()));
        assert_eq!(first.as_mut().now_or_never(), None);
        assert_eq!(second.as_mut().now_or_never(), None);
        answer.end();
        assert_eq!(first.now_or_never(), Some(()));
        assert_eq!(second.now_or_never(), Some(()));
        assert_eq!(answer.ended().now_or_never(), Some(()));
        answer.end();
    }

    #[test]
    fn a_request_that_never_reached_its_answer_has_ended() {
        let answer = Answer::default();
        let mut ended = Box::pin(answer.ended());
        assert_eq!(ended.as_mut().now_or_never(), None);
        drop(answer);
        assert_eq!(ended.now_or_never(), Some(()));
    }
}
