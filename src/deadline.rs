//! A future with a deadline.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

use tokio::time::{Instant, sleep_until};

/// The output of `future`, or `None` at the deadline.
///
/// As [`tokio::time::timeout_at`], but without a timer for a future that is ready at once, and without
/// moving the future.
pub(crate) async fn within<F: Future>(deadline: Instant, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut timer = pin!(None);
    poll_fn(|context| {
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(Some(output));
        }
        if timer.is_none() {
            // A future that uses up the task's budget must not keep the timer from being polled.
            timer.set(Some(tokio::task::unconstrained(sleep_until(deadline))));
        }
        let timer = timer.as_mut().as_pin_mut().expect("it was set above");
        timer.poll(context).map(|()| None)
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::{future::pending, time::Duration};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_future_has_until_its_deadline() {
        let second = Duration::from_secs(1);
        let began = Instant::now();
        assert_eq!(within(began, async { 1 }).await, Some(1));
        let half = tokio::time::sleep(second / 2);
        assert_eq!(within(began + second, half).await, Some(()));
        assert_eq!(within(began + second, pending::<()>()).await, None);
        assert_eq!(began.elapsed(), second);
    }

    #[tokio::test(start_paused = true)]
    async fn a_future_that_is_always_busy_does_not_miss_its_deadline() {
        let deadline = Instant::now() + Duration::from_secs(1);
        tokio::spawn(tokio::time::sleep_until(deadline));
        let busy = async {
            loop {
                tokio::task::consume_budget().await;
                if Instant::now() < deadline {
                    tokio::time::advance(Duration::from_millis(1)).await;
                }
            }
        };
        assert_eq!(within::<_>(deadline, busy).await, None::<()>);
    }
}
