//! The scope of an HTTP request while no store needs to know it: nothing.

/// Takes the place of the scope that only the stores of other session libraries need.
pub(crate) struct RequestScope;

impl RequestScope {
    pub(crate) fn new() -> Self {
        Self
    }

    #[allow(clippy::unused_self, reason = "as the scope that does something")]
    pub(crate) fn enter<R>(&self, poll: impl FnOnce() -> R) -> R {
        poll()
    }

    #[allow(clippy::unused_self, reason = "as the scope that does something")]
    pub(crate) fn end(&self) {}
}
