//! A custom store: sessions in `SQLite`, with its conformance test.
//!
//! ```sh
//! cargo run -p custom_store
//! cargo test -p custom_store
//! ```

use std::{
    error::Error,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use serde::{Serialize, de::DeserializeOwned};
use socketioxide_session::{
    SessionId, SessionStore, StoreError,
    store::{Capabilities, Created, IndexedSession, Record, Revision, Saved, StoreErrorKind},
};
use tokio_rusqlite::{
    Connection, params,
    rusqlite::{self, OptionalExtension, Transaction, TransactionBehavior},
};

/// Keeps sessions as JSON in a table. It does not report changes: sockets of a session that was
/// ended elsewhere are closed at the next re-check.
struct SqliteStore<T> {
    connection: Connection,
    /// The user that a session with this data belongs to.
    user_id: fn(&T) -> Option<String>,
}

/// The revision is random, not counted: a session that is made anew under an old id must not have a
/// revision that the old one had.
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS session (
        id TEXT PRIMARY KEY, data TEXT NOT NULL, revision INTEGER NOT NULL, expires REAL NOT NULL,
        created REAL NOT NULL, user TEXT
    ) STRICT;
    CREATE INDEX IF NOT EXISTS session_expires ON session (expires);
    CREATE INDEX IF NOT EXISTS session_user ON session (user);
";

/// Milliseconds since 1970, as `SQLite` sees them.
const NOW: &str = "(unixepoch('subsec') * 1000.0)";

impl<T> SqliteStore<T> {
    async fn open(path: &str, user_id: fn(&T) -> Option<String>) -> Result<Self, StoreError> {
        let connection = Connection::open(path).await.map_err(unavailable)?;
        let store = Self {
            connection,
            user_id,
        };
        // Not in a transaction: SQLite changes its journal only outside of one.
        let journal = store
            .connection
            .call(|sql| sql.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())));
        journal.await.map_err(unavailable)?;
        store.run(|sql| sql.execute_batch(SCHEMA)).await?;
        Ok(store)
    }

    /// Runs one transaction on the thread of the connection. It happens as a whole or not at all,
    /// also when its caller no longer waits for it.
    async fn run<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<R> + Send + 'static,
    ) -> Result<R, StoreError> {
        self.connection
            .call(move |sql| -> rusqlite::Result<R> {
                // Immediate: one that reads first and writes then fails when another program
                // wrote in between, instead of waiting for it.
                let transaction = sql.transaction_with_behavior(TransactionBehavior::Immediate)?;
                let result = work(&transaction)?;
                transaction.commit()?;
                Ok(result)
            })
            .await
            .map_err(unavailable)
    }
}

#[async_trait]
impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> SessionStore for SqliteStore<T> {
    type Data = T;

    async fn create(&self, id: &SessionId, data: &T, ttl: Duration) -> Result<Created, StoreError> {
        let (user, ttl) = ((self.user_id)(data), ttl.as_secs_f64() * 1e3);
        let (id, data) = (id.expose().to_owned(), encode(data)?);
        let made = self.run(move |sql| {
            sql.execute(&format!("DELETE FROM session WHERE expires <= {NOW}"), [])?;
            let insert = format!(
                "INSERT OR IGNORE INTO session VALUES (?1, ?2, random(), {NOW} + ?3, {NOW}, ?4) RETURNING revision"
            );
            let revision = |row: &rusqlite::Row<'_>| row.get(0);
            sql.query_row(&insert, params![id, data, ttl, user], revision).optional()
        });
        let revision: Option<i64> = made.await?;
        Ok(match revision {
            Some(revision) => Created::Created(revision.cast_unsigned().into()),
            None => Created::Taken,
        })
    }

    async fn load(&self, id: &SessionId) -> Result<Option<Record<T>>, StoreError> {
        let id = id.expose().to_owned();
        let found = self.run(move |sql| {
            let select = format!(
                "SELECT data, revision, expires - {NOW} FROM session WHERE id = ?1 AND expires > {NOW}"
            );
            let columns = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
            sql.query_row(&select, [id], columns).optional()
        });
        let Some((data, revision, left)): Option<(String, i64, f64)> = found.await? else {
            return Ok(None);
        };
        let decoded = |error| StoreError::new(StoreErrorKind::Decode, error);
        let data: T = serde_json::from_str(&data).map_err(decoded)?;
        let ttl = Duration::from_secs_f64(left.max(0.0) / 1e3);
        Ok(Some(Record::new(
            data,
            Some(ttl),
            revision.cast_unsigned().into(),
        )))
    }

    async fn save(
        &self,
        id: &SessionId,
        data: &T,
        expected: &Revision,
    ) -> Result<Saved, StoreError> {
        let user = (self.user_id)(data);
        let (id, data) = (id.expose().to_owned(), encode(data)?);
        let expected = expected.as_u64().map(u64::cast_signed);
        self.run(move |sql| {
            let select = format!("SELECT revision FROM session WHERE id = ?1 AND expires > {NOW}");
            let revision: Option<i64> = sql.query_row(&select, [&id], |row| row.get(0)).optional()?;
            match revision {
                None => return Ok(Saved::Gone),
                revision if revision != expected => return Ok(Saved::Conflict),
                _ => {}
            }
            let update = "UPDATE session SET data = ?2, revision = random(), user = ?3 WHERE id = ?1 RETURNING revision";
            let revision: i64 = sql.query_row(update, params![id, data, user], |row| row.get(0))?;
            Ok(Saved::Saved(revision.cast_unsigned().into()))
        })
        .await
    }

    async fn touch(
        &self,
        id: &SessionId,
        _: &Self::Data,
        ttl: Duration,
    ) -> Result<bool, StoreError> {
        let (id, ttl) = (id.expose().to_owned(), ttl.as_secs_f64() * 1e3);
        let update = format!(
            "UPDATE session SET expires = max(expires, {NOW} + ?2) WHERE id = ?1 AND expires > {NOW}"
        );
        Ok(self
            .run(move |sql| sql.execute(&update, params![id, ttl]))
            .await?
            == 1)
    }

    async fn rename(&self, old: &SessionId, new: &SessionId) -> Result<bool, StoreError> {
        let (old, new) = (old.expose().to_owned(), new.expose().to_owned());
        // A new id that is taken breaks the primary key, and nothing happens.
        let sweep = format!("DELETE FROM session WHERE id = ?1 AND expires <= {NOW}");
        let update = format!("UPDATE session SET id = ?2 WHERE id = ?1 AND expires > {NOW}");
        let renamed = self.run(move |sql| {
            // One that has expired does not take the id.
            sql.execute(&sweep, [&new])?;
            sql.execute(&update, [&old, &new])
        });
        Ok(renamed.await? == 1)
    }

    async fn delete(&self, id: &SessionId) -> Result<bool, StoreError> {
        let id = id.expose().to_owned();
        let delete = format!("DELETE FROM session WHERE id = ?1 RETURNING expires > {NOW}");
        let was_live =
            self.run(move |sql| sql.query_row(&delete, [id], |row| row.get(0)).optional());
        Ok(was_live.await?.unwrap_or(false))
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            user_index: true,
            ..Capabilities::default()
        }
    }

    fn user_id(&self, data: &T) -> Option<String> {
        (self.user_id)(data)
    }

    async fn sessions_of_user(&self, user: &str) -> Result<Vec<IndexedSession>, StoreError> {
        let user = user.to_owned();
        let select = format!("SELECT id, created FROM session WHERE user = ?1 AND expires > {NOW}");
        let found = self.run(move |sql| {
            let mut select = sql.prepare(&select)?;
            let columns = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
            select.query_map([user], columns)?.collect()
        });
        let found: Vec<(String, f64)> = found.await?;
        let sessions = found.into_iter().filter_map(|(id, created)| {
            let created = SystemTime::UNIX_EPOCH + Duration::from_secs_f64(created / 1e3);
            Some(IndexedSession::new(id.parse().ok()?, created))
        });
        Ok(sessions.collect())
    }
}

fn encode<T: Serialize>(data: &T) -> Result<String, StoreError> {
    serde_json::to_string(data).map_err(|error| StoreError::new(StoreErrorKind::Encode, error))
}

fn unavailable(error: impl Error + Send + Sync + 'static) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, error)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let store = SqliteStore::<String>::open(":memory:", |user| Some(user.clone())).await?;
    let id = SessionId::generate()?;
    let _created = store
        .create(&id, &"Ann".to_owned(), Duration::from_mins(1))
        .await?;
    let record = store.load(&id).await?.ok_or("it was just made")?;
    #[allow(clippy::print_stdout, reason = "a program for a terminal")]
    {
        println!("{} is stored for {:?}", record.data, record.ttl);
        let sessions = store.sessions_of_user("Ann").await?;
        println!("Ann has {} session", sessions.len());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use socketioxide_session::testing::SampleData;

    use super::SqliteStore;

    #[allow(clippy::unnecessary_wraps, reason = "as the store wants it")]
    fn user(data: &SampleData) -> Option<String> {
        Some(data.text.clone())
    }

    socketioxide_session::store_conformance!(sqlite, async {
        SqliteStore::<SampleData>::open(":memory:", user)
            .await
            .unwrap()
    });

    socketioxide_session::store_conformance!(sqlite_in_a_file, async {
        // One for all tests of this build, beside the test's program.
        let path = std::env::current_exe()
            .unwrap()
            .with_extension("sessions.db");
        SqliteStore::<SampleData>::open(path.to_str().unwrap(), user)
            .await
            .unwrap()
    });
}
