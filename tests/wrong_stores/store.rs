//! A store that is right but for one thing.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use futures_util::stream;
use parking_lot::Mutex;
use socketioxide_session::{
    SessionId, SessionStore, StoreError,
    store::{
        Capabilities, Change, Changes, Created, IndexedSession, Record, Revision, Saved,
        StoreErrorKind,
    },
    testing::{SampleData, TestData},
};
use tokio::{sync::broadcast, task::yield_now, time::Instant};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    Nothing,
    CreateOverwrites,
    ExpiredIsThere,
    SaveExtends,
    TouchCreates,
    TouchShortens,
    RenameCopiesFirst,
    SaveRevives,
    SaveLooksFirst,
    IdsWithoutCase,
    DeletesAreNotReported,
    DeleteOfNothingHangs,
    CreateInTwoSteps,
    CreateIsNotListed,
    IndexComesSecond,
    CreatedIsNoTime,
    TouchKeepsTheIndex,
    DeleteForgetsTheUser,
    RenameIsNew,
    SaveKeepsTheUser,
    UsersWithoutCase,
}

impl Wrong {
    pub(crate) const ALL: [Self; 21] = [
        Self::Nothing,
        Self::CreateOverwrites,
        Self::ExpiredIsThere,
        Self::SaveExtends,
        Self::TouchCreates,
        Self::TouchShortens,
        Self::RenameCopiesFirst,
        Self::SaveRevives,
        Self::SaveLooksFirst,
        Self::IdsWithoutCase,
        Self::DeletesAreNotReported,
        Self::DeleteOfNothingHangs,
        Self::CreateInTwoSteps,
        Self::CreateIsNotListed,
        Self::IndexComesSecond,
        Self::CreatedIsNoTime,
        Self::TouchKeepsTheIndex,
        Self::DeleteForgetsTheUser,
        Self::RenameIsNew,
        Self::SaveKeepsTheUser,
        Self::UsersWithoutCase,
    ];
}

pub(crate) struct WrongStore {
    wrong: Wrong,
    shared: Arc<Mutex<Shared>>,
    feed: broadcast::Sender<Change>,
}

#[derive(Default)]
struct Shared {
    sessions: HashMap<String, Stored>,
    /// Whatever was there once.
    graves: HashMap<String, Stored>,
    last_revision: u64,
}

#[derive(Clone)]
struct Stored {
    data: SampleData,
    expires: Instant,
    revision: u64,
    created: SystemTime,
    /// The user in the index; `None`: not indexed.
    user: Option<String>,
    /// When it leaves the index.
    listed_until: Instant,
}

impl WrongStore {
    pub(crate) fn new(wrong: Wrong) -> Self {
        Self {
            wrong,
            shared: Arc::default(),
            feed: broadcast::Sender::new(4096),
        }
    }

    fn is(&self, wrong: Wrong) -> bool {
        self.wrong == wrong
    }

    fn key(&self, id: &SessionId) -> String {
        match self.is(Wrong::IdsWithoutCase) {
            // Only of short tails, so that random ids stay distinct.
            true => {
                let (head, tail) = id.expose().split_at(id.expose().len().min(22));
                format!("{head}{}", tail.to_lowercase())
            }
            false => id.expose().to_owned(),
        }
    }

    fn tell(&self, id: &SessionId) {
        let _ = self.feed.send(Change::Session(id.clone()));
    }

    fn live(&self, shared: &mut Shared, id: &SessionId) -> Option<Stored> {
        let stored = shared.sessions.get(&self.key(id))?;
        let there = stored.expires > Instant::now();
        there.then(|| stored.clone())
    }
}

#[async_trait]
impl SessionStore for WrongStore {
    type Data = SampleData;

    async fn create(
        &self,
        id: &SessionId,
        data: &SampleData,
        ttl: Duration,
    ) -> Result<Created, StoreError> {
        let mut stored = Stored {
            data: data.clone(),
            expires: Instant::now() + ttl,
            revision: 0,
            created: SystemTime::now(),
            user: Some(data.text.clone()),
            listed_until: Instant::now() + ttl,
        };
        {
            let mut shared = self.shared.lock();
            let taken = self.live(&mut shared, id).is_some();
            if taken && !self.is(Wrong::CreateOverwrites) {
                return Ok(Created::Taken);
            }
            shared.last_revision += 1;
            stored.revision = shared.last_revision;
            if self.is(Wrong::CreateIsNotListed) && data.number > 1 {
                stored.user = None;
            }
            if self.is(Wrong::CreatedIsNoTime) {
                stored.created = SystemTime::UNIX_EPOCH;
            }
            let mut first = stored.clone();
            if self.is(Wrong::IndexComesSecond) {
                first.user = None;
            }
            if self.is(Wrong::CreateInTwoSteps) {
                first.data = SampleData::sample(0, "not yet");
            }
            shared.sessions.insert(self.key(id), first);
        }
        let revision = stored.revision;
        if self.is(Wrong::CreateInTwoSteps) {
            yield_now().await;
            self.shared.lock().sessions.insert(self.key(id), stored);
        } else if self.is(Wrong::IndexComesSecond) {
            // To its end, whether or not a caller waits for it.
            let (shared, key, user) = (self.shared.clone(), self.key(id), stored.user);
            let indexing = tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(2)).await;
                if let Some(stored) = shared.lock().sessions.get_mut(&key) {
                    stored.user = user;
                }
            });
            let failed = |error| StoreError::new(StoreErrorKind::Other, error);
            indexing.await.map_err(failed)?;
        }
        self.tell(id);
        Ok(Created::Created(revision.into()))
    }

    async fn load(&self, id: &SessionId) -> Result<Option<Record<SampleData>>, StoreError> {
        let mut shared = self.shared.lock();
        let found = match self.is(Wrong::ExpiredIsThere) {
            true => shared.sessions.get(&self.key(id)).cloned(),
            false => self.live(&mut shared, id),
        };
        Ok(found.map(|stored| {
            let ttl = stored.expires.saturating_duration_since(Instant::now());
            Record::new(stored.data, Some(ttl), stored.revision.into())
        }))
    }

    async fn save(
        &self,
        id: &SessionId,
        data: &SampleData,
        expected: &Revision,
    ) -> Result<Saved, StoreError> {
        if self.is(Wrong::SaveLooksFirst) {
            let looked = self.live(&mut self.shared.lock(), id);
            match looked {
                None => return Ok(Saved::Gone),
                Some(stored) if expected.as_u64() != Some(stored.revision) => {
                    return Ok(Saved::Conflict);
                }
                Some(_) => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        }
        let mut shared = self.shared.lock();
        let found = match self.live(&mut shared, id) {
            None if self.is(Wrong::SaveRevives) => shared
                .graves
                .get(&self.key(id))
                .filter(|stored| expected.as_u64() <= Some(stored.revision))
                .cloned(),
            found => found,
        };
        let Some(mut stored) = found else {
            return Ok(Saved::Gone);
        };
        let same = expected.as_u64() == Some(stored.revision);
        let revived = self.is(Wrong::SaveRevives) && shared.graves.contains_key(&self.key(id));
        if !same && !self.is(Wrong::SaveLooksFirst) && !revived {
            return Ok(Saved::Conflict);
        }
        shared.last_revision += 1;
        stored.revision = shared.last_revision;
        stored.data = data.clone();
        if !self.is(Wrong::SaveKeepsTheUser) {
            stored.user = Some(data.text.clone());
        }
        if self.is(Wrong::SaveExtends) {
            stored.expires += Duration::from_hours(1);
        }
        let revision = stored.revision;
        shared.sessions.insert(self.key(id), stored);
        self.tell(id);
        Ok(Saved::Saved(revision.into()))
    }

    async fn touch(
        &self,
        id: &SessionId,
        _: &Self::Data,
        ttl: Duration,
    ) -> Result<bool, StoreError> {
        let mut shared = self.shared.lock();
        let expires = Instant::now() + ttl;
        let key = self.key(id);
        let Some(mut stored) = self.live(&mut shared, id) else {
            let never_seen =
                !shared.graves.contains_key(&key) && !shared.sessions.contains_key(&key);
            if self.is(Wrong::TouchCreates) && never_seen {
                let data = SampleData::sample(0, "out of nothing");
                let revision = 0;
                let stored = Stored {
                    data,
                    expires,
                    revision,
                    created: SystemTime::now(),
                    user: None,
                    listed_until: expires,
                };
                shared.sessions.insert(key, stored);
                return Ok(true);
            }
            return Ok(false);
        };
        if self.is(Wrong::TouchShortens) || expires > stored.expires {
            stored.expires = expires;
        }
        if !self.is(Wrong::TouchKeepsTheIndex) {
            stored.listed_until = stored.expires;
        }
        shared.sessions.insert(key, stored);
        self.tell(id);
        Ok(true)
    }

    async fn rename(&self, old: &SessionId, new: &SessionId) -> Result<bool, StoreError> {
        let stored = {
            let mut shared = self.shared.lock();
            let Some(mut stored) = self.live(&mut shared, old) else {
                return Ok(false);
            };
            if self.is(Wrong::RenameIsNew) {
                stored.created = SystemTime::now();
            }
            if self.live(&mut shared, new).is_some() {
                return Err(StoreError::new(
                    StoreErrorKind::Other,
                    "the new id is taken",
                ));
            }
            if !self.is(Wrong::RenameCopiesFirst) {
                shared.sessions.remove(&self.key(old));
                shared.sessions.insert(self.key(new), stored.clone());
            }
            stored
        };
        if self.is(Wrong::RenameCopiesFirst) {
            // To its end, whether or not a caller waits for it.
            let (shared, old, new) = (self.shared.clone(), self.key(old), self.key(new));
            let copying = tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(2)).await;
                let mut shared = shared.lock();
                shared.sessions.remove(&old);
                shared.sessions.insert(new, stored);
            });
            copying
                .await
                .map_err(|error| StoreError::new(StoreErrorKind::Other, error))?;
        }
        self.tell(old);
        self.tell(new);
        Ok(true)
    }

    async fn delete(&self, id: &SessionId) -> Result<bool, StoreError> {
        let deleted = {
            let mut shared = self.shared.lock();
            let there = self.live(&mut shared, id).is_some();
            let removed = shared.sessions.remove(&self.key(id));
            if let Some(removed) = removed {
                if self.is(Wrong::DeleteForgetsTheUser) {
                    let user = &removed.user;
                    for other in shared.sessions.values_mut() {
                        other.user = other
                            .user
                            .take()
                            .filter(|other| Some(other) != user.as_ref());
                    }
                }
                shared.graves.insert(self.key(id), removed);
            }
            there
        };
        let never_seen = !deleted && !self.shared.lock().graves.contains_key(&self.key(id));
        if self.is(Wrong::DeleteOfNothingHangs) && never_seen {
            std::future::pending::<()>().await;
        }
        if deleted && !self.is(Wrong::DeletesAreNotReported) {
            self.tell(id);
        }
        Ok(deleted)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            user_index: true,
            ..Capabilities::default()
        }
    }

    fn user_id(&self, data: &SampleData) -> Option<String> {
        Some(data.text.clone())
    }

    async fn sessions_of_user(&self, user: &str) -> Result<Vec<IndexedSession>, StoreError> {
        // The random part stays distinct.
        let key = |user: &str| match self.is(Wrong::UsersWithoutCase) {
            true => user.to_lowercase(),
            false => user.to_owned(),
        };
        let shared = self.shared.lock();
        let listed = shared.sessions.iter().filter(|(_, stored)| {
            let of = stored.user.as_ref();
            of.is_some_and(|of| key(of) == key(user)) && stored.listed_until > Instant::now()
        });
        let sessions =
            listed.map(|(id, stored)| IndexedSession::new(id.parse().unwrap(), stored.created));
        Ok(sessions.collect())
    }

    fn changes(&self) -> Option<Changes> {
        let receiver = self.feed.subscribe();
        Some(Changes::new(stream::unfold(
            receiver,
            async |mut receiver| Some((receiver.recv().await.ok()?, receiver)),
        )))
    }
}
