//! Errors in settings or a call, as opposed to those of a client.

use crate::store::StoreError;

/// An error in the settings of a bridge.
///
/// ```
/// # use socketioxide_session::{Keyring, MemoryStore, SecretKey, SessionBridge, SignedCookie};
/// # let cookie = SignedCookie::new("sid", &Keyring::new(SecretKey::generate()?))?;
/// # let store = MemoryStore::<String>::new();
/// use std::time::Duration;
/// use socketioxide_session::bridge::BridgeConfigError;
///
/// let built = SessionBridge::builder(cookie, store).ttl(Duration::ZERO).build();
/// assert_eq!(built.err(), Some(BridgeConfigError::Zero { setting: "ttl" }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BridgeConfigError {
    /// A duration is zero.
    #[error("`{setting}` is zero")]
    Zero {
        /// The builder's method.
        setting: &'static str,
    },
    /// A duration is longer than a hundred years.
    #[error("`{setting}` is longer than a hundred years")]
    TooLong {
        /// The builder's method.
        setting: &'static str,
    },
    /// Two settings contradict each other.
    #[error("`{shorter}` is too long for `{longer}`")]
    Contradiction {
        /// The method whose duration has to be the shorter one.
        shorter: &'static str,
        /// The method whose duration has to be the longer one.
        longer: &'static str,
    },
    /// A setting has no effect with this store, because it does not
    /// [touch](crate::store::Capabilities::touch).
    #[error("`{setting}` needs a store that touches")]
    NoTouch {
        /// The builder's method.
        setting: &'static str,
    },
    /// Two settings exclude each other.
    #[error("`{one}` and `{other}` can't both be set")]
    Conflict {
        /// The one builder's method.
        one: &'static str,
        /// The other builder's method.
        other: &'static str,
    },
}

/// Why no session with a given id was created.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # use socketioxide_session::{Keyring, MemoryStore, SecretKey, SessionBridge, SignedCookie};
/// # let cookie = SignedCookie::new("sid", &Keyring::new(SecretKey::generate()?))?;
/// # let store = MemoryStore::<String>::new();
/// use std::time::Duration;
/// use socketioxide_session::bridge::CreateError;
///
/// let sessions = SessionBridge::builder(cookie, store).build()?;
/// let (id, hour) = ("id-of-the-provider".parse()?, Duration::from_hours(1));
/// sessions.create_with_id(&id, "Ann".to_owned(), hour).await?;
/// let again = sessions.create_with_id(&id, "Bob".to_owned(), hour).await;
/// assert!(matches!(again, Err(CreateError::Taken)));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CreateError {
    /// A session of this id exists, or this node has ended it within the last minute, or still owes its
    /// deletion.
    #[error("a session of this id exists, or has ended a moment ago")]
    Taken,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
