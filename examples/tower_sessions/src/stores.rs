//! The sessions: for each store, what tower-sessions gets and what the bridge gets.

use std::{error::Error, time::Duration};

use socketioxide_session::interop::tower_sessions::{
    TowerSessionsRecords,
    v0_14::{RecordView, ReportingStore},
};
use sqlx::SqlitePool;
use tower_sessions::ExpiredDeletion;
use tower_sessions_redis_store::fred::prelude::{ClientLike, Config, Pool};
use tower_sessions_sqlx_store::SqliteStore;

use crate::Login;

/// Interval at which expired sessions are deleted.
const DELETE_EXPIRED_EVERY: Duration = Duration::from_secs(60);
/// Number of connections to Redis that tower-sessions uses.
const CONNECTIONS: usize = 4;

type TowerRedisStore = tower_sessions_redis_store::RedisStore<Pool>;

/// One process writes the sessions, so `sole_writer` lets events keep them alive.
pub async fn sqlite(
    pool: SqlitePool,
) -> Result<(ReportingStore<SqliteStore>, RecordView<SqliteStore, Login>), Box<dyn Error>> {
    let store = SqliteStore::new(pool);
    store.migrate().await?;
    let store = ReportingStore::new(store).sole_writer();
    tokio::spawn(
        store
            .clone()
            .continuously_delete_expired(DELETE_EXPIRED_EVERY),
    );
    let logins = store.axum_login();
    Ok((store, logins))
}

/// Redis reports to each process what any of them does, so the store of tower-sessions stays as it is.
pub async fn redis(
    url: &str,
) -> Result<(TowerRedisStore, socketioxide_session::RedisStore<Login>), Box<dyn Error>> {
    let pool = Pool::new(Config::from_url(url)?, None, None, None, CONNECTIONS)?;
    pool.init().await?;
    let logins = socketioxide_session::RedisStore::builder(url)?
        .records(TowerSessionsRecords::field("axum-login.data"))
        .user_id(|login: &Login| Some(login.user_id().to_string()))
        .connect()
        .await?;
    Ok((TowerRedisStore::new(pool), logins))
}
