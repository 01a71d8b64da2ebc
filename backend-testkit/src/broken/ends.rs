//! Faults against U1 to U4, C1 to C4 and X1: how things end, and what is left of them.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use async_trait::async_trait;
use backend_core::{Backend, Error, Event, MessageEnvelope, Result, Subscription};
use backend_memory::MemoryBackend;
use futures_core::Stream;

use super::Specimen;
use super::twist::{Seat, Shared, Twist, lock, twisted};

pub(super) const SPECIMENS: &[Specimen] = &[
    Specimen::new(
        "close_leaves_readers_hanging",
        "Close does not end the streams.",
        "close::wakes_blocked_readers",
        |deadline| twisted(deadline, |_| Ending::new(End::Hangs)),
    ),
    Specimen::new(
        "close_drops_the_backlog",
        "Close ends the streams at once, with what they had accepted.",
        "close::ends_every_stream_drained",
        |deadline| twisted(deadline, |_| Ending::new(End::AtOnce)),
    ),
    Specimen::new(
        "ok_after_close",
        "After close, every second publish is Ok.",
        "close::every_operation_stays_closed",
        |deadline| twisted(deadline, |_| OkAfterClose::default()),
    ),
    Specimen::new(
        "close_fails_the_second_time",
        "Closing what is closed is an error.",
        "close::is_idempotent",
        |deadline| twisted(deadline, |_| CloseOnce::default()),
    ),
    Specimen::new(
        "close_is_for_all",
        "Close closes the other instances, too.",
        "close::others_go_on",
        |deadline| twisted(deadline, |seat| ForAll(Arc::clone(&seat.cluster))),
    ),
    Specimen::new(
        "unsubscribe_does_nothing",
        "Unsubscribe is Ok, and the streams go on.",
        "life::unsubscribe_ends_the_stream_drained",
        |deadline| twisted(deadline, |_| NoUnsubscribe),
    ),
    Specimen::new(
        "unsubscribe_is_for_all",
        "Unsubscribe ends the topic's streams on the other instances, too.",
        "life::unsubscribe_leaves_other_instances_alone",
        |deadline| twisted(deadline, |seat| ForAll(Arc::clone(&seat.cluster))),
    ),
    Specimen::new(
        "an_unknown_topic_is_an_error",
        "Unsubscribing from a topic without a subscription fails.",
        "life::unsubscribe_from_an_unknown_topic_is_ok",
        |deadline| twisted(deadline, |_| KnownTopics::default()),
    ),
    Specimen::new(
        "leaks_dropped_subscriptions",
        "A dropped subscription stays registered until close.",
        "release::a_dropped_subscription_is_released",
        |deadline| twisted(deadline, |_| Keeps::default()),
    ),
    Specimen::new(
        "leaks_dropped_subscribes",
        "A subscribe that is dropped half way stays registered.",
        "cancel::a_dropped_subscribe_leaves_no_registration",
        |deadline| twisted(deadline, |_| HalfWay::default()),
    ),
    Specimen::new(
        "outlives_its_last_handle",
        "A task of its own keeps the instance open after the last handle has gone.",
        "release::dropping_the_last_handle_ends_the_streams",
        |deadline| twisted(deadline, Immortal::new),
    ),
];

#[derive(Clone, Copy)]
enum End {
    Hangs,
    AtOnce,
}

/// Ends streams on close in a way of its own.
struct Ending {
    end: End,
    closed: Arc<AtomicBool>,
}

impl Ending {
    fn new(end: End) -> Self {
        Self { end, closed: Arc::default() }
    }
}

#[async_trait]
impl Twist for Ending {
    async fn subscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<Subscription> {
        let honest = inner.subscribe(topic).await?;
        let closed = Arc::clone(&self.closed);
        Ok(Subscription::new(topic, Ended { honest, end: self.end, closed }))
    }

    async fn close(&self, inner: &Arc<MemoryBackend>) -> Result<()> {
        self.closed.store(true, Ordering::Release);
        inner.close().await
    }
}

struct Ended {
    honest: Subscription,
    end: End,
    closed: Arc<AtomicBool>,
}

impl Stream for Ended {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        let closed = self.closed.load(Ordering::Acquire);
        if closed && matches!(self.end, End::AtOnce) {
            return Poll::Ready(None);
        }
        match Pin::new(&mut self.honest).poll_next(cx) {
            Poll::Ready(None) if closed => Poll::Pending,
            polled => polled,
        }
    }
}

#[derive(Default)]
struct OkAfterClose(AtomicU64);

#[async_trait]
impl Twist for OkAfterClose {
    async fn publish(&self, inner: &Arc<MemoryBackend>, envelope: MessageEnvelope) -> Result<()> {
        match inner.publish(envelope).await {
            Err(Error::Closed) if self.0.fetch_add(1, Ordering::Relaxed) % 2 == 1 => Ok(()),
            other => other,
        }
    }
}

#[derive(Default)]
struct CloseOnce(AtomicBool);

#[async_trait]
impl Twist for CloseOnce {
    async fn close(&self, inner: &Arc<MemoryBackend>) -> Result<()> {
        if self.0.swap(true, Ordering::AcqRel) {
            return Err(Error::Closed);
        }
        inner.close().await
    }
}

/// What ends something here ends it everywhere.
struct ForAll(Arc<Shared>);

impl ForAll {
    fn instances(&self) -> Vec<Arc<MemoryBackend>> {
        lock(&self.0.instances).iter().filter_map(std::sync::Weak::upgrade).collect()
    }
}

#[async_trait]
impl Twist for ForAll {
    async fn unsubscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<()> {
        for instance in self.instances() {
            let _ = instance.unsubscribe(topic).await;
        }
        inner.unsubscribe(topic).await
    }

    async fn close(&self, inner: &Arc<MemoryBackend>) -> Result<()> {
        for instance in self.instances() {
            instance.close().await?;
        }
        inner.close().await
    }
}

struct NoUnsubscribe;

#[async_trait]
impl Twist for NoUnsubscribe {
    async fn unsubscribe(&self, inner: &Arc<MemoryBackend>, _: &str) -> Result<()> {
        // Of a topic that nobody has: for the error after close.
        inner.unsubscribe("\u{1}nobody has this").await
    }
}

#[derive(Default)]
struct KnownTopics(Mutex<Vec<String>>);

#[async_trait]
impl Twist for KnownTopics {
    async fn subscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<Subscription> {
        lock(&self.0).push(topic.to_owned());
        inner.subscribe(topic).await
    }

    async fn unsubscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<()> {
        inner.unsubscribe(topic).await?;
        if lock(&self.0).iter().any(|known| known == topic) {
            return Ok(());
        }
        Err(Error::backend("no such subscription"))
    }
}

/// Holds a second subscription for every one that it gives away.
#[derive(Default)]
struct Keeps(Mutex<Vec<Subscription>>);

#[async_trait]
impl Twist for Keeps {
    async fn subscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<Subscription> {
        let kept = inner.subscribe(topic).await?;
        lock(&self.0).push(kept);
        inner.subscribe(topic).await
    }
}

/// Registers, waits for a confirmation, and gives out what it has registered.
#[derive(Default)]
struct HalfWay(Mutex<Vec<Subscription>>);

#[async_trait]
impl Twist for HalfWay {
    async fn subscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<Subscription> {
        let registered = inner.subscribe(topic).await?;
        lock(&self.0).push(registered);
        tokio::task::yield_now().await;
        let mut registered = lock(&self.0);
        match registered.iter().rposition(|known| known.topic() == topic) {
            Some(index) => Ok(registered.remove(index)),
            None => Err(Error::backend("the registration has gone")),
        }
    }
}

struct Immortal;

impl Immortal {
    fn new(seat: &Seat) -> Self {
        // Held by a task that never ends; it goes with its runtime.
        let instance = Arc::clone(&seat.inner);
        tokio::spawn(async move {
            std::future::pending::<()>().await;
            drop(instance);
        });
        Self
    }
}

impl Twist for Immortal {}
