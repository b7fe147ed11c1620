//! Loads of a session, and whether the application lets it go on.

use std::{panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt as _;

use super::{
    config::Verify, core::Core, end::reason_of_missing, entry::Entry, load_error::LoadError,
    reason::EndReason,
};
use crate::{
    causes::Causes,
    deadline::within,
    observe::target,
    store::{Record, StoreError, StoreErrorKind},
};

/// Why there is no record, and how a session that was known ends because of it, if it does.
pub(super) struct Missing {
    pub(super) error: LoadError,
    pub(super) ends: Option<EndReason>,
}

/// Loads the record from the store, and has the application verify its data.
pub(super) async fn fetch<T: Send + Sync + 'static>(
    core: &Core<T>,
    entry: &Entry<T>,
) -> Result<Record<T>, Missing> {
    // An id that is not known here may be a guess.
    let loaded = if entry.state().snapshot().is_some() {
        core.store.load(&entry.id).await
    } else {
        core.store.look_up(&entry.id).await
    };
    let record = match loaded {
        Ok(Some(record)) => record,
        // Boxed, because it is rare and would make the future of every load larger.
        Ok(None) => return Err(Box::pin(not_found(core, entry)).await),
        Err(error) => return Err(failed(core, entry, error.into())),
    };
    if let Some(verify) = &core.config.verify {
        Box::pin(verified(core, &**verify, record.data.clone())).await?;
    }
    Ok(record)
}

async fn not_found<T: Send + Sync + 'static>(core: &Core<T>, entry: &Entry<T>) -> Missing {
    Missing {
        error: LoadError::NotFound,
        ends: Some(reason_of_missing(core, entry).await),
    }
}

fn failed<T>(core: &Core<T>, entry: &Entry<T>, error: LoadError) -> Missing {
    let unreadable = matches!(error, LoadError::Unreadable(_));
    log_unreadable(core, entry, &error);
    let ends = (unreadable && core.config.foreign_records).then_some(EndReason::Unreadable);
    Missing { error, ends }
}

fn log_unreadable<T>(core: &Core<T>, entry: &Entry<T>, error: &LoadError) {
    if let LoadError::Unreadable(error) = error
        && core.unreadable.allows(&entry.id)
    {
        tracing::error!(
            target: target::STORE,
            session = entry.id.fingerprint(),
            error = %Causes(error),
            "the stored session can't be decoded"
        );
    }
}

/// Asks the application whether a session with this data may go on.
async fn verified<T>(core: &Core<T>, verify: &Verify<T>, data: Arc<T>) -> Result<(), Missing> {
    let verifying = AssertUnwindSafe(async { verify(data).await }).catch_unwind();
    let failed = |error| Missing {
        error: LoadError::Store(error),
        ends: None,
    };
    match within(core.call_deadline(), verifying).await {
        Some(Ok(Ok(true))) => Ok(()),
        Some(Ok(Ok(false))) => Err(Missing {
            error: LoadError::Revoked,
            ends: Some(EndReason::Revoked),
        }),
        Some(Ok(Err(error))) => Err(failed(StoreError::new(StoreErrorKind::Other, error))),
        Some(Err(_panic)) => Err(failed(StoreError::panicked("`verify`"))),
        None => Err(failed(StoreErrorKind::Timeout.into())),
    }
}
