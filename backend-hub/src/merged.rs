//! One stream out of two subscriptions to the same topic.

use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use backend_core::{Event, Subscription};
use futures_core::Stream;

/// Takes from both in turn, so that neither can starve the other.
#[derive(Debug)]
pub(crate) struct Merged {
    next: Subscription,
    other: Subscription,
}

impl Merged {
    pub(crate) fn new(own: Subscription, others: Subscription) -> Self {
        Self { next: own, other: others }
    }
}

impl Stream for Merged {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        let Self { next, other } = &mut *self;
        let first = Pin::new(&mut *next).poll_next(cx);
        if let Poll::Ready(Some(_)) = first {
            mem::swap(next, other);
            return first;
        }
        let second = Pin::new(other).poll_next(cx);
        match second {
            Poll::Ready(Some(_)) => second,
            // One has ended, and the other has nothing that it had accepted before.
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => first,
        }
    }
}
