//! Where a subscription's events come from, several at a time.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use crate::{Event, MessageEnvelope};

/// A stream of events that has several messages at once, for authors of backends.
///
/// A [`Subscription`](crate::Subscription) hands out what it was given without another call, so a
/// source that takes a lock, or crosses a channel, does so once for many messages. Where there is
/// no such thing, any [`Stream`] does.
///
/// What is in a subscription's hands is handed out, whatever happens meanwhile. So what depends on
/// the moment of the hand-out, such as a message with a ttl, is given one at a time, as the event.
///
/// ```
/// use std::collections::VecDeque;
/// use std::pin::Pin;
/// use std::task::{Context, Poll};
/// use backend_core::{Event, MessageEnvelope, Ready, Source, Subscription};
///
/// /// Has all of them already.
/// struct Kept(VecDeque<MessageEnvelope>);
///
/// impl Source for Kept {
///     fn poll_events(
///         mut self: Pin<&mut Self>,
///         _: &mut Context<'_>,
///         behind: &mut Ready,
///     ) -> Poll<Option<Event>> {
///         let first = self.0.pop_front();
///         behind.fill(|messages| messages.extend(self.0.drain(..)));
///         Poll::Ready(first.map(Event::Message))
///     }
/// }
///
/// let news = ["one", "two"].map(|data| MessageEnvelope::new("news", data));
/// let mut subscription = Subscription::from_source("news", Kept(news.clone().into()));
/// for message in news {
///     assert_eq!(subscription.try_recv(), Ok(Event::Message(message)));
/// }
/// ```
pub trait Source: Send {
    /// The next event, and in `behind` messages that come right behind it.
    ///
    /// `behind` is empty, and stays so where there is no event: nothing comes behind the end, and
    /// whoever waits would not learn of it. It is not called again before all of them have been
    /// handed out. For the rest it is as [`Stream::poll_next`], with what is said at
    /// [`Subscription::new`](crate::Subscription::new): the end is `None`.
    fn poll_events(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        behind: &mut Ready,
    ) -> Poll<Option<Event>>;

    /// How many events are left besides, as [`Stream::size_hint`].
    fn remaining(&self) -> (usize, Option<usize>) {
        (0, None)
    }
}

/// Messages in the hands of a subscription, to be handed out in their order.
// The last one first: to take one off the end of a vector is the cheapest there is.
#[derive(Debug, Default)]
pub struct Ready(Vec<MessageEnvelope>);

impl Ready {
    /// Lets messages be appended, in their order, where there are none yet. The vector keeps its
    /// room from one time to the next.
    ///
    /// # Panics
    /// In debug builds, if there are some already.
    pub fn fill<T>(&mut self, append: impl FnOnce(&mut Vec<MessageEnvelope>) -> T) -> T {
        debug_assert!(self.0.is_empty(), "what comes later would be handed out first");
        let outcome = append(&mut self.0);
        self.0.reverse();
        outcome
    }

    /// Takes the first one out.
    #[inline]
    pub fn pop(&mut self) -> Option<MessageEnvelope> {
        self.0.pop()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A stream has one at a time.
impl<S: Stream<Item = Event> + Send> Source for S {
    fn poll_events(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        _: &mut Ready,
    ) -> Poll<Option<Event>> {
        self.poll_next(cx)
    }

    fn remaining(&self) -> (usize, Option<usize>) {
        self.size_hint()
    }
}
