//! Makes a bridge of its settings, after it has judged them.

use std::{sync::Arc, time::Duration};

use super::{
    advised::Advised,
    builder::{SessionBridgeBuilder, Touch},
    error::BridgeConfigError,
    session_bridge::{Inner, SessionBridge},
    sign_ins::SignIns,
};
use crate::{
    blocking::Blocking,
    live::{Config, LiveSessions, TouchEvery},
    observe::target,
    store::{Capabilities, GuardedStore, SessionStore as _},
    transport::Transports,
};

const DEFAULT_TTL: Duration = Duration::from_hours(24);
const DEFAULT_REVALIDATE_EVERY: Duration = Duration::from_mins(1);
const DEFAULT_MAX_STALE: Duration = Duration::from_mins(5);
/// Maximum of every setting, because clocks can't express everything that a `Duration` can.
const MAX: Duration = Duration::from_hours(100 * 365 * 24);
/// Maximum number of calls of `on_rejection` at the same time.
const MAX_REJECTION_CALLS: usize = 64;

impl<T: Send + Sync + 'static> SessionBridgeBuilder<T> {
    /// Builds the bridge. In a tokio runtime, it follows the store's changes from now on; else from
    /// its first use in one.
    ///
    /// ```
    /// # use socketioxide_session::{Keyring, MemoryStore, SecretKey, SessionBridge, SignedCookie};
    /// # let cookie = SignedCookie::new("sid", &Keyring::new(SecretKey::generate()?))?;
    /// # let store = MemoryStore::<String>::new();
    /// use std::time::Duration;
    ///
    /// let (minute, hour) = (Duration::from_mins(1), Duration::from_hours(1));
    /// let builder = SessionBridge::builder(cookie, store);
    /// let error = builder.revalidate_every(hour).max_stale(minute).build().unwrap_err();
    /// assert_eq!(error.to_string(), "`revalidate_every` is too long for `max_stale`");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When a setting is zero or longer than a hundred years, or two settings that were made
    /// explicitly contradict each other.
    pub fn build(self) -> Result<SessionBridge<T>, BridgeConfigError> {
        let config = self.config()?;
        log_unsupported(self.store.capabilities());
        let store = GuardedStore::new(self.store, self.store_timeout);
        let live = LiveSessions::new(store, config);
        live.ensure_worker();
        Ok(SessionBridge {
            inner: Arc::new(Inner {
                live,
                extractor: self.extractor,
                on_rejection: self.on_rejection,
                rejections: Blocking::new("`on_rejection`", MAX_REJECTION_CALLS),
                transports: Transports::default(),
                sign_ins: SignIns::new(),
                advised: Advised::default(),
            }),
        })
    }

    fn config(&self) -> Result<Config<T>, BridgeConfigError> {
        self.check()?;
        let touch_every = self.touch_every();
        let interval = touch_every.and_then(|touch| touch.set);
        // A default yields to what was set.
        let default_ttl = DEFAULT_TTL.max(twice(interval.unwrap_or_default()));
        let every = self.revalidate_every.unwrap_or(DEFAULT_REVALIDATE_EVERY);
        let default_stale = DEFAULT_MAX_STALE.max(twice(every));
        let max_stale = self.max_stale.unwrap_or(default_stale);
        let revalidate_every = match self.revalidate_every {
            Some(every) => every,
            None => every.min(max_stale / 2),
        };
        let capabilities = self.store.capabilities();
        Ok(Config {
            ttl: self.ttl.unwrap_or(default_ttl),
            ttl_of: self.config.ttl_of.clone(),
            max_lifetime: self.config.max_lifetime.clone(),
            revalidate_every,
            max_stale,
            touch_every: touch_every.filter(|_| capabilities.touch),
            verify: self.config.verify.clone(),
            foreign_records: capabilities.foreign_records,
        })
    }

    /// Judges what was set, each by itself and with the others.
    fn check(&self) -> Result<(), BridgeConfigError> {
        let interval = match self.touch {
            Touch::Every(interval) => Some(interval),
            Touch::Default | Touch::Never => None,
        };
        in_range("ttl", self.ttl)?;
        in_range("store_timeout", Some(self.store_timeout))?;
        in_range("revalidate_every", self.revalidate_every)?;
        in_range("max_stale", self.max_stale)?;
        in_range("touch_on_activity", interval)?;
        let every = self.revalidate_every;
        in_order("revalidate_every", every, "max_stale", self.max_stale)?;
        in_order("touch_on_activity", interval, "ttl", self.ttl)?;
        // Between two touches that are a lifetime apart, the session expires.
        if interval.is_some() && interval == self.ttl {
            return Err(contradiction("touch_on_activity", "ttl"));
        }
        if !self.store.capabilities().touch {
            needs_touch("touch_on_activity", interval.is_some())?;
            needs_touch("touch_while_connected", self.touch_while_connected)?;
        }
        if self.ttl.is_some() && self.config.ttl_of.is_some() {
            return Err(conflict("ttl", "ttl_of"));
        }
        if self.touch_while_connected && matches!(self.touch, Touch::Never) {
            return Err(conflict("touch_while_connected", "no_touch_on_activity"));
        }
        Ok(())
    }

    fn touch_every(&self) -> Option<TouchEvery> {
        let set = match self.touch {
            Touch::Never => return None,
            Touch::Default => None,
            Touch::Every(interval) => Some(interval),
        };
        Some(TouchEvery {
            set,
            while_connected: self.touch_while_connected,
        })
    }
}

/// Logs which calls will fail, before the first of them.
fn log_unsupported(capabilities: Capabilities) {
    let operations = [
        ("create", capabilities.create),
        ("save", capabilities.save),
        ("touch", capabilities.touch),
        ("rename", capabilities.rename),
        ("delete", capabilities.delete),
    ];
    let unsupported = operations.iter().filter(|(_, supported)| !supported);
    let unsupported: Vec<&str> = unsupported.map(|(name, _)| *name).collect();
    if !unsupported.is_empty() {
        tracing::info!(
            target: target::STORE,
            operations = unsupported.join(", "),
            "the session store does not support some operations"
        );
    }
}

/// The default of a setting that has to be longer than another one.
fn twice(duration: Duration) -> Duration {
    duration.saturating_mul(2).min(MAX)
}

fn contradiction(shorter: &'static str, longer: &'static str) -> BridgeConfigError {
    BridgeConfigError::Contradiction { shorter, longer }
}

fn needs_touch(setting: &'static str, is_set: bool) -> Result<(), BridgeConfigError> {
    if is_set {
        return Err(BridgeConfigError::NoTouch { setting });
    }
    Ok(())
}

fn conflict(one: &'static str, other: &'static str) -> BridgeConfigError {
    BridgeConfigError::Conflict { one, other }
}

fn in_range(setting: &'static str, value: Option<Duration>) -> Result<(), BridgeConfigError> {
    match value {
        Some(Duration::ZERO) => Err(BridgeConfigError::Zero { setting }),
        Some(value) if value > MAX => Err(BridgeConfigError::TooLong { setting }),
        _ => Ok(()),
    }
}

fn in_order(
    shorter: &'static str,
    one: Option<Duration>,
    longer: &'static str,
    other: Option<Duration>,
) -> Result<(), BridgeConfigError> {
    match (one, other) {
        (Some(one), Some(other)) if one > other => Err(contradiction(shorter, longer)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        extractor::SignedCookie,
        key::{Keyring, SecretKey},
        store::MemoryStore,
    };

    const HOUR: Duration = Duration::from_hours(1);

    fn builder() -> SessionBridgeBuilder<u32> {
        let keys = Keyring::new(SecretKey::generate().unwrap());
        let cookie = SignedCookie::new("sid", &keys).unwrap();
        SessionBridge::builder(cookie, MemoryStore::new())
    }

    #[test]
    fn a_default_yields_to_a_set_value() {
        let config = builder().config().unwrap();
        let usual = (config.ttl, config.revalidate_every, config.max_stale);
        let minute = Duration::from_mins(1);
        assert_eq!(usual, (HOUR * 24, minute, minute * 5));
        let config = builder().touch_on_activity(HOUR * 48).config().unwrap();
        assert_eq!(config.ttl, HOUR * 96);
        let config = builder().revalidate_every(HOUR).config().unwrap();
        assert_eq!(
            (config.revalidate_every, config.max_stale),
            (HOUR, HOUR * 2)
        );
        let config = builder().max_stale(minute).config().unwrap();
        assert_eq!(
            (config.revalidate_every, config.max_stale),
            (minute / 2, minute)
        );
        // What is set is not changed, however it relates to the defaults.
        let config = builder().ttl(minute).max_stale(HOUR).config().unwrap();
        assert_eq!((config.ttl, config.max_stale), (minute, HOUR));
        assert_eq!(config.revalidate_every, minute);
    }
}
