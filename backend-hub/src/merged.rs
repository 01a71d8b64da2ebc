//! One stream out of two subscriptions to the same topic.

use std::collections::VecDeque;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use backend_core::{Event, Gap, GapCause, Subscription};
use futures_core::Stream;

/// The most events that are taken over from a side that is still open when the other has ended.
///
/// More than a side has room for, in general; a publisher that does not stop must not fill the
/// memory. Beyond it there is a gap.
const TAKEN_OVER: usize = 1 << 16;

/// Two subscriptions while both are open, and what is left of them when one has ended.
#[derive(Debug)]
pub(crate) enum Merged {
    /// Takes from both in turn, so that neither can starve the other.
    Open { next: Subscription, other: Subscription },
    /// One has ended, and this is what the other had accepted by then.
    Ended(VecDeque<Event>),
}

impl Merged {
    pub(crate) fn new(own: Subscription, others: Subscription) -> Self {
        Self::Open { next: own, other: others }
    }
}

impl Stream for Merged {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        let (next, other) = match &mut *self {
            Self::Open { next, other } => (next, other),
            Self::Ended(rest) => return Poll::Ready(rest.pop_front()),
        };
        let mut rest = match Pin::new(&mut *next).poll_next(cx) {
            Poll::Ready(Some(event)) => {
                mem::swap(next, other);
                return Poll::Ready(Some(event));
            }
            Poll::Ready(None) => take_over(other),
            Poll::Pending => match Pin::new(other).poll_next(cx) {
                // The first once more: since it was polled, something may have come before the end.
                Poll::Ready(None) => take_over(next),
                polled => return polled,
            },
        };
        let first = rest.pop_front();
        *self = Self::Ended(rest);
        Poll::Ready(first)
    }
}

/// Takes what a subscription has, at once: what comes later is none of a stream's that has ended.
fn take_over(subscription: &mut Subscription) -> VecDeque<Event> {
    let mut rest = VecDeque::new();
    while let Ok(event) = subscription.try_recv() {
        if rest.len() == TAKEN_OVER {
            rest.push_back(Event::Gap(Gap::new(GapCause::Lagged, None)));
            break;
        }
        rest.push_back(event);
    }
    rest
}
