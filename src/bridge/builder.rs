//! The settings of a bridge.

use std::{fmt, sync::Arc, time::Duration};

use super::{Inner, OnRejection, SessionBridge, Warned};
use crate::{
    extractor::SessionIdExtractor,
    handshake::Handshake,
    hook::HookThread,
    live::{Config, Live},
    rejection::SessionRejection,
    store::{GuardedStore, SessionStore},
    transport::Transports,
};

const DAY: Duration = Duration::from_hours(24);
/// No setting is longer: clocks can't express everything that a `Duration` can.
const LONGEST: Duration = Duration::from_hours(100 * 365 * 24);

/// Builds a [`SessionBridge`].
#[must_use]
pub struct SessionBridgeBuilder<T> {
    extractor: Box<dyn SessionIdExtractor>,
    store: Arc<dyn SessionStore<Data = T>>,
    store_timeout: Duration,
    on_rejection: Option<Arc<OnRejection>>,
    config: Config,
}

impl<T: Send + Sync + 'static> SessionBridgeBuilder<T> {
    pub(super) fn new(
        extractor: impl SessionIdExtractor,
        store: impl SessionStore<Data = T>,
    ) -> Self {
        Self {
            extractor: Box::new(extractor),
            store: Arc::new(store),
            store_timeout: Duration::from_secs(2),
            on_rejection: None,
            config: Config {
                ttl: DAY,
                revalidate_every: Duration::from_mins(1),
                max_stale: Duration::from_mins(5),
                touch_every: None,
            },
        }
    }

    /// How long a session lives after it was made or touched; a day, if not set.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.config.ttl = ttl;
        self
    }

    /// How long each call of the store may take; 2 s, if not set. A call that takes longer is
    /// dropped, and fails with [`Timeout`](crate::store::StoreErrorKind::Timeout).
    pub fn store_timeout(mut self, timeout: Duration) -> Self {
        self.store_timeout = timeout;
        self
    }

    /// How often the store is asked about each live session, a fifth more or less; 60 s, if not set,
    /// and at least 10 ms. This is how soon a logout elsewhere is noticed when the store reports no
    /// changes, or a report was lost.
    pub fn revalidate_every(mut self, interval: Duration) -> Self {
        self.config.revalidate_every = interval.clamp(Duration::from_millis(10), LONGEST);
        self
    }

    /// How long a live session goes on while the store can't be asked about it; 5 minutes, if not
    /// set. Then it ends with [`StoreUnreachable`](crate::EndReason::StoreUnreachable).
    pub fn max_stale(mut self, max_stale: Duration) -> Self {
        self.config.max_stale = max_stale.min(LONGEST);
        self
    }

    /// Keeps a session alive that is used: an event or an HTTP request which takes it touches it, at
    /// most once per `interval`. The touches are collected and written together. A session that
    /// lives longer than [`ttl`](Self::ttl) is not shortened. If not set, only
    /// [`touch`](crate::Session::touch) does.
    pub fn touch_on_activity(mut self, interval: Duration) -> Self {
        self.config.touch_every = Some(interval);
        self
    }

    /// Calls `hook` for every rejection, for metrics or an audit log. It runs on a thread of its own
    /// after the client has its answer, so it may block; when a thousand wait, further ones are
    /// dropped with a warning. The handshake it sees has no `auth` payload.
    pub fn on_rejection(
        mut self,
        hook: impl Fn(&SessionRejection, &Handshake<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.on_rejection = Some(Arc::new(hook));
        self
    }

    /// Builds the bridge. In a tokio runtime, it listens to the store's changes from now on; else it
    /// begins with its first use in one.
    #[must_use]
    pub fn build(self) -> SessionBridge<T> {
        let hooks = Arc::new(HookThread::default());
        let store = GuardedStore::new(self.store, self.store_timeout);
        let live = Live::new(store, self.config, hooks.clone());
        live.ensure_keeper();
        SessionBridge {
            inner: Arc::new(Inner {
                live,
                extractor: self.extractor,
                on_rejection: self.on_rejection,
                hooks,
                transports: Transports::default(),
                warned: Warned::default(),
            }),
        }
    }
}

impl<T> fmt::Debug for SessionBridgeBuilder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionBridgeBuilder")
            .field("store_timeout", &self.store_timeout)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
