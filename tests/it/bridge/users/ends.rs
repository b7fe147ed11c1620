//! Ends of all sessions of a user.

use std::{
    collections::HashSet,
    error::Error as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::StreamExt as _;
use socketioxide_session::{
    Keyring, MemoryStore, SecretKey, Session, SessionBridge, SessionId, SessionStore as _,
    SignedCookie,
    bridge::EndSessionsError,
    store::StoreErrorKind,
    testing::{Call, Fault, Faults, FaultyStore},
};

use super::store::{AfterListing, HOUR, OddStore};
use crate::support::users::{bridge, ids, listed};

/// Sessions that hold the name of their user, whom `suspended` keeps out.
fn with_verify(
    suspended: &Arc<AtomicBool>,
) -> (SessionBridge<String>, MemoryStore<String>, Faults) {
    let keys = Keyring::new(SecretKey::generate().unwrap());
    let cookie = SignedCookie::new("sid", &keys).unwrap();
    let memory = MemoryStore::new().user_id(|name: &String| Some(name.clone()));
    let (store, faults) = FaultyStore::new(memory.clone());
    let suspended = suspended.clone();
    let sessions = SessionBridge::builder(cookie, store)
        .verify(move |_| {
            let admitted = !suspended.load(Ordering::SeqCst);
            async move { Ok::<_, std::io::Error>(admitted) }
        })
        .build();
    (sessions.unwrap(), memory, faults)
}

#[tokio::test]
async fn the_sessions_of_a_suspended_user_end_in_the_store_too() {
    let suspended = Arc::new(AtomicBool::new(false));
    let (sessions, store, _) = with_verify(&suspended);
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(sessions.create("Ann".into()).await.unwrap().id().clone());
    }
    let bob = sessions.create("Bob".into()).await.unwrap().id().clone();
    suspended.store(true, Ordering::SeqCst);
    assert_eq!(sessions.end_sessions_of_user("Ann").await.unwrap(), 3);
    for id in &ids {
        assert!(store.load(id).await.unwrap().is_none());
    }
    assert!(store.load(&bob).await.unwrap().is_some());
}

#[tokio::test]
async fn sessions_that_cannot_be_read_are_counted_and_end_when_the_call_is_repeated() {
    let (sessions, store, faults) = with_verify(&Arc::default());
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(sessions.create("Ann".into()).await.unwrap().id().clone());
    }
    for kind in [StoreErrorKind::Unavailable, StoreErrorKind::Decode] {
        faults.on(Call::Load, Fault::Error(kind));
        let ended = sessions.end_sessions_of_user("Ann").await;
        let remaining = match ended {
            Err(EndSessionsError::Remaining { remaining, .. }) => remaining,
            other => panic!("{kind:?}: {other:?}"),
        };
        assert_eq!(remaining, 3, "{kind:?}");
    }
    faults.clear();
    assert_eq!(sessions.end_sessions_of_user("Ann").await.unwrap(), 3);
    for id in &ids {
        assert!(store.load(id).await.unwrap().is_none());
    }
}

async fn created(sessions: &SessionBridge<String>, count: usize) -> Vec<Session<String>> {
    let mut created = Vec::new();
    for _ in 0..count {
        created.push(sessions.create("Ann".into()).await.unwrap());
    }
    created
}

fn remaining(ended: Result<usize, EndSessionsError>) -> usize {
    match ended {
        Err(EndSessionsError::Remaining { remaining, .. }) => remaining,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn sessions_that_cannot_be_deleted_are_counted_and_the_others_end() {
    let store = OddStore::new();
    let sessions = bridge(store.clone());
    let all = created(&sessions, 10).await;
    let stuck: HashSet<_> = all[2..5].iter().map(|stuck| stuck.id().clone()).collect();
    store.undeletable.lock().clone_from(&stuck);
    for _ in 0..2 {
        let ended = sessions.end_sessions_of_user("Ann").await;
        let cause = ended.as_ref().unwrap_err().source().unwrap().to_string();
        assert_eq!(cause, "the session store is not available");
        assert_eq!(remaining(ended), 3);
        // On this node all of them have ended, and the others are gone from the store.
        assert!(all.iter().all(Session::has_ended));
        let left = store.sessions_of_user("Ann").await.unwrap();
        let left: HashSet<_> = left.into_iter().map(|session| session.id).collect();
        assert_eq!(left, stuck);
        assert!(listed(&sessions, "Ann").await.is_empty());
    }
    store.undeletable.lock().clear();
    assert_eq!(sessions.end_sessions_of_user("Ann").await.unwrap(), 3);
    assert!(store.memory.is_empty());
    assert_eq!(sessions.end_sessions_of_user("Ann").await.unwrap(), 0);
}

/// A call that fails owes the deletions, so they are made without a repetition, too.
#[tokio::test(start_paused = true)]
async fn what_remains_is_deleted_in_the_background() {
    let store = OddStore::new();
    let sessions = bridge(store.clone());
    let ann = created(&sessions, 1).await.remove(0);
    store.undeletable.lock().insert(ann.id().clone());
    assert_eq!(remaining(sessions.end_sessions_of_user("Ann").await), 1);
    store.undeletable.lock().clear();
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert!(store.memory.is_empty());
}

#[tokio::test]
async fn a_session_that_is_renamed_between_a_listing_and_its_load_ends() {
    use AfterListing::{Nothing, Rename};
    for happens in [
        vec![Rename],
        vec![Rename, Rename],
        vec![Rename, Nothing, Rename],
        vec![Rename; 7],
    ] {
        for count in [1, 3] {
            let store = OddStore::new();
            let sessions = bridge(store.clone());
            created(&sessions, count).await;
            store.after_listings(happens.clone());
            let ended = sessions.end_sessions_of_user("Ann").await.unwrap();
            assert_eq!(ended, count);
            assert!(store.memory.is_empty());
        }
    }
}

#[tokio::test]
async fn a_session_that_is_renamed_all_the_time_is_an_error_and_no_endless_loop() {
    let store = OddStore::new();
    let sessions = bridge(store.clone());
    created(&sessions, 1).await;
    store.after_listings(vec![AfterListing::Rename; 100]);
    assert_eq!(remaining(sessions.end_sessions_of_user("Ann").await), 1);
    assert!(*store.listings.lock() <= 10);
    store.after_listings(Vec::new());
    assert_eq!(sessions.end_sessions_of_user("Ann").await.unwrap(), 1);
}

#[tokio::test]
async fn sessions_that_are_created_meanwhile_go_on() {
    let store = OddStore::new();
    let sessions = bridge(store.clone());
    created(&sessions, 2).await;
    store.after_listings(vec![AfterListing::Create; 5]);
    assert_eq!(sessions.end_sessions_of_user("Ann").await.unwrap(), 2);
    let listings = *store.listings.lock();
    let left = listed(&sessions, "Ann").await.len();
    assert!(left > 0 && left <= listings, "{left}");
}

/// Two listings are enough where nothing happens meanwhile: one that names all, and one that names no other.
#[tokio::test]
async fn an_end_of_all_lists_twice() {
    let store = OddStore::new();
    let sessions = bridge(store.clone());
    created(&sessions, 300).await;
    assert_eq!(sessions.end_sessions_of_user("Ann").await.unwrap(), 300);
    assert_eq!(*store.listings.lock(), 2);
}

#[tokio::test]
async fn signing_out_everywhere_else_spares_the_session_also_after_a_rotation() {
    let store = OddStore::new();
    let sessions = bridge(store.clone());
    let old = created(&sessions, 3).await.remove(1);
    let rotated = sessions.rotate(&old).await.unwrap();
    let rotated = sessions.rotate(&rotated).await.unwrap();
    assert_eq!(sessions.end_other_sessions(&old).await.unwrap(), 2);
    assert_eq!(ids(&sessions, "Ann").await, [rotated.id().clone()].into());
    assert_eq!(sessions.end_other_sessions(&rotated).await.unwrap(), 0);
    assert!(!rotated.has_ended());
}

#[tokio::test(start_paused = true)]
async fn signing_out_everywhere_else_spares_the_session_also_when_it_is_rotated_meanwhile() {
    for rotations in 1..4 {
        let store = OddStore::new();
        let sessions = bridge(store.clone());
        let kept = created(&sessions, 3).await.remove(1);
        store.after_listings(vec![AfterListing::Wait; 3]);
        let rotating = async {
            let mut last = kept.clone();
            for _ in 0..rotations {
                last = sessions.rotate(&last).await.unwrap();
            }
            last
        };
        let (ended, last) = tokio::join!(sessions.end_other_sessions(&kept), rotating);
        assert_eq!(ended.unwrap(), 2);
        assert_eq!(ids(&sessions, "Ann").await, [last.id().clone()].into());
    }
}

#[tokio::test]
async fn an_anonymous_session_has_no_others() {
    let sessions = bridge(OddStore::new());
    let [one, other] = [(); 2].map(|()| sessions.create(String::new()));
    let (one, other) = (one.await.unwrap(), other.await.unwrap());
    let error = sessions.end_other_sessions(&one).await.unwrap_err();
    assert!(matches!(error, EndSessionsError::NoUser), "{error:?}");
    assert_eq!(sessions.end_sessions_of_user("").await.unwrap(), 0);
    assert!(listed(&sessions, "").await.is_empty());
    assert!(!one.has_ended() && !other.has_ended());
}

#[tokio::test]
async fn without_an_index_nothing_is_listed_and_nothing_ends() {
    let sessions = bridge(MemoryStore::<String>::new());
    let ann = sessions.create("Ann".into()).await.unwrap();
    let error = sessions.end_sessions_of_user("Ann").await.unwrap_err();
    let EndSessionsError::Store(error) = error else {
        panic!("{error:?}");
    };
    assert_eq!(error.kind(), StoreErrorKind::Unsupported);
    let listed = sessions.sessions_of_user("Ann").next().await.unwrap();
    assert_eq!(listed.unwrap_err().kind(), StoreErrorKind::Unsupported);
    let error = sessions.end_other_sessions(&ann).await.unwrap_err();
    assert!(matches!(error, EndSessionsError::NoUser), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_listing_is_the_newest_first_and_a_rename_keeps_the_place() {
    let sessions = bridge(OddStore::new());
    let mut all = created(&sessions, 5).await;
    all[1] = sessions.rotate(&all[1]).await.unwrap();
    all[4] = all[4].touch_for(HOUR * 48).await.unwrap();
    let order = |sessions: &[Session<String>]| -> Vec<SessionId> {
        sessions
            .iter()
            .map(|session| session.id().clone())
            .collect()
    };
    all.reverse();
    assert_eq!(order(&listed(&sessions, "Ann").await), order(&all));
}
