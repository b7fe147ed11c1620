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
