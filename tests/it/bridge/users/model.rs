//! Random calls on many sessions in memory.

use socketioxide_session::MemoryStore;

use crate::support::{
    server::User,
    user_model::{SHORT, after_random_calls, assert_agrees, one_user_with_many},
    users::bridge,
};

fn memory() -> MemoryStore<User> {
    MemoryStore::new().user_id(|user: &User| Some(user.name.clone()))
}

#[tokio::test(start_paused = true)]
async fn after_random_calls_the_index_agrees_with_a_model() {
    let store = memory();
    let nodes = [bridge(store.clone()), bridge(store)];
    let model = after_random_calls(&nodes).await;
    tokio::time::advance(SHORT).await;
    assert_agrees(&nodes[0], model).await;
}

#[tokio::test]
async fn one_user_has_ten_thousand_sessions() {
    let store = memory();
    let nodes = [bridge(store.clone()), bridge(store.clone())];
    one_user_with_many(&nodes[0], &nodes[1]).await;
    assert_eq!(store.len(), 1);
}
