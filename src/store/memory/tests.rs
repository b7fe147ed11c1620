use super::*;

#[tokio::test(start_paused = true)]
async fn the_index_holds_nothing_of_sessions_that_have_left() {
    let store = MemoryStore::<String>::new().user_id(|user| Some(user.clone()));
    let [deleted, expires, renamed] = [(); 3].map(|()| SessionId::generate().unwrap());
    let (ann, minute) = ("Ann".to_owned(), Duration::from_mins(1));
    for (id, ttl) in [(&deleted, minute), (&expires, minute / 2)] {
        let created = store.create(id, &ann, ttl).await.unwrap();
        assert!(matches!(created, Created::Created(_)));
    }
    let record = store.load(&deleted).await.unwrap().unwrap();
    let eve = "Eve".to_owned();
    let saved = store.save(&deleted, &eve, &record.revision).await;
    assert!(matches!(saved.unwrap(), Saved::Saved(_)));
    assert_eq!(store.sessions_of_user("Ann").await.unwrap().len(), 1);
    assert!(store.rename(&deleted, &renamed).await.unwrap());
    tokio::time::advance(minute / 2).await;
    assert!(store.delete(&renamed).await.unwrap());
    assert!(store.shared.sessions.lock().users.is_empty());
}

/// Data whose drop uses the store, as a handle on it in a cache does.
#[derive(Clone)]
struct Uses(Option<MemoryStore<Uses>>);

impl Drop for Uses {
    fn drop(&mut self) {
        if let Some(store) = self.0.take() {
            assert!(store.len() < 10);
        }
    }
}

#[test]
fn data_whose_drop_uses_the_store_does_not_stop_it() {
    let (done, waits) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let store = MemoryStore::<Uses>::new();
            let id = SessionId::generate().unwrap();
            let day = Duration::from_hours(24);
            let data = Uses(Some(store.clone()));
            let _created = store.create(&id, &data, day).await.unwrap();
            store.delete(&id).await.unwrap();
        });
        done.send(()).unwrap();
    });
    let over = waits.recv_timeout(Duration::from_secs(5));
    assert!(over.is_ok(), "the lock of the store is still held");
}
