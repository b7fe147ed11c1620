//! The HTTP request that a store is called for.
//!
//! A program beside this crate may replace a session by deleting it and creating another one later
//! in the same request. Its store sees two calls that have nothing in common but the request. The
//! session layer makes a [`RequestScope`] for each request and polls the request's future inside of
//! it, so that the store can tell which calls belong together.
//!
//! ```text
//! RequestScope::new ─► enter(poll) … enter(poll) ─► end ─► end hooks, each once
//!                                                    ▲
//!                    the response is ready, or its future is dropped
//! ```
//!
//! A task that a handler spawns is outside of the scope. Of nested layers the outermost one makes the
//! scope, because the program may have its own layer between them.

use std::sync::Arc;

use crate::lock::Mutex;

tokio::task_local! {
    static CURRENT: CurrentRequest;
}

type EndHook = Box<dyn FnOnce() + Send>;

/// Owns the scope of one request. The scope ends at [`end`](Self::end), or when this is dropped.
pub(crate) struct RequestScope(CurrentRequest);

/// The request that the running task polls.
#[derive(Clone)]
pub(crate) struct CurrentRequest {
    /// `None` once the scope has ended.
    end_hooks: Arc<Mutex<Option<Vec<EndHook>>>>,
}

impl RequestScope {
    pub(crate) fn new() -> Self {
        Self(CurrentRequest {
            end_hooks: Arc::new(Mutex::new(Some(Vec::new()))),
        })
    }

    /// Calls `poll` inside of the scope, or inside of the one that is around it already.
    pub(crate) fn enter<R>(&self, poll: impl FnOnce() -> R) -> R {
        if CURRENT.try_with(|_| ()).is_ok() {
            return poll();
        }
        CURRENT.sync_scope(self.0.clone(), poll)
    }

    /// Ends the scope. The second call does nothing.
    pub(crate) fn end(&self) {
        // The hooks run without the lock, because they are foreign code.
        let hooks = self.0.end_hooks.lock().take();
        for hook in hooks.into_iter().flatten() {
            hook();
        }
    }
}

impl Drop for RequestScope {
    fn drop(&mut self) {
        self.end();
    }
}

impl CurrentRequest {
    /// The request that is being polled; `None` outside of the session layer.
    pub(crate) fn get() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }

    /// A number that no other request has before this one has ended.
    pub(crate) fn id(&self) -> usize {
        Arc::as_ptr(&self.end_hooks) as usize
    }

    /// Calls `hook` when the request ends; at once when it has ended.
    pub(crate) fn on_end(&self, hook: impl FnOnce() + Send + 'static) {
        if let Some(hooks) = &mut *self.end_hooks.lock() {
            hooks.push(Box::new(hook));
            return;
        }
        hook();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn counter() -> (Arc<AtomicUsize>, impl FnOnce() + Send + Clone + 'static) {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = count.clone();
        (count, move || {
            counted.fetch_add(1, Ordering::SeqCst);
        })
    }

    #[test]
    fn hooks_run_once_at_the_end() {
        let (count, hook) = counter();
        let scope = RequestScope::new();
        let request = scope.enter(|| CurrentRequest::get().unwrap());
        request.on_end(hook.clone());
        assert_eq!(count.load(Ordering::SeqCst), 0);
        scope.end();
        drop(scope);
        assert_eq!(count.load(Ordering::SeqCst), 1);
        // The scope has ended: at once.
        request.on_end(hook);
        assert_eq!(count.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn a_dropped_scope_ends() {
        let (count, hook) = counter();
        let scope = RequestScope::new();
        scope.enter(|| CurrentRequest::get().unwrap().on_end(hook));
        assert!(CurrentRequest::get().is_none());
        drop(scope);
        assert_eq!(count.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn nested_scopes_are_one_request() {
        let (outer, inner) = (RequestScope::new(), RequestScope::new());
        let id = || CurrentRequest::get().unwrap().id();
        outer.enter(|| assert_eq!(inner.enter(id), id()));
        assert_ne!(inner.enter(id), outer.enter(id));
    }
}
