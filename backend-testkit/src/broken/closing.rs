//! More faults against U1, C1 and C2: who is ended, who is woken, and what a closed instance still
//! does.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use async_trait::async_trait;
use backend_core::{
    Backend, Error, Event, HealthAwareBackend, MessageEnvelope, Result, Subscription,
};
use backend_memory::MemoryBackend;
use futures_core::Stream;

use super::Specimen;
use super::twist::{Seat, Shared, Twist, lock, twisted};

pub(super) const SPECIMENS: &[Specimen] = &[
    Specimen::new(
        "another_error_at_close",
        "A publish that is under way when the instance closes gives an error that says try again.",
        "closing_races::publish_races_with_close",
        |deadline| twisted(deadline, |_| AnotherErrorAtClose),
    ),
    Specimen::new(
        "unsubscribe_ends_all_topics",
        "Unsubscribe ends the topics that begin so, too.",
        "life::unsubscribe_leaves_other_topics_alone",
        |deadline| twisted(deadline, |seat| Prefix(Arc::clone(&seat.cluster))),
    ),
    Specimen::new(
        "unsubscribe_throws_away",
        "What had not been read when a topic is unsubscribed is gone.",
        "life::unsubscribe_ends_the_stream_drained",
        |deadline| twisted(deadline, |_| Undrained::default()),
    ),
    Specimen::new(
        "close_leaves_a_reader_blocked",
        "Every third reader that waits is not woken by the end.",
        "close::wakes_blocked_readers",
        |deadline| twisted(deadline, |_| Unwoken(AtomicUsize::new(0))),
    ),
    Specimen::new(
        "subscribe_is_ok_after_close",
        "Subscribe after close gives a stream that has ended.",
        "close::subscribe_is_closed_afterwards",
        |deadline| twisted(deadline, |seat| Closing::new(seat, How::SubscribeOk)),
    ),
    Specimen::new(
        "unsubscribe_is_ok_after_close",
        "Unsubscribe after close is Ok.",
        "close::unsubscribe_is_closed_afterwards",
        |deadline| twisted(deadline, |seat| Closing::new(seat, How::UnsubscribeOk)),
    ),
    Specimen::new(
        "publishes_after_close",
        "A publish after close is Closed, and delivered.",
        "close::nothing_of_a_closed_instance_gets_out",
        |deadline| twisted(deadline, |seat| Closing::new(seat, How::PublishGetsOut)),
    ),
];

/// Unsubscribes from every topic that begins like the one that was named.
struct Prefix(Arc<Shared>);

#[async_trait]
impl Twist for Prefix {
    async fn subscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<Subscription> {
        lock(&self.0.topics).push(topic.to_owned());
        inner.subscribe(topic).await
    }

    async fn unsubscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<()> {
        let topics = lock(&self.0.topics).clone();
        for known in topics.iter().filter(|known| known.starts_with(topic)) {
            inner.unsubscribe(known).await?;
        }
        inner.unsubscribe(topic).await
    }
}

/// Streams that end the moment they are unsubscribed.
#[derive(Default)]
struct Undrained {
    ended: Mutex<HashMap<String, Arc<AtomicBool>>>,
}

#[async_trait]
impl Twist for Undrained {
    async fn subscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<Subscription> {
        let honest = inner.subscribe(topic).await?;
        let ended = Arc::clone(lock(&self.ended).entry(topic.to_owned()).or_default());
        Ok(Subscription::new(topic, Cut { honest, ended }))
    }

    async fn unsubscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<()> {
        if let Some(ended) = lock(&self.ended).remove(topic) {
            ended.store(true, Ordering::Release);
        }
        inner.unsubscribe(topic).await
    }
}

struct Cut {
    honest: Subscription,
    ended: Arc<AtomicBool>,
}

impl Stream for Cut {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        if self.ended.load(Ordering::Acquire) {
            return Poll::Ready(None);
        }
        Pin::new(&mut self.honest).poll_next(cx)
    }
}

struct Unwoken(AtomicUsize);

#[async_trait]
impl Twist for Unwoken {
    async fn subscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<Subscription> {
        let honest = inner.subscribe(topic).await?;
        let number = self.0.fetch_add(1, Ordering::AcqRel) + 1;
        let forgotten = number.is_multiple_of(3);
        Ok(Subscription::new(topic, Sleeper { honest, forgotten, waited: false }))
    }
}

struct Sleeper {
    honest: Subscription,
    forgotten: bool,
    waited: bool,
}

impl Stream for Sleeper {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        let polled = Pin::new(&mut self.honest).poll_next(cx);
        match polled {
            // As if nobody had woken it: the end is there, and its reader goes on waiting.
            Poll::Ready(None) if self.forgotten && self.waited => Poll::Pending,
            Poll::Ready(event) => {
                self.waited = false;
                Poll::Ready(event)
            }
            Poll::Pending => {
                self.waited = true;
                Poll::Pending
            }
        }
    }
}

struct Closing {
    how: How,
    closed: AtomicBool,
    ghost: MemoryBackend,
}

enum How {
    SubscribeOk,
    UnsubscribeOk,
    PublishGetsOut,
}

impl Closing {
    fn new(seat: &Seat, how: How) -> Self {
        Self { how, closed: AtomicBool::new(false), ghost: seat.inner.fork() }
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }
}

#[async_trait]
impl Twist for Closing {
    async fn publish(&self, inner: &Arc<MemoryBackend>, envelope: MessageEnvelope) -> Result<()> {
        match self.how {
            How::PublishGetsOut if self.is_closed() => {
                self.ghost.publish(envelope).await?;
                Err(Error::Closed)
            }
            _ => inner.publish(envelope).await,
        }
    }

    async fn subscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<Subscription> {
        if matches!(self.how, How::SubscribeOk) && self.is_closed() {
            let ended = self.ghost.subscribe(topic).await?;
            self.ghost.unsubscribe(topic).await?;
            return Ok(ended);
        }
        inner.subscribe(topic).await
    }

    async fn unsubscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<()> {
        if matches!(self.how, How::UnsubscribeOk) && self.is_closed() {
            return Ok(());
        }
        inner.unsubscribe(topic).await
    }

    async fn close(&self, inner: &Arc<MemoryBackend>) -> Result<()> {
        self.closed.store(true, Ordering::Release);
        inner.close().await
    }
}

struct AnotherErrorAtClose;

#[async_trait]
impl Twist for AnotherErrorAtClose {
    async fn publish(&self, inner: &Arc<MemoryBackend>, envelope: MessageEnvelope) -> Result<()> {
        let open = inner.is_healthy();
        tokio::task::yield_now().await;
        match inner.publish(envelope).await {
            Err(error) if error.is_closed() && open => {
                Err(Error::unavailable("the connection is closing"))
            }
            result => result,
        }
    }
}
