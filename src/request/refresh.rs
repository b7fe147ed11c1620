//! Sending a cookie again, so that it lives as long as its session.

use std::{fmt, sync::Arc, time::Duration};

use http::{HeaderValue, request::Parts};

use crate::{
    extractor::{Handshake, SessionCookie},
    id::SessionId,
    lock::Mutex,
    recent::Recent,
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
    /// The sessions whose cookie was sent within the interval.
    sent: Mutex<Recent<SessionId, ()>>,
}

impl CookieRefresh {
    pub(crate) fn new(cookie: impl SessionCookie, max_interval: Duration) -> Self {
        Self(Arc::new(Inner {
            cookie: Box::new(cookie),
            max_interval,
            sent: Mutex::new(Recent::new(CAPACITY)),
        }))
    }

    /// Whether the request proves an id by the cookie whose refresh may be due.
    pub(super) fn may_be_due(&self, parts: &Parts) -> bool {
        let presented = self.0.cookie.presented(&Handshake::from_parts(parts));
        let sent = self.0.sent.lock();
        presented.iter().any(|id| sent.get(id).is_none())
    }

    /// Whether the request proves the id of this session by the cookie, and a refresh is due.
    fn is_due(&self, parts: &Parts, id: &SessionId) -> bool {
        self.0.sent.lock().get(id).is_none()
            && self
                .0
                .cookie
                .presented(&Handshake::from_parts(parts))
                .contains(id)
    }

    /// The cookie, if it was not sent within the interval; that is then so from now on.
    fn take(&self, id: &SessionId, interval: Duration) -> Option<HeaderValue> {
        let interval = interval.min(self.0.max_interval);
        let mut sent = self.0.sent.lock();
        if sent.get(id).is_some() {
            return None;
        }
        sent.insert(id, (), interval);
        drop(sent);
        Some(self.0.cookie.issue_header(id))
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
