//! The law of the reports.

use std::{sync::Arc, time::Duration};

use super::{DEADLINE, LONG, Law, TestData};
use crate::{
    id::SessionId,
    store::{Change, Changes, Created, Saved, SessionStore},
};

/// Time without a report after which none is expected any more.
const QUIET: Duration = Duration::from_millis(150);

/// Changes are reported, when the store says that it reports them: of data, of the time to live, a
/// deletion, a renaming of both ids, and a creation of what was read while it was missing.
pub async fn changes_are_reported<S>(store: Arc<S>)
where
    S: SessionStore<Data: TestData>,
{
    let law = Law("changes are reported");
    let Some(mut feed) = store.changes() else {
        return;
    };
    ready(&mut feed).await;
    let data = S::Data::sample(1, "reported");
    let id = SessionId::generate().expect("randomness");
    armed(law, &*store, &mut feed, &[&id]).await;
    let created = law.call("create", store.create(&id, &data, LONG)).await;
    law.check(matches!(created, Created::Created(_)), "a new id was taken");
    reported(
        law,
        &mut feed,
        &[&id],
        "a creation of what was read while missing",
    )
    .await;

    armed(law, &*store, &mut feed, &[&id]).await;
    let record = law.must_load(&*store, &id).await;
    let other = S::Data::sample(2, "x");
    let saved = law
        .call("save", store.save(&id, &other, &record.revision))
        .await;
    law.check(matches!(saved, Saved::Saved(_)), "a save was refused");
    reported(law, &mut feed, &[&id], "a save").await;

    armed(law, &*store, &mut feed, &[&id]).await;
    law.call("touch", store.touch(&id, &data, LONG * 2)).await;
    reported(law, &mut feed, &[&id], "a touch").await;

    found(law, &*store, &mut feed, &id).await;
    law.call("touch", store.touch(&id, &data, LONG * 3)).await;
    let what = "a touch of what was looked up";
    reported(law, &mut feed, &[&id], what).await;

    let new = SessionId::generate().expect("randomness");
    armed(law, &*store, &mut feed, &[&id, &new]).await;
    law.call("rename", store.rename(&id, &new)).await;
    reported(law, &mut feed, &[&id, &new], "a renaming, of each id").await;

    armed(law, &*store, &mut feed, &[&new]).await;
    law.call("delete", store.delete(&new)).await;
    reported(law, &mut feed, &[&new], "a deletion").await;
}

/// Loads the sessions, as it must be done before a change of them is sure to be reported, and again
/// until no report of an earlier change comes any more.
async fn armed<S: SessionStore>(law: Law, store: &S, feed: &mut Changes, ids: &[&SessionId]) {
    loop {
        for id in ids {
            law.load(store, id).await;
        }
        if tokio::time::timeout(QUIET, feed.next()).await.is_err() {
            return;
        }
    }
}

/// As [`armed`], by looking the session up.
async fn found<S: SessionStore>(law: Law, store: &S, feed: &mut Changes, id: &SessionId) {
    loop {
        law.call("look_up", store.look_up(id)).await;
        if tokio::time::timeout(QUIET, feed.next()).await.is_err() {
            return;
        }
    }
}

/// A feed may begin with `Disconnected`; then it is ready when it says `Resync`.
async fn ready(feed: &mut Changes) {
    let lost = tokio::time::timeout(QUIET * 3, feed.next()).await;
    if matches!(lost, Ok(Some(Change::Disconnected))) {
        let back = async { while !matches!(feed.next().await, Some(Change::Resync) | None) {} };
        let _ = tokio::time::timeout(DEADLINE, back).await;
    }
}

async fn reported(law: Law, feed: &mut Changes, ids: &[&SessionId], what: &str) {
    let mut left = ids.to_vec();
    let all = async {
        while !left.is_empty() {
            match feed.next().await {
                Some(Change::Session(changed)) => left.retain(|id| **id != changed),
                // Look at all of them: that is a report too.
                Some(_) => left.clear(),
                None => return false,
            }
        }
        true
    };
    match tokio::time::timeout(DEADLINE / 2, all).await {
        Ok(true) => {}
        Ok(false) => law.broken("the feed ended"),
        Err(_) => law.broken(&format!("{what} was not reported")),
    }
}
