//! Two commands in one round trip.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

/// The outputs of both futures, or the first error.
///
/// As [`try_join`](futures_util::future::try_join), which copies a whole future to take its output. The future of
/// a command of fred has 5 KiB.
pub(super) fn both<A, B, T, U, E>(first: A, second: B) -> Both<A, B, T, U>
where
    A: Future<Output = Result<T, E>>,
    B: Future<Output = Result<U, E>>,
{
    Both {
        first,
        second,
        outputs: (None, None),
    }
}

pin_project! {
    /// The future of [`both`].
    pub(super) struct Both<A, B, T, U> {
        #[pin]
        first: A,
        #[pin]
        second: B,
        outputs: (Option<T>, Option<U>),
    }
}

impl<A, B, T, U, E> Future for Both<A, B, T, U>
where
    A: Future<Output = Result<T, E>>,
    B: Future<Output = Result<U, E>>,
{
    type Output = Result<(T, U), E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let (first, second) = this.outputs;
        if first.is_none()
            && let Poll::Ready(output) = this.first.poll(context)
        {
            *first = Some(output?);
        }
        if second.is_none()
            && let Poll::Ready(output) = this.second.poll(context)
        {
            *second = Some(output?);
        }
        match (first.take(), second.take()) {
            (Some(first), Some(second)) => Poll::Ready(Ok((first, second))),
            outputs => {
                (*first, *second) = outputs;
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, future::poll_fn, pin::pin};

    use futures_util::poll;

    use super::*;

    #[tokio::test]
    async fn both_begin_in_their_order_and_none_is_polled_after_its_end() {
        let polls = RefCell::new(Vec::new());
        let command = |name: &'static str, pending: usize| {
            let polls = &polls;
            poll_fn(move |_| {
                let mut polls = polls.borrow_mut();
                polls.push(name);
                if polls.iter().filter(|poll| **poll == name).count() > pending {
                    Poll::Ready(Ok::<_, ()>(name))
                } else {
                    Poll::Pending
                }
            })
        };
        let mut both = pin!(both(command("first", 1), command("second", 2)));
        assert!(poll!(both.as_mut()).is_pending());
        assert_eq!(*polls.borrow(), ["first", "second"]);
        assert!(poll!(both.as_mut()).is_pending());
        assert_eq!(poll!(both.as_mut()), Poll::Ready(Ok(("first", "second"))));
        assert_eq!(
            *polls.borrow(),
            ["first", "second", "first", "second", "second"]
        );
    }

    #[tokio::test]
    async fn an_error_of_either_is_the_output() {
        let pending = std::future::pending::<Result<(), &str>>;
        let error = || std::future::ready(Err::<(), _>("error"));
        assert_eq!(both(error(), pending()).await, Err("error"));
        assert_eq!(both(pending(), error()).await, Err("error"));
    }
}
