//! Why a session was not changed.

use super::load_error::LoadError;
use crate::store::{StoreError, StoreErrorKind};

/// Why a session was not changed.
///
/// ```
/// use socketioxide::extract::AckSender;
/// use socketioxide_session::{Session, UpdateError};
///
/// async fn visit(session: Session<u32>, ack: AckSender) {
///     let answer = match session.update(|visits| *visits += 1).await {
///         Ok(session) => format!("visit {}", session.data()),
///         Err(UpdateError::Gone) => "you are signed out".to_owned(),
///         Err(_) => "try again later".to_owned(),
///     };
///     ack.send(&answer).ok();
/// }
/// # let _ = visit;
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum UpdateError {
    /// The session has ended. It is not brought back.
    #[error("the session has ended")]
    Gone,
    /// Other writers kept changing the session, for five seconds.
    #[error("other writers keep changing the session")]
    Contended,
    /// The stored record can't be decoded. It was left as it is.
    #[error(transparent)]
    Unreadable(StoreError),
    /// The store failed. The change may have taken effect all the same.
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for UpdateError {
    fn from(error: StoreError) -> Self {
        match error.kind() {
            StoreErrorKind::Decode => Self::Unreadable(error),
            _ => Self::Store(error),
        }
    }
}

impl From<LoadError> for UpdateError {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::NotFound | LoadError::Revoked => Self::Gone,
            LoadError::Unreadable(error) => Self::Unreadable(error),
            LoadError::Store(error) => Self::Store(error),
        }
    }
}

/// Why [`Session::try_update`](crate::Session::try_update) changed nothing.
///
/// ```
/// use socketioxide_session::{Session, TryUpdateError};
///
/// #[derive(Debug)]
/// struct TooFew;
///
/// async fn buy(session: Session<u32>, price: u32) -> &'static str {
///     let bought = session.try_update(|credits| {
///         *credits = credits.checked_sub(price).ok_or(TooFew)?;
///         Ok(())
///     });
///     match bought.await {
///         Ok(_) => "bought",
///         Err(TryUpdateError::Refused(TooFew)) => "not enough credits",
///         Err(_) => "try again later",
///     }
/// }
/// # let _ = buy;
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum TryUpdateError<E> {
    /// The closure returned this error; nothing was saved.
    #[error("the update was refused")]
    Refused(E),
    /// The session was not changed.
    #[error(transparent)]
    Update(#[from] UpdateError),
}
