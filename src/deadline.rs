//! A future with a deadline.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use tokio::{
    task::{Unconstrained, unconstrained},
    time::{Instant, Sleep, sleep_until},
};

/// The output of `future`, or `None` at the deadline.
///
/// As [`tokio::time::timeout_at`], but without a timer for a future that is ready at once.
pub(crate) fn within<F: Future>(deadline: Instant, future: F) -> Within<F> {
    Within {
        future,
        deadline,
        timer: None,
    }
}

pin_project! {
    /// The future of [`within`]. (Not an `async fn`, whose future would hold its argument twice.)
    pub(crate) struct Within<F> {
        #[pin]
        future: F,
        deadline: Instant,
        // Boxed, because most futures are ready at once. A future that uses up the task's budget must not
        // keep the timer from being polled.
        timer: Option<Pin<Box<Unconstrained<Sleep>>>>,
    }
}

impl<F: Future> Future for Within<F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.future.poll(context) {
            return Poll::Ready(Some(output));
        }
        let deadline = *this.deadline;
        let timer = this
            .timer
            .get_or_insert_with(|| Box::pin(unconstrained(sleep_until(deadline))));
        timer.as_mut().poll(context).map(|()| None)
    }
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
