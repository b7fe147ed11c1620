//! Asking the store, so that nothing reported meanwhile is missed.

use std::{sync::Arc, sync::atomic::Ordering, time::Duration};

use futures_util::FutureExt as _;
use tokio::time::Instant;

use super::{
    Live, LoadError, Snapshot,
    entry::{Entry, Installed, Loaded},
};
use crate::store::{StoreError, StoreErrorKind};

/// A load during which something was reported is repeated so often.
const REPEATS: u32 = 3;

impl<T: Send + Sync + 'static> Live<T> {
    /// What is known of the session, if that can be trusted; else what the store says.
    ///
    /// With a store that reports changes, everybody who comes while a load is under way shares it,
    /// and it goes on as long as one of them waits. Without, each loads for itself.
    ///
    /// When a change was reported meanwhile, the store is asked again. A session that is changed
    /// without pause is let through all the same, by a load of one's own: it was there after one
    /// came, and each of the reports has the keeper look again.
    pub(super) async fn current(
        &self,
        entry: &Arc<Entry<T>>,
    ) -> Result<Arc<Snapshot<T>>, LoadError> {
        for repeat in 0..REPEATS {
            pause(repeat).await;
            if entry.end.reason().is_some() {
                return Err(LoadError::Gone);
            }
            let epoch = self.0.feed.trusted_epoch();
            if let Some(snapshot) = entry.trusted(epoch) {
                return Ok(snapshot);
            }
            let loaded = match epoch {
                Some(_) => self.load_together(entry).await?,
                None => self.load(entry).await?,
            };
            // Others were woken before this task; something may have been reported since.
            if entry.still(loaded.mark, self.0.feed.epoch()) {
                return Ok(loaded.snapshot);
            }
        }
        pause(REPEATS).await;
        let loaded = self.load(entry).await?;
        match entry.end.reason() {
            Some(_) => Err(LoadError::Gone),
            None if loaded.mark.epoch == self.0.feed.epoch() => Ok(loaded.snapshot),
            None => Err(LoadError::Store(unsteady())),
        }
    }

    async fn load_together(&self, entry: &Arc<Entry<T>>) -> Result<Loaded<T>, LoadError> {
        let load = entry.join_load(|| {
            let (live, entry) = (self.clone(), entry.clone());
            async move { live.load(&entry).await }.boxed().shared()
        });
        load.await
    }

    /// Asks the store, and again when its feed broke or came back meanwhile.
    pub(super) async fn load(&self, entry: &Arc<Entry<T>>) -> Result<Loaded<T>, LoadError> {
        for repeat in 0..=REPEATS {
            pause(repeat).await;
            let before = entry.mark(self.0.feed.epoch());
            let began = Instant::now();
            let answer = self.0.store.load(&entry.id).await;
            self.0.store_down.store(answer.is_err(), Ordering::SeqCst);
            let record = answer.map_err(LoadError::Store)?;
            let up = self.0.feed.is_up();
            let feed = (self.0.feed.epoch(), up);
            let recheck = Instant::now() + self.recheck_delay();
            match entry.install(record, before, began, feed, recheck) {
                Installed::Good(loaded) => {
                    self.schedule(entry);
                    return Ok(loaded);
                }
                Installed::Unsteady => {}
                Installed::Missing(known) => {
                    if let Some(reason) = known {
                        self.finish(entry, reason);
                    }
                    return Err(LoadError::Gone);
                }
            }
        }
        Err(LoadError::Store(unsteady()))
    }

    /// `revalidate_every`, up to a fifth more or less, so that sessions that came together don't
    /// stay together.
    fn recheck_delay(&self) -> Duration {
        let jitter = 0.8 + 0.4 * fastrand::f64();
        self.0.config.revalidate_every.mul_f64(jitter)
    }
}

fn unsteady() -> StoreError {
    let why = "the feed of changes broke or came back during each of several loads";
    StoreError::new(StoreErrorKind::Unavailable, why)
}

/// Before a load is repeated: out of step with whoever keeps changing the session.
async fn pause(repeat: u32) {
    if repeat > 0 {
        let pause = Duration::from_micros(fastrand::u64(200..2_000)) * repeat;
        tokio::time::sleep(pause).await;
    }
}
