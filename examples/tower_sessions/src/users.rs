//! The table of users.

use std::fmt;

use axum_login::{AuthUser, AuthnBackend};
use password_auth::{generate_hash, verify_password};
use serde::Deserialize;
use sqlx::{Error, SqlitePool, query, query_as};
use tokio::task::spawn_blocking;

#[derive(Clone)]
pub struct Users(SqlitePool);

#[derive(Clone, sqlx::FromRow)]
pub struct User {
    pub id: i64,
    pub name: String,
    password_hash: String,
}

#[derive(Clone, Deserialize)]
pub struct Credentials {
    /// A new password comes without a name.
    #[serde(default)]
    name: String,
    pub password: String,
}

impl Users {
    pub async fn connect(url: &str) -> Result<Self, Error> {
        let pool = SqlitePool::connect(url).await?;
        query("CREATE TABLE IF NOT EXISTS users (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, password_hash TEXT NOT NULL)")
            .execute(&pool)
            .await?;
        for name in ["ann", "bob"] {
            query("INSERT OR IGNORE INTO users (name, password_hash) VALUES (?, ?)")
                .bind(name)
                .bind(generate_hash("secret"))
                .execute(&pool)
                .await?;
        }
        Ok(Self(pool))
    }

    pub fn pool(&self) -> SqlitePool {
        self.0.clone()
    }

    pub async fn delete(&self, user: &User) -> Result<(), Error> {
        query("DELETE FROM users WHERE id = ?")
            .bind(user.id)
            .execute(&self.0)
            .await?;
        Ok(())
    }

    pub async fn set_password(&self, mut user: User, password: String) -> Result<User, Error> {
        user.password_hash = hashing(move || generate_hash(password)).await;
        query("UPDATE users SET password_hash = ? WHERE id = ?")
            .bind(&user.password_hash)
            .bind(user.id)
            .execute(&self.0)
            .await?;
        Ok(user)
    }
}

/// Hashing is slow on purpose, and would hold up other requests.
async fn hashing<R: Send + 'static>(hash: impl FnOnce() -> R + Send + 'static) -> R {
    spawn_blocking(hash).await.expect("hashing does not panic")
}

impl AuthnBackend for Users {
    type User = User;
    type Credentials = Credentials;
    type Error = Error;

    async fn authenticate(&self, given: Credentials) -> Result<Option<User>, Error> {
        let user: Option<User> = query_as("SELECT * FROM users WHERE name = ?")
            .bind(&given.name)
            .fetch_optional(&self.0)
            .await?;
        let is_right =
            move |user: &User| verify_password(given.password, &user.password_hash).is_ok();
        Ok(hashing(move || user.filter(is_right)).await)
    }

    async fn get_user(&self, id: &i64) -> Result<Option<User>, Error> {
        query_as("SELECT * FROM users WHERE id = ?")
            .bind(id)
            .fetch_optional(&self.0)
            .await
    }
}

impl AuthUser for User {
    type Id = i64;

    fn id(&self) -> i64 {
        self.id
    }

    fn session_auth_hash(&self) -> &[u8] {
        self.password_hash.as_bytes()
    }
}

// Without the hash.
impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
