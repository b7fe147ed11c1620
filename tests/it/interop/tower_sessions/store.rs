//! The work of `ReportingStore` around the calls of any store.

use std::{
    slice,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures_util::FutureExt as _;
use parking_lot::Mutex;
use serde_json::json;
use socketioxide_session::{
    EndReason, SessionBridge, SessionStore as _,
    interop::tower_sessions::{PlainCookie, v0_14::ReportingStore},
};
use time::OffsetDateTime;
use tokio::sync::RwLock;
use tower_sessions_0_14::{
    CachingSessionStore, ExpiredDeletion, MemoryStore, SessionStore,
    session::{Id, Record},
    session_store::{Error, Result},
};

use super::{reported, session_id};
use crate::support::{soon, until};

/// A store whose calls can fail and wait.
#[derive(Debug, Clone, Default)]
struct OddStore {
    inner: MemoryStore,
    odd: Arc<Odd>,
}

#[derive(Debug, Default)]
struct Odd {
    /// While it is held for writing, saves and deletions wait.
    gate: RwLock<()>,
    fails: AtomicBool,
    /// What each load finds, if it is set, as of a store that keeps what has expired.
    kept: Mutex<Option<Record>>,
    expired_deletions: AtomicUsize,
}

impl OddStore {
    async fn pass(&self) -> Result<()> {
        drop(self.odd.gate.read().await);
        match self.odd.fails.load(Ordering::SeqCst) {
            true => Err(Error::Backend("down".into())),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl SessionStore for OddStore {
    async fn create(&self, record: &mut Record) -> Result<()> {
        self.inner.create(record).await
    }

    async fn save(&self, record: &Record) -> Result<()> {
        self.pass().await?;
        self.inner.save(record).await
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        let kept = self.odd.kept.lock().clone();
        match kept {
            Some(record) => Ok(Some(record)),
            None => self.inner.load(id).await,
        }
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        self.pass().await?;
        self.inner.delete(id).await
    }
}

#[async_trait]
impl ExpiredDeletion for OddStore {
    async fn delete_expired(&self) -> Result<()> {
        self.odd.expired_deletions.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

fn record(visits: u64) -> Record {
    Record {
        id: Id::default(),
        data: [("visits".to_owned(), json!(visits))].into(),
        expiry_date: OffsetDateTime::now_utc() + Duration::from_hours(1),
    }
}

/// The wrapper, what it wraps, and a session in it.
async fn stored() -> (ReportingStore<OddStore>, OddStore, Record) {
    let odd = OddStore::default();
    let store = ReportingStore::new(odd.clone()).sole_writer();
    let mut record = record(1);
    store.create(&mut record).await.unwrap();
    (store, odd, record)
}

#[tokio::test]
async fn every_save_and_deletion_is_reported() {
    let (store, _, mut record) = stored().await;
    let mut changes = store.field::<u64>("visits").changes().unwrap();
    let id = session_id(record.id);
    store.load(&record.id).await.unwrap();
    assert_eq!(reported(&mut changes), []);
    store.save(&record).await.unwrap();
    assert_eq!(reported(&mut changes), slice::from_ref(&id));
    store.report(&record.id);
    assert_eq!(reported(&mut changes), slice::from_ref(&id));
    store.delete(&record.id).await.unwrap();
    assert_eq!(reported(&mut changes), slice::from_ref(&id));
    record.id = Id::default();
    store.create(&mut record).await.unwrap();
    assert_eq!(reported(&mut changes), [session_id(record.id)]);
    store
        .field::<u64>("visits")
        .delete(&session_id(record.id))
        .await
        .unwrap();
    assert_eq!(reported(&mut changes), [session_id(record.id)]);
}

#[tokio::test]
async fn calls_that_fail_are_reported() {
    let (store, odd, record) = stored().await;
    let mut changes = store.field::<u64>("visits").changes().unwrap();
    odd.odd.fails.store(true, Ordering::SeqCst);
    assert!(store.save(&record).await.is_err());
    assert!(store.delete(&record.id).await.is_err());
    let id = session_id(record.id);
    assert_eq!(reported(&mut changes), [id.clone(), id]);
}

#[tokio::test(start_paused = true)]
async fn calls_that_are_dropped_midway_are_reported_twice() {
    let (store, odd, record) = stored().await;
    let mut changes = store.field::<u64>("visits").changes().unwrap();
    let id = session_id(record.id);
    let held = odd.odd.gate.write().await;
    assert!(store.delete(&record.id).now_or_never().is_none());
    assert_eq!(reported(&mut changes), slice::from_ref(&id));
    drop(held);
    // A database may do it after the first report.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(reported(&mut changes), [id]);
}

#[tokio::test(start_paused = true)]
async fn a_late_save_does_not_bring_a_session_back() {
    let (store, _, record) = stored().await;
    store.delete(&record.id).await.unwrap();
    let mut changes = store.field::<u64>("visits").changes().unwrap();
    tokio::time::advance(Duration::from_mins(4)).await;
    store.save(&record).await.unwrap();
    assert_eq!(store.load(&record.id).await.unwrap(), None);
    assert_eq!(reported(&mut changes), []);
    tokio::time::advance(Duration::from_mins(2)).await;
    store.save(&record).await.unwrap();
    assert!(store.load(&record.id).await.unwrap().is_some());
}

#[tokio::test]
async fn a_session_that_could_not_be_deleted_can_be_saved() {
    let (store, odd, mut record) = stored().await;
    odd.odd.fails.store(true, Ordering::SeqCst);
    assert!(store.delete(&record.id).await.is_err());
    odd.odd.fails.store(false, Ordering::SeqCst);
    record.data.insert("visits".into(), json!(2));
    store.save(&record).await.unwrap();
    assert_eq!(store.load(&record.id).await.unwrap(), Some(record));
}

#[tokio::test]
async fn a_deletion_waits_for_the_save_under_way() {
    let (store, odd, record) = stored().await;
    let held = odd.odd.gate.write().await;
    let mut save = std::pin::pin!(store.save(&record));
    assert!(save.as_mut().now_or_never().is_none());
    let mut delete = std::pin::pin!(store.delete(&record.id));
    assert!(delete.as_mut().now_or_never().is_none());
    drop(held);
    // The deletion first, as far as the tasks are concerned.
    let (deleted, saved) = tokio::join!(delete, save);
    deleted.and(saved).unwrap();
    assert_eq!(store.load(&record.id).await.unwrap(), None);
}

#[tokio::test]
async fn a_touch_overwrites_no_save() {
    let (store, odd, mut record) = stored().await;
    let view = store.field::<u64>("visits");
    let id = session_id(record.id);
    let held = odd.odd.gate.write().await;
    let mut touch = view.touch(&id, &1, Duration::from_hours(5));
    assert!(touch.as_mut().now_or_never().is_none());
    record.data.insert("visits".into(), json!(2));
    let mut save = store.save(&record);
    assert!(save.as_mut().now_or_never().is_none());
    drop(held);
    let (saved, touched) = tokio::join!(save, touch);
    assert!(saved.is_ok() && touched.unwrap());
    assert_eq!(*view.load(&id).await.unwrap().unwrap().data, 2);
}

#[tokio::test]
async fn a_touch_is_reported_and_brings_nothing_back() {
    let (store, _, record) = stored().await;
    let view = store.field::<u64>("visits");
    let mut changes = view.changes().unwrap();
    let id = session_id(record.id);
    assert!(view.touch(&id, &1, Duration::from_hours(5)).await.unwrap());
    assert_eq!(reported(&mut changes), slice::from_ref(&id));
    // It lives longer already.
    assert!(view.touch(&id, &1, Duration::from_hours(4)).await.unwrap());
    assert_eq!(reported(&mut changes), []);
    assert!(view.delete(&id).await.unwrap());
    assert!(!view.touch(&id, &1, Duration::from_hours(5)).await.unwrap());
    assert_eq!(store.load(&record.id).await.unwrap(), None);
}

#[tokio::test]
async fn a_record_that_has_expired_is_no_session() {
    let (store, odd, mut record) = stored().await;
    let view = store.field::<u64>("visits");
    let id = session_id(record.id);
    for ago in [Duration::ZERO, Duration::from_secs(1)] {
        record.expiry_date = OffsetDateTime::now_utc() - ago;
        *odd.odd.kept.lock() = Some(record.clone());
        assert!(view.load(&id).await.unwrap().is_none());
        assert!(!view.touch(&id, &1, Duration::from_hours(1)).await.unwrap());
        assert!(!view.delete(&id).await.unwrap());
    }
}

/// A request of another process was under way when a socket ended the session.
#[tokio::test]
async fn what_another_process_saves_after_an_end_is_deleted_again() {
    let (store, odd, record) = stored().await;
    let cookie = PlainCookie::new("id").unwrap();
    let sessions = SessionBridge::builder(cookie, store.field::<u64>("visits"));
    let sessions = sessions.build().unwrap();
    let id = session_id(record.id);
    let session = sessions.get(&id).await.unwrap().unwrap();
    session.end().await.unwrap();
    odd.inner.save(&record).await.unwrap();
    assert!(sessions.get(&id).await.unwrap().is_none());
    store.report(&record.id);
    until("it is deleted again", || {
        let loaded = odd.inner.load(&record.id).now_or_never();
        loaded.unwrap().unwrap().is_none()
    })
    .await;
}

#[tokio::test]
async fn a_record_that_no_longer_fits_ends_its_session_at_once() {
    let (store, _, mut record) = stored().await;
    let cookie = PlainCookie::new("id").unwrap();
    let sessions = SessionBridge::builder(cookie, store.field::<u64>("visits"));
    let sessions = sessions.build().unwrap();
    let found = sessions.get(&session_id(record.id)).await.unwrap();
    let session = found.unwrap();
    let ended = session.ended();
    record.data.insert("visits".into(), json!("many"));
    store.save(&record).await.unwrap();
    assert_eq!(soon("it ends", ended).await, EndReason::Unreadable);
}

#[tokio::test]
async fn a_session_is_not_created_under_a_deleted_id() {
    let (store, _, mut record) = stored().await;
    let deleted = record.id;
    store.delete(&deleted).await.unwrap();
    store.create(&mut record).await.unwrap();
    assert_ne!(record.id, deleted);
    assert_eq!(store.load(&deleted).await.unwrap(), None);
    assert_eq!(store.load(&record.id).await.unwrap(), Some(record));
}

#[tokio::test]
async fn a_slow_reader_looks_at_all_of_them() {
    use socketioxide_session::store::Change;
    let (store, _, record) = stored().await;
    let mut changes = store.field::<u64>("visits").changes().unwrap();
    for _ in 0..2000 {
        store.report(&record.id);
    }
    assert_eq!(changes.next().await, Some(Change::Resync));

    let mut changes = store.field::<u64>("visits").changes().unwrap();
    store.report_all();
    assert_eq!(changes.next().await, Some(Change::Resync));
}

#[tokio::test]
async fn the_deletion_of_expired_sessions_is_forwarded() {
    let (store, odd, _) = stored().await;
    store.delete_expired().await.unwrap();
    assert_eq!(odd.odd.expired_deletions.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn inside_of_a_caching_store_the_database_is_loaded() {
    let store = ReportingStore::new(MemoryStore::default());
    let cached = CachingSessionStore::new(MemoryStore::default(), store.clone());
    let view = store.field::<u64>("visits");
    let mut changes = view.changes().unwrap();
    let mut record = record(1);
    cached.create(&mut record).await.unwrap();
    let id = session_id(record.id);
    assert_eq!(*view.load(&id).await.unwrap().unwrap().data, 1);
    cached.delete(&record.id).await.unwrap();
    assert_eq!(reported(&mut changes), [id.clone(), id.clone()]);
    // A late save fills the cache at most.
    cached.save(&record).await.unwrap();
    assert!(view.load(&id).await.unwrap().is_none());
}
