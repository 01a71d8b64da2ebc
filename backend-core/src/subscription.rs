//! The reader's end: one stream of events for one topic.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use futures_core::stream::FusedStream;

use crate::source::{Ready, Source};
use crate::{Event, Gap, MessageEnvelope};

/// One waker for all peeks, known by its address: wakers that do nothing need not compare as equal.
static PEEK: &Waker = Waker::noop();

/// What [`Backend::subscribe`](crate::Backend::subscribe) gives: the events of one topic, in order.
///
/// Read it with [`recv`](Self::recv), with [`try_recv`](Self::try_recv), or as a [`Stream`].
///
/// `None` means closed or unsubscribed; it never means "connection lost". An outage shows as an
/// [`Event::Gap`] on the same stream, once messages flow again (clause H5).
///
/// **Clause U4.** Dropping a subscription releases it at once: on a topic where nothing is ever
/// published too, and outside any runtime too.
///
/// # Examples
///
/// ```
/// use backend_core::{Backend, Event, MessageEnvelope, TryRecvError};
/// use backend_memory::MemoryBackend;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> backend_core::Result<()> {
/// let publisher = MemoryBackend::builder().capacity(2).build();
/// let reader = publisher.fork();
/// let mut news = reader.subscribe("news").await?;
///
/// for n in 1..=5 {
///     publisher.publish(MessageEnvelope::new("news", n.to_string())).await?;
/// }
/// reader.close().await?;
///
/// let mut story = Vec::new();
/// while let Some(event) = news.recv().await {
///     match event {
///         Event::Message(envelope) => story.push(String::from_utf8_lossy(envelope.data()).into_owned()),
///         Event::Gap(gap) => story.push(gap.to_string()),
///         _ => {}
///     }
/// }
/// assert_eq!(story, ["3 messages were missed (the reader lagged)", "4", "5"]);
/// assert_eq!(news.try_recv(), Err(TryRecvError::Closed));
/// # Ok(())
/// # }
/// ```
pub struct Subscription {
    topic: Arc<str>,
    /// `None` once it has ended, so that what it held is released then and not at the drop. Dropped
    /// before `ready`, whose data may be somebody's who does anything then.
    source: Option<Pin<Box<dyn Source>>>,
    /// What comes before anything else of the source.
    ready: Ready,
}

impl Subscription {
    /// Wraps a stream of events, for authors of backends.
    ///
    /// # Implementers
    /// * The stream ends (`None`) on unsubscribe and on close, never on a lost connection.
    /// * Dropping it must release the subscription at once, without a runtime (U4).
    /// * A poll that returns `Pending` must not lose an event when nobody polls again (X3).
    /// * It is not polled again after it has ended.
    /// * A stream that keeps the waker of its last poll must leave it in place when
    ///   [`is_peek`](Self::is_peek) says so, or `try_recv` makes it forget the task that waits.
    pub fn new(
        topic: impl Into<String>,
        events: impl Stream<Item = Event> + Send + 'static,
    ) -> Self {
        Self::from_source(topic.into(), events)
    }

    /// Wraps a source that has several messages at once, for authors of backends. What is said at
    /// [`new`](Self::new) is so for it, too.
    pub fn from_source(topic: impl Into<Arc<str>>, source: impl Source + 'static) -> Self {
        let source: Pin<Box<dyn Source>> = Box::pin(source);
        Self { topic: topic.into(), source: Some(source), ready: Ready::default() }
    }

    /// Waits for the next event; `None` when the subscription has ended.
    ///
    /// # Cancel safety
    /// **Clause X3.** Dropping the future loses nothing: it may be used as a branch of a `select!`
    /// in a loop.
    #[inline]
    pub async fn recv(&mut self) -> Option<Event> {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    /// Takes the next event if there is one already, without waiting.
    ///
    /// It does not ask for a wake-up: a task that waits goes through [`recv`](Self::recv) or polls
    /// the stream.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`] when nothing is there yet, [`TryRecvError::Closed`] when the
    /// subscription has ended and nothing will come any more.
    #[inline]
    pub fn try_recv(&mut self) -> Result<Event, TryRecvError> {
        match self.ready.pop() {
            Some(envelope) => Ok(Event::Message(envelope)),
            None => self.peek_source(),
        }
    }

    #[inline]
    fn peek_source(&mut self) -> Result<Event, TryRecvError> {
        match self.poll_source(&mut Context::from_waker(PEEK)) {
            Poll::Ready(Some(Event::Message(envelope))) => Ok(Event::Message(envelope)),
            Poll::Ready(Some(Event::Gap(gap))) => Ok(Event::Gap(gap)),
            Poll::Ready(None) => Err(TryRecvError::Closed),
            Poll::Pending => Err(TryRecvError::Empty),
        }
    }

    /// Whether a stream is polled by [`try_recv`](Self::try_recv), for authors of backends.
    ///
    /// Such a poll asks for no wake-up. A stream that keeps the waker of its last poll leaves it in
    /// place then, so that a task that has polled and waits is not forgotten.
    #[must_use]
    pub fn is_peek(cx: &Context<'_>) -> bool {
        std::ptr::eq(cx.waker(), PEEK)
    }

    /// The messages alone, for readers to whom gaps make no difference.
    ///
    /// What it leaves out is counted: see [`Messages::missed`].
    #[must_use]
    pub fn messages(self) -> Messages {
        Messages { subscription: self, gaps: 0, missed: 0 }
    }

    /// The topic that was subscribed to.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.topic
    }

    #[inline]
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        match self.ready.pop() {
            Some(envelope) => Poll::Ready(Some(Event::Message(envelope))),
            None => self.poll_source(cx),
        }
    }

    /// Asks the source, when nothing is ready.
    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        let Some(source) = &mut self.source else { return Poll::Ready(None) };
        let next = source.as_mut().poll_events(cx, &mut self.ready);
        debug_assert!(
            self.ready.is_empty() || matches!(next, Poll::Ready(Some(_))),
            "messages behind no event"
        );
        // One by one: an event that is moved as a whole is read in wider pieces than the source wrote
        // it in, and that read waits for all the stores before it.
        match next {
            Poll::Ready(Some(Event::Message(envelope))) => {
                Poll::Ready(Some(Event::Message(envelope)))
            }
            Poll::Ready(Some(Event::Gap(gap))) => Poll::Ready(Some(Event::Gap(gap))),
            Poll::Ready(None) => {
                self.source = None;
                Poll::Ready(None)
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Stream for Subscription {
    type Item = Event;

    #[inline]
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.poll_event(cx)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let ready = self.ready.len();
        let (least, most) = self.source.as_ref().map_or((0, Some(0)), |source| source.remaining());
        (least.saturating_add(ready), most.and_then(|most| most.checked_add(ready)))
    }
}

impl FusedStream for Subscription {
    fn is_terminated(&self) -> bool {
        self.source.is_none() && self.ready.is_empty()
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("topic", &self.topic)
            .field("ended", &self.source.is_none())
            .finish_non_exhaustive()
    }
}

/// Why [`Subscription::try_recv`] has no event.
// As wide as a pointer, which makes the result no wider. As a single byte it makes every event move
// in overlapping pieces, and each hand-out waits for the last one's stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[repr(usize)]
pub enum TryRecvError {
    /// Nothing is there now; something may come.
    #[error("no event is there yet")]
    Empty,
    /// The subscription has ended: closed or unsubscribed, and drained.
    #[error("the subscription has ended")]
    Closed,
}

/// The messages of a subscription without its gaps; made by [`Subscription::messages`].
///
/// ```
/// use backend_core::{Backend, MessageEnvelope};
/// use backend_memory::MemoryBackend;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> backend_core::Result<()> {
/// let publisher = MemoryBackend::builder().capacity(1).build();
/// let reader = publisher.fork();
/// let mut prices = reader.subscribe("price").await?.messages();
///
/// for price in ["101", "102", "103"] {
///     publisher.publish(MessageEnvelope::new("price", price)).await?;
/// }
/// let latest = prices.recv().await.expect("still open");
/// assert_eq!(latest.data(), "103");
/// assert_eq!((prices.gaps(), prices.missed()), (1, 2));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Messages {
    subscription: Subscription,
    gaps: u64,
    missed: u64,
}

impl Messages {
    /// Waits for the next message; `None` when the subscription has ended.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing (clause X3).
    pub async fn recv(&mut self) -> Option<MessageEnvelope> {
        poll_fn(|cx| self.poll_message(cx)).await
    }

    /// How many gaps were left out so far.
    #[must_use]
    pub fn gaps(&self) -> u64 {
        self.gaps
    }

    /// How many messages those gaps stood for, as far as they said.
    ///
    /// A gap of unknown size counts in [`gaps`](Self::gaps) alone.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// The topic that was subscribed to.
    #[must_use]
    pub fn topic(&self) -> &str {
        self.subscription.topic()
    }

    /// The subscription again, with its gaps.
    #[must_use]
    pub fn into_inner(self) -> Subscription {
        self.subscription
    }

    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<MessageEnvelope>> {
        loop {
            match self.subscription.poll_event(cx) {
                Poll::Ready(Some(Event::Message(envelope))) => return Poll::Ready(Some(envelope)),
                Poll::Ready(Some(Event::Gap(Gap { missed, .. }))) => {
                    self.gaps += 1;
                    self.missed = self.missed.saturating_add(missed.unwrap_or(0));
                }
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl Stream for Messages {
    type Item = MessageEnvelope;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<MessageEnvelope>> {
        self.poll_message(cx)
    }
}

impl FusedStream for Messages {
    fn is_terminated(&self) -> bool {
        self.subscription.is_terminated()
    }
}
