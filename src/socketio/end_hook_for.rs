//! The hook of a middleware.

use socketioxide::adapter::Adapter;

use super::{no_hook::NoHook, on_end::OnEnd};

/// A hook for servers with this adapter. Sealed.
pub trait EndHookFor<A: Adapter>: Send + Sync + 'static {
    #[doc(hidden)]
    fn hook(&self) -> Option<&OnEnd<A>>;
}

impl<A: Adapter> EndHookFor<A> for NoHook {
    fn hook(&self) -> Option<&OnEnd<A>> {
        None
    }
}

impl<A: Adapter> EndHookFor<A> for OnEnd<A> {
    fn hook(&self) -> Option<&OnEnd<A>> {
        Some(self)
    }
}
