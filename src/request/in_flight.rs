//! A request whose answer is under way.

use std::{fmt, sync::Arc};

use http::HeaderValue;

use super::{answer::Answer, layered::LayeredRequest};

/// Held by the layer's future, then by the body of the answer. Its drop is the end of the answer.
///
/// It holds the request itself, so a request that is never awaited costs no further allocation.
pub(crate) struct InFlight(Arc<dyn Request>);

/// A [`LayeredRequest`] of any type of session.
trait Request: Send + Sync {
    fn answer(&self) -> &Answer;
    fn opens_bound_transport(&self) -> bool;
    fn opened(&self, sid: Option<&str>);
    fn may_refresh(&self) -> bool;
    fn refreshed_cookie(&self, is_unfit: &dyn Fn(&str) -> bool) -> Option<HeaderValue>;
}

impl<T: Send + Sync + 'static> Request for LayeredRequest<T> {
    fn answer(&self) -> &Answer {
        &self.answer
    }

    fn opens_bound_transport(&self) -> bool {
        self.slot().is_some()
    }

    fn opened(&self, sid: Option<&str>) {
        if let Some(slot) = self.slot() {
            self.bridge.hint_transport(slot, sid);
        }
    }

    fn may_refresh(&self) -> bool {
        self.refreshing.is_some()
    }

    fn refreshed_cookie(&self, is_unfit: &dyn Fn(&str) -> bool) -> Option<HeaderValue> {
        self.refreshing.as_ref()?.take(is_unfit)
    }
}

impl InFlight {
    pub(crate) fn new<T: Send + Sync + 'static>(request: Arc<LayeredRequest<T>>) -> Self {
        Self(request)
    }

    /// Whether the answer is one to read the `sid` of a polling transport from.
    pub(crate) fn opens_bound_transport(&self) -> bool {
        self.0.opens_bound_transport()
    }

    /// The answer names this `sid`, or none that can be read.
    pub(crate) fn opened(&self, sid: Option<&str>) {
        self.0.opened(sid);
    }

    /// Whether the layer refreshes a cookie.
    pub(crate) fn may_refresh(&self) -> bool {
        self.0.may_refresh()
    }

    /// The cookie to add to the answer, if one is due. `is_unfit` tells whether the answer can't take
    /// the cookie of a name: it sets it itself, say.
    pub(crate) fn refreshed_cookie(&self, is_unfit: &dyn Fn(&str) -> bool) -> Option<HeaderValue> {
        self.0.refreshed_cookie(is_unfit)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.answer().end();
    }
}

impl fmt::Debug for InFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InFlight").finish_non_exhaustive()
    }
}
