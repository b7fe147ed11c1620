//! All sessions of a user.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use socketioxide_session::{
    Keyring, MemoryStore, SecretKey, SessionBridge, SessionStore as _, SignedCookie,
    bridge::EndSessionsError,
    store::StoreErrorKind,
    testing::{Call, Fault, Faults, FaultyStore},
};

/// Sessions that hold the name of their user, whom `suspended` keeps out.
fn bridge(suspended: &Arc<AtomicBool>) -> (SessionBridge<String>, MemoryStore<String>, Faults) {
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
    let (sessions, store, _) = bridge(&suspended);
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
    let (sessions, store, faults) = bridge(&Arc::default());
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
