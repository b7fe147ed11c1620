//! How often the connects of one transport ask the store.

use std::{pin::pin, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};

use crate::id::SessionId;

/// So many connects of one transport may ask the store at the same time, and so many with the id of
/// one session that is gone; then one in each [`REFILL`].
const MAX_ASKING: u16 = 10;
const REFILL: Duration = Duration::from_mins(1);
/// Of so many sessions that are gone a transport may have the id.
const MAX_GONE: usize = 10;
/// When the store has failed [`MAX_ASKING`] times in a row, it is asked once in this time.
const RETRY: Duration = Duration::from_secs(1);
/// So many connects of one transport may wait until others have their answer.
const MAX_WAITING: u16 = 100;
/// What the connects of one transport have asked of the store.
#[derive(Default)]
pub(crate) struct Budget(Mutex<State>);

impl Budget {
    /// Leave for a connect to ask the store for this session, when it is certain that the budget
    /// covers it.
    pub(crate) async fn ask<'a>(&'a self, id: &'a SessionId) -> Result<Asking<'a>, Spent> {
        let budget = &self.0;
        loop {
            let decision = budget.lock().decide(id);
            let (settled, asking) = match decision {
                Decision::Ask => return Ok(Asking { budget, id }),
                Decision::Refuse(spent) => return Err(spent),
                Decision::Wait { settled, asking } => (settled, asking),
            };
            let _waiting = Waiting { budget };
            let mut settled = pin!(settled.notified());
            settled.as_mut().enable();
            // What rang before somebody listened has rung for nobody.
            if budget.lock().asking == asking {
                settled.await;
            }
        }
    }
}

/// A connect that asks the store. Dropped without a word, it costs nothing.
pub(crate) struct Asking<'a> {
    budget: &'a Mutex<State>,
    id: &'a SessionId,
}

impl Asking<'_> {
    pub(crate) fn gone(self) {
        self.budget.lock().gone(self.id);
    }

    pub(crate) fn failed(self) {
        self.budget.lock().failed();
    }

    pub(crate) fn admitted(self) {
        self.budget.lock().admitted(self.id);
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let mut budget = self.budget.lock();
        budget.asking -= 1;
        if let Some(settled) = &budget.settled {
            settled.notify_waiters();
        }
    }
}

struct Waiting<'a> {
    budget: &'a Mutex<State>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.budget.lock().waiting -= 1;
    }
}

#[derive(Default)]
struct State {
    /// So many ask now. They may all be in vain, so they count until it is known.
    asking: u16,
    waiting: u16,
    /// Rings when one of them has its answer; made by the first that waits.
    settled: Option<Arc<Notify>>,
    /// `None`, as long as nothing was in vain.
    vain: Option<Box<Vain>>,
}

/// What was asked in vain.
#[derive(Default)]
struct Vain {
    gone: Vec<Gone>,
    /// How often the store has failed since it last answered.
    failed: u16,
    last_failed: Option<Instant>,
}

/// A session that is gone, and that was asked for.
struct Gone {
    id: SessionId,
    times: u16,
    last: Instant,
}

/// Why a connect may not ask the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spent {
    /// Its session was gone all the time.
    Gone,
    /// The store fails, or is too slow for so many.
    Failing,
}

enum Decision {
    Ask,
    Wait { settled: Arc<Notify>, asking: u16 },
    Refuse(Spent),
}

impl State {
    fn decide(&mut self, id: &SessionId) -> Decision {
        if let Some(vain) = &self.vain {
            if vain.failed >= MAX_ASKING {
                let again = self.asking == 0 && has_passed(vain.last_failed, RETRY);
                return self.ask_if(again, Spent::Failing);
            }
            let of_id = vain.gone.iter().find(|gone| gone.id == *id);
            let times = of_id.map_or(0, |gone| gone.times);
            if times >= MAX_ASKING {
                let last = of_id.map(|gone| gone.last);
                return self.ask_if(self.asking == 0 && has_passed(last, REFILL), Spent::Gone);
            }
            let forgotten = |gone: &Gone| has_passed(Some(gone.last), REFILL);
            if of_id.is_none() && vain.gone.len() >= MAX_GONE && !vain.gone.iter().any(forgotten) {
                return Decision::Refuse(Spent::Gone);
            }
            if times + self.asking >= MAX_ASKING {
                return self.wait();
            }
        } else if self.asking >= MAX_ASKING {
            return self.wait();
        }
        self.ask_if(true, Spent::Gone)
    }

    fn ask_if(&mut self, may: bool, why_not: Spent) -> Decision {
        if !may {
            return Decision::Refuse(why_not);
        }
        self.asking += 1;
        Decision::Ask
    }

    fn wait(&mut self) -> Decision {
        if self.waiting >= MAX_WAITING {
            // Nobody knows whether the session is there.
            return Decision::Refuse(Spent::Failing);
        }
        self.waiting += 1;
        Decision::Wait {
            settled: self.settled.get_or_insert_default().clone(),
            asking: self.asking,
        }
    }

    fn gone(&mut self, id: &SessionId) {
        let vain = self.vain.get_or_insert_default();
        (vain.failed, vain.last_failed) = (0, None);
        let last = Instant::now();
        if let Some(gone) = vain.gone.iter_mut().find(|gone| gone.id == *id) {
            gone.times = gone.times.saturating_add(1);
            gone.last = last;
            return;
        }
        if vain.gone.len() >= MAX_GONE {
            vain.gone
                .retain(|gone| !has_passed(Some(gone.last), REFILL));
        }
        if vain.gone.len() < MAX_GONE {
            let id = id.clone();
            vain.gone.push(Gone { id, times: 1, last });
        }
    }

    fn failed(&mut self) {
        let vain = self.vain.get_or_insert_default();
        vain.failed = vain.failed.saturating_add(1);
        vain.last_failed = Some(Instant::now());
    }

    fn admitted(&mut self, id: &SessionId) {
        if let Some(vain) = &mut self.vain {
            (vain.failed, vain.last_failed) = (0, None);
            vain.gone.retain(|gone| gone.id != *id);
            if vain.gone.is_empty() {
                self.vain = None;
            }
        }
    }
}

fn has_passed(last: Option<Instant>, time: Duration) -> bool {
    last.is_none_or(|last| last.elapsed() >= time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> SessionId {
        text.parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_that_is_gone_is_asked_for_ten_times_and_then_rarely() {
        let (one, other) = (Budget::default(), Budget::default());
        let (gone, good) = (id("gone"), id("good"));
        for _ in 0..MAX_ASKING {
            one.ask(&gone).await.unwrap().gone();
            one.ask(&good).await.unwrap().admitted();
        }
        for _ in 0..3 {
            assert_eq!(one.ask(&gone).await.err(), Some(Spent::Gone));
            one.ask(&good).await.unwrap().admitted();
            other.ask(&gone).await.unwrap().gone();
            tokio::time::advance(REFILL).await;
            one.ask(&gone).await.unwrap().gone();
        }
        tokio::time::advance(REFILL).await;
        one.ask(&gone).await.unwrap().admitted();
        assert!(one.0.lock().vain.is_none());
        for _ in 0..MAX_ASKING {
            drop(one.ask(&gone).await.unwrap());
            one.ask(&gone).await.unwrap().gone();
        }
        assert_eq!(one.ask(&gone).await.err(), Some(Spent::Gone));
    }

    #[tokio::test(start_paused = true)]
    async fn a_transport_has_the_ids_of_few_sessions_that_are_gone() {
        let budget = Budget::default();
        for nth in 0..MAX_GONE {
            let gone = id(&format!("gone-{nth}"));
            budget.ask(&gone).await.unwrap().gone();
        }
        let next = id("next");
        assert_eq!(budget.ask(&next).await.err(), Some(Spent::Gone));
        budget.ask(&id("gone-0")).await.unwrap().gone();
        tokio::time::advance(REFILL).await;
        budget.ask(&next).await.unwrap().gone();
        assert_eq!(budget.0.lock().vain.as_ref().unwrap().gone.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_fails_is_asked_once_a_second_until_it_answers() {
        let budget = Budget::default();
        let ids = [id("one"), id("two")];
        for nth in 0..MAX_ASKING {
            budget
                .ask(&ids[usize::from(nth % 2)])
                .await
                .unwrap()
                .failed();
        }
        for _ in 0..3 {
            for id in &ids {
                assert_eq!(budget.ask(id).await.err(), Some(Spent::Failing));
            }
            tokio::time::advance(RETRY).await;
            let asking = budget.ask(&ids[0]).await.unwrap();
            assert_eq!(budget.ask(&ids[1]).await.err(), Some(Spent::Failing));
            asking.failed();
        }
        for answered in [Asking::gone, Asking::admitted] {
            tokio::time::advance(RETRY).await;
            answered(budget.ask(&ids[0]).await.unwrap());
            for _ in 0..MAX_ASKING {
                budget.ask(&ids[1]).await.unwrap().failed();
            }
        }
    }

    #[tokio::test]
    async fn those_that_ask_at_the_same_time_are_counted_too() {
        let budget = Budget::default();
        let (gone, good) = (id("gone"), id("good"));
        let mut asking = Vec::new();
        for _ in 0..MAX_ASKING {
            asking.push(budget.ask(&gone).await.unwrap());
        }
        let mut next = Box::pin(budget.ask(&good));
        assert!(futures_util::poll!(&mut next).is_pending());
        asking.pop().unwrap().gone();
        let last = next.await.unwrap();
        let mut next = Box::pin(budget.ask(&gone));
        assert!(futures_util::poll!(&mut next).is_pending());
        asking.into_iter().for_each(Asking::gone);
        last.admitted();
        assert_eq!(next.await.err(), Some(Spent::Gone));
        assert_eq!(budget.0.lock().waiting, 0);
    }

    #[tokio::test]
    async fn not_more_than_a_hundred_wait() {
        let budget = Budget::default();
        let id = id("slow");
        let mut asking = Vec::new();
        for _ in 0..MAX_ASKING {
            asking.push(budget.ask(&id).await.unwrap());
        }
        let mut waiting: Vec<_> = (0..MAX_WAITING)
            .map(|_| Box::pin(budget.ask(&id)))
            .collect();
        for next in &mut waiting {
            assert!(futures_util::poll!(next).is_pending());
        }
        assert!(budget.ask(&id).await.is_err());
        drop(waiting.pop());
        let mut next = Box::pin(budget.ask(&id));
        assert!(futures_util::poll!(&mut next).is_pending());
        drop((asking, waiting));
        next.await.unwrap().admitted();
        assert_eq!(budget.0.lock().asking, 0);
    }
}
