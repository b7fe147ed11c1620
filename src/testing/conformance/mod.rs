//! The laws of the [`SessionStore`] contract, each as a test.
//!
//! Use them through [`store_conformance!`](crate::store_conformance), or call them one by one: each
//! takes a store that may hold anything, uses ids of its own, and panics with the law's sentence
//! when the store breaks it. They take real time, some a second.

mod awkward;
mod changes;
mod concurrent;
mod read_only;
mod sequential;
mod users;

use std::{fmt::Debug, future::Future, time::Duration};

use serde::{Deserialize, Serialize};

pub use awkward::awkward_ids_and_data_survive;
pub use changes::changes_are_reported;
pub use concurrent::{
    concurrent_updates_lose_nothing, delete_wins, dropped_calls_leave_nothing_half_done,
    rename_is_atomic_against_saves,
};
pub use read_only::read_only_stores_only_read;
pub use sequential::{
    create_never_overwrites, every_call_ends, expired_is_gone, save_and_touch_never_create,
    save_is_compare_and_swap_and_keeps_the_ttl, touch_never_shortens,
};
pub use users::{
    a_rename_carries_the_time_of_creation, a_save_moves_a_session_to_another_user,
    created_sessions_are_listed, deleted_sessions_are_not_listed,
    sessions_are_ordered_by_their_creation, stored_sessions_are_listed,
    touched_sessions_stay_listed, users_do_not_mix,
};

use crate::{
    id::SessionId,
    store::{Record, SessionStore, StoreError},
};

/// Timeout for every wait of the suite.
const DEADLINE: Duration = Duration::from_secs(30);
/// A lifetime that does not end during a test.
const LONG: Duration = Duration::from_mins(10);
/// A lifetime whose end a test waits for.
const SHORT: Duration = Duration::from_secs(2);

/// Makes a module with one `#[tokio::test]` for each law of the
/// [`SessionStore`] contract.
///
/// Give it a name for the module, and an async expression that makes a store for
/// [`SampleData`], or for any [`TestData`]. It
/// is evaluated once for each test. A store that indexes its sessions by user derives the user id from the
/// text of the data alone: `.user_id(|data| Some(data.text.clone()))`. The crate `tokio` must be a (dev-)dependency, with `macros` and
/// `rt-multi-thread`.
///
/// ```
/// # use socketioxide_session::{MemoryStore, testing::SampleData};
/// socketioxide_session::store_conformance!(memory, async { MemoryStore::<SampleData>::new() });
/// socketioxide_session::store_conformance!(with_an_index, async {
///     MemoryStore::<SampleData>::new().user_id(|data| Some(data.text.clone()))
/// });
/// ```
#[macro_export]
macro_rules! store_conformance {
    ($name:ident, $store:expr) => {
        $crate::store_conformance!(@laws $name, $store,
            create_never_overwrites,
            expired_is_gone,
            save_is_compare_and_swap_and_keeps_the_ttl,
            save_and_touch_never_create,
            touch_never_shortens,
            rename_is_atomic_against_saves,
            delete_wins,
            concurrent_updates_lose_nothing,
            awkward_ids_and_data_survive,
            changes_are_reported,
            every_call_ends,
            dropped_calls_leave_nothing_half_done,
            created_sessions_are_listed,
            stored_sessions_are_listed,
            sessions_are_ordered_by_their_creation,
            touched_sessions_stay_listed,
            deleted_sessions_are_not_listed,
            a_rename_carries_the_time_of_creation,
            a_save_moves_a_session_to_another_user,
            users_do_not_mix,
        );
    };
    (@laws $name:ident, $store:expr, $($law:ident,)*) => {
        mod $name {
            #[allow(unused_imports, reason = "the expression may need none of them")]
            use super::*;

            $(
                #[::tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $law() {
                    let store = ::std::sync::Arc::new(($store).await);
                    $crate::testing::conformance::$law(store).await;
                }
            )*
        }
    };
}

/// [`store_conformance!`](crate::store_conformance) for a read-only store, one that can't create, save
/// and rename: an async expression that makes the store and an id of a session that it holds, as a
/// pair. Whether it touches and deletes is for its
/// [`capabilities`](crate::SessionStore::capabilities) to tell.
#[macro_export]
macro_rules! read_only_store_conformance {
    ($name:ident, $store_and_id:expr) => {
        mod $name {
            #[allow(unused_imports, reason = "the expression may need none of them")]
            use super::*;

            #[::tokio::test]
            async fn read_only_stores_only_read() {
                let (store, id) = ($store_and_id).await;
                $crate::testing::conformance::read_only_stores_only_read(store, id).await;
            }
        }
    };
}

/// The data that the suite stores.
///
/// ```
/// use socketioxide_session::testing::TestData;
///
/// #[derive(Debug, Clone, PartialEq)]
/// struct Row {
///     count: u64,
///     note: String,
/// }
///
/// impl TestData for Row {
///     fn sample(number: u64, text: &str) -> Self {
///         Self { count: number, note: text.to_owned() }
///     }
///
///     fn number(&self) -> u64 {
///         self.count
///     }
///
///     fn set_number(&mut self, number: u64) {
///         self.count = number;
///     }
/// }
/// # assert_eq!(Row::sample(3, "x").number(), 3);
/// ```
pub trait TestData: Clone + PartialEq + Debug + Send + Sync + 'static {
    /// Data with this number and this text in it.
    fn sample(number: u64, text: &str) -> Self;

    /// The number.
    fn number(&self) -> u64;

    /// Replaces the number.
    fn set_number(&mut self, number: u64);
}

/// Data for testing a store that takes any.
///
/// ```
/// use socketioxide_session::{MemoryStore, testing::SampleData};
///
/// socketioxide_session::store_conformance!(memory, async { MemoryStore::<SampleData>::new() });
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SampleData {
    /// A number.
    pub number: u64,
    /// A text.
    pub text: String,
    /// The text again, in a list.
    pub nested: Vec<Option<String>>,
}

impl TestData for SampleData {
    fn sample(number: u64, text: &str) -> Self {
        Self {
            number,
            text: text.to_owned(),
            nested: vec![None, Some(text.to_owned())],
        }
    }

    fn number(&self) -> u64 {
        self.number
    }

    fn set_number(&mut self, number: u64) {
        self.number = number;
    }
}

/// A law, to be named when it is broken.
#[derive(Clone, Copy)]
struct Law(&'static str);

impl Law {
    #[track_caller]
    fn broken(self, how: &str) -> ! {
        panic!("law broken: {}: {how}", self.0)
    }

    #[track_caller]
    fn check(self, holds: bool, how: &str) {
        if !holds {
            self.broken(how);
        }
    }

    /// The answer of a call, which must come, and be no error.
    async fn call<R>(self, what: &str, call: impl Future<Output = Result<R, StoreError>>) -> R {
        match tokio::time::timeout(DEADLINE, call).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                self.broken(&format!("{what} failed: {error} ({cause:?})"))
            }
            Err(_) => self.broken(&format!("{what} did not end")),
        }
    }

    async fn create<S: SessionStore>(self, store: &S, data: &S::Data, ttl: Duration) -> SessionId {
        let id = SessionId::generate().expect("randomness");
        let created = self.call("create", store.create(&id, data, ttl)).await;
        self.check(
            matches!(created, crate::store::Created::Created(_)),
            "a new id was said to be taken",
        );
        id
    }

    async fn load<S: SessionStore>(self, store: &S, id: &SessionId) -> Option<Record<S::Data>> {
        self.call("load", store.load(id)).await
    }

    async fn must_load<S: SessionStore>(self, store: &S, id: &SessionId) -> Record<S::Data> {
        match self.load(store, id).await {
            Some(record) => record,
            None => self.broken("a session is gone that should be there"),
        }
    }

    /// Waits until a session is gone.
    async fn wait_until_gone<S: SessionStore>(self, store: &S, id: &SessionId) {
        let gone = async {
            while self.load(store, id).await.is_some() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(DEADLINE, gone).await.is_err() {
            self.broken("a session is still there long after its time had come");
        }
    }
}
