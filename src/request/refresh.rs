//! Sending a cookie again, so that it lives as long as its session.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::Arc,
    time::Duration,
};

use http::{HeaderValue, request::Parts};
use tokio::time::Instant;

use crate::{
    extractor::{Handshake, SessionCookie},
    id::SessionId,
    lock::Mutex,
    session::Session,
};

/// Maximum number of remembered sessions. Beyond it a cookie may be sent again too early.
const CAPACITY: usize = 10_000;

/// A cookie that is sent again while its session is used. Cheap to clone.
#[derive(Clone)]
pub(crate) struct CookieRefresh(Arc<Inner>);

struct Inner {
    cookie: Box<dyn SessionCookie>,
    /// Maximum interval between two refreshes.
    max_interval: Duration,
    sent: Mutex<Sent>,
}

/// When the cookies of sessions may be sent again.
#[derive(Default)]
struct Sent {
    next: HashMap<SessionId, Instant>,
    order: VecDeque<(Instant, SessionId)>,
}

impl CookieRefresh {
    pub(crate) fn new(cookie: impl SessionCookie, max_interval: Duration) -> Self {
        Self(Arc::new(Inner {
            cookie: Box::new(cookie),
            max_interval,
            sent: Mutex::default(),
        }))
    }

    /// Whether the request proves an id by the cookie whose refresh may be due.
    pub(super) fn may_be_due(&self, parts: &Parts) -> bool {
        let presented = self.0.cookie.presented(&Handshake::from_parts(parts));
        let sent = self.0.sent.lock();
        presented.iter().any(|id| sent.is_due(id, Instant::now()))
    }

    /// Whether the request proves the id of this session by the cookie, and a refresh is due.
    fn is_due(&self, parts: &Parts, id: &SessionId) -> bool {
        self.0.sent.lock().is_due(id, Instant::now())
            && self
                .0
                .cookie
                .presented(&Handshake::from_parts(parts))
                .contains(id)
    }

    /// The cookie, if it was not sent within the interval; that is then so from now on.
    fn take(&self, id: &SessionId, interval: Duration) -> Option<HeaderValue> {
        let interval = interval.min(self.0.max_interval);
        let first = self.0.sent.lock().insert(id, interval);
        first.then(|| self.0.cookie.issue_header(id))
    }
}

impl Sent {
    fn is_due(&self, id: &SessionId, now: Instant) -> bool {
        self.next.get(id).is_none_or(|next| *next <= now)
    }

    fn insert(&mut self, id: &SessionId, interval: Duration) -> bool {
        let now = Instant::now();
        while self.order.len() >= CAPACITY || self.order.front().is_some_and(|(at, _)| *at <= now) {
            self.forget_first();
        }
        if !self.is_due(id, now) {
            return false;
        }
        let next = now + interval;
        self.next.insert(id.clone(), next);
        self.order.push_back((next, id.clone()));
        true
    }

    fn forget_first(&mut self) {
        if let Some((at, id)) = self.order.pop_front()
            && self.next.get(&id) == Some(&at)
        {
            self.next.remove(&id);
        }
    }
}

/// The refresh in one request: the session that it resolved by the cookie, until the head of the answer
/// passes.
pub(super) struct Refreshing<T: Send + Sync + 'static> {
    pub(super) refresh: CookieRefresh,
    session: Mutex<Option<Session<T>>>,
}

impl<T: Send + Sync + 'static> Refreshing<T> {
    pub(super) fn new(refresh: CookieRefresh) -> Self {
        Self {
            refresh,
            session: Mutex::new(None),
        }
    }

    /// The request resolved this session.
    pub(super) fn resolved(&self, parts: &Parts, session: &Session<T>) {
        if self.refresh.is_due(parts, session.id()) {
            let earlier = self.session.lock().replace(session.clone());
            drop(earlier);
        }
    }

    /// The cookie to add to the answer, unless the answer is unfit for it, or the session has ended or
    /// was rotated.
    pub(super) fn take(&self, is_unfit: &dyn Fn(&str) -> bool) -> Option<HeaderValue> {
        let session = self.session.lock().take()?;
        if session.has_ended() || is_unfit(self.refresh.0.cookie.name()) {
            return None;
        }
        self.refresh.take(session.id(), session.touch_interval()?)
    }
}

impl fmt::Debug for CookieRefresh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CookieRefresh")
            .field("cookie", &self.0.cookie.name())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_cookie_is_sent_once_per_interval_and_the_memory_is_bounded() {
        let mut sent = Sent::default();
        let id = |n: usize| -> SessionId { format!("id-{n}").parse().unwrap() };
        let interval = Duration::from_mins(5);
        assert!(sent.insert(&id(0), interval) && !sent.insert(&id(0), interval));
        tokio::time::advance(interval).await;
        assert!(sent.insert(&id(0), interval));
        for n in 0..2 * CAPACITY {
            sent.insert(&id(n), interval);
            assert!(sent.next.len() <= CAPACITY && sent.order.len() <= CAPACITY);
        }
        tokio::time::advance(interval).await;
        assert!(sent.insert(&id(1), interval));
        assert_eq!((sent.next.len(), sent.order.len()), (1, 1));
    }
}
