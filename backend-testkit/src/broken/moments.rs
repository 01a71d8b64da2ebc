//! Faults that show at certain moments alone: when a stream is ended, cut off, or half made.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use backend_core::{
    Backend, Error, Event, HealthAwareBackend, MessageEnvelope, Result, Subscription,
};
use backend_memory::MemoryBackend;
use futures_core::Stream;
use tokio::sync::{Semaphore, oneshot};

use super::Specimen;
use super::twist::{Twist, lock, rewrite_messages, twisted};

pub(super) const SPECIMENS: &[Specimen] = &[
    Specimen::new(
        "an_old_drop_deafens_the_new",
        "Dropping a stream that was unsubscribed makes the topic's newer ones deaf.",
        "endings::dropping_an_ended_stream_touches_nothing",
        |deadline| twisted(deadline, |_| Generations::default()),
    ),
    Specimen::new(
        "unsubscribe_trims",
        "Unsubscribe takes the spaces around a topic off.",
        "endings::unsubscribe_takes_odd_topics_as_they_are",
        |deadline| twisted(deadline, |_| Trims),
    ),
    Specimen::new(
        "unsubscribe_in_an_outage_throws_away",
        "What had not been read is gone when a topic is unsubscribed during an outage.",
        "endings::unsubscribe_while_cut_off_drains",
        |deadline| twisted(deadline, |_| ThrowsAway::default()),
    ),
    Specimen::new(
        "close_in_an_outage_throws_away",
        "What had not been read is gone when the instance closes during an outage.",
        "endings::close_while_cut_off_drains",
        |deadline| twisted(deadline, |_| ThrowsAway { at_close: true, ..ThrowsAway::default() }),
    ),
    Specimen::new(
        "closed_to_who_looks_in_an_outage",
        "During an outage, try_recv says Closed.",
        "endings::an_outage_is_no_end",
        |deadline| twisted(deadline, |_| ClosedInOutage),
    ),
    Specimen::new(
        "joins_a_subscribe_under_way",
        "A subscribe returns at once while another one to its topic is still being confirmed.",
        "midway::subscribes_to_one_topic_are_each_ready_on_return",
        |deadline| twisted(deadline, |_| Unconfirmed::default()),
    ),
    Specimen::new(
        "deaf_after_a_cut_in_subscribe",
        "A subscribe that meets an outage is Ok, and its stream deaf.",
        "midway::an_outage_during_a_subscribe_leaves_none_deaf",
        |deadline| twisted(deadline, |_| CutInSubscribe::default()),
    ),
    Specimen::new(
        "unavailable_and_delivered",
        "A publish whose answer an outage cuts off is Unavailable, and was delivered.",
        "midway::what_an_outage_made_unavailable_reached_nobody",
        |deadline| twisted(deadline, |_| LosesAnswers::default()),
    ),
    Specimen::new(
        "closed_and_delivered",
        "A publish whose answer a close cuts off is Closed, and was delivered.",
        "midway::what_a_close_refused_reached_nobody",
        |deadline| twisted(deadline, |_| ClosesAnswers::default()),
    ),
    Specimen::new(
        "drops_publishes_during_a_subscribe",
        "What is published while a subscribe is under way is dropped.",
        "midway::a_publish_during_a_subscribe_arrives",
        |deadline| twisted(deadline, |_| OneThingAtATime::default()),
    ),
    Specimen::new(
        "drops_publishes_during_close",
        "A publish while close is under way is Ok, and dropped.",
        "midway::what_was_ok_during_a_close_arrives",
        |deadline| twisted(deadline, |_| Leaving(AtomicBool::new(false))),
    ),
    Specimen::new(
        "dropped_publishes_keep_their_permits",
        "Each publish that is dropped half way uses up one of 32 permits.",
        "cancel::dropped_publishes_use_nothing_up",
        |deadline| twisted(deadline, |_| Permits(Semaphore::new(32))),
    ),
];

/// Which streams of a topic are deaf: those of this generation. Unsubscribe begins the next one.
#[derive(Default)]
struct Generations(Arc<Mutex<HashMap<String, Generation>>>);

#[derive(Clone, Copy, Default)]
struct Generation {
    now: u64,
    deaf: Option<u64>,
}

#[async_trait]
impl Twist for Generations {
    async fn subscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<Subscription> {
        let honest = inner.subscribe(topic).await?;
        let own = lock(&self.0).entry(topic.to_owned()).or_default().now;
        let generations = Arc::clone(&self.0);
        Ok(Subscription::new(topic, OfGeneration { honest, own, generations }))
    }

    async fn unsubscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<()> {
        lock(&self.0).entry(topic.to_owned()).or_default().now += 1;
        inner.unsubscribe(topic).await
    }
}

struct OfGeneration {
    honest: Subscription,
    own: u64,
    generations: Arc<Mutex<HashMap<String, Generation>>>,
}

impl Stream for OfGeneration {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        loop {
            let event = std::task::ready!(Pin::new(&mut self.honest).poll_next(cx));
            let deaf = lock(&self.generations).get(self.honest.topic()).and_then(|it| it.deaf);
            if event.is_none() || deaf != Some(self.own) {
                return Poll::Ready(event);
            }
        }
    }
}

impl Drop for OfGeneration {
    fn drop(&mut self) {
        if let Some(generation) = lock(&self.generations).get_mut(self.honest.topic())
            && generation.now > self.own
        {
            generation.deaf = Some(generation.now);
        }
    }
}

struct Trims;

#[async_trait]
impl Twist for Trims {
    async fn unsubscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<()> {
        inner.unsubscribe(topic.trim()).await
    }
}

/// Streams that end with nothing more when they are ended in an outage.
#[derive(Default)]
struct ThrowsAway {
    at_close: bool,
    emptied: Mutex<Vec<(String, Arc<AtomicBool>)>>,
}

impl ThrowsAway {
    fn empty(&self, inner: &MemoryBackend, which: impl Fn(&str) -> bool) {
        if inner.is_healthy() {
            return;
        }
        for (_, emptied) in lock(&self.emptied).iter().filter(|(topic, _)| which(topic)) {
            emptied.store(true, Ordering::Release);
        }
    }
}

#[async_trait]
impl Twist for ThrowsAway {
    async fn subscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<Subscription> {
        let honest = inner.subscribe(topic).await?;
        let emptied = Arc::new(AtomicBool::new(false));
        lock(&self.emptied).push((topic.to_owned(), Arc::clone(&emptied)));
        Ok(Subscription::new(topic, Emptied { honest, emptied }))
    }

    async fn unsubscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<()> {
        if !self.at_close {
            self.empty(inner, |known| known == topic);
        }
        inner.unsubscribe(topic).await
    }

    async fn close(&self, inner: &Arc<MemoryBackend>) -> Result<()> {
        if self.at_close {
            self.empty(inner, |_| true);
        }
        inner.close().await
    }
}

struct Emptied {
    honest: Subscription,
    emptied: Arc<AtomicBool>,
}

impl Stream for Emptied {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        if self.emptied.load(Ordering::Acquire) {
            return Poll::Ready(None);
        }
        Pin::new(&mut self.honest).poll_next(cx)
    }
}

struct ClosedInOutage;

#[async_trait]
impl Twist for ClosedInOutage {
    async fn subscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<Subscription> {
        let honest = inner.subscribe(topic).await?;
        Ok(Subscription::new(topic, Peeked { honest, instance: Arc::downgrade(inner) }))
    }
}

struct Peeked {
    honest: Subscription,
    instance: Weak<MemoryBackend>,
}

impl Stream for Peeked {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        let polled = Pin::new(&mut self.honest).poll_next(cx);
        let cut_off = || self.instance.upgrade().is_some_and(|instance| !instance.is_healthy());
        if polled.is_pending() && Subscription::is_peek(cx) && cut_off() {
            return Poll::Ready(None);
        }
        polled
    }
}

/// How long an engine takes to confirm a subscription, or a close.
const CONFIRMING: Duration = Duration::from_millis(2);

/// What is under way, until this is dropped.
struct UnderWay(Arc<AtomicUsize>);

impl UnderWay {
    fn begin(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(count))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// By topic: how many subscribes are under way.
#[derive(Default)]
struct Unconfirmed(Mutex<HashMap<String, Arc<AtomicUsize>>>);

#[async_trait]
impl Twist for Unconfirmed {
    async fn subscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<Subscription> {
        let count = Arc::clone(lock(&self.0).entry(topic.to_owned()).or_default());
        if count.load(Ordering::Acquire) == 0 {
            let _under_way = UnderWay::begin(&count);
            tokio::time::sleep(CONFIRMING).await;
            return inner.subscribe(topic).await;
        }
        let (tell, confirmed) = oneshot::channel();
        let (instance, name) = (Arc::clone(inner), topic.to_owned());
        tokio::spawn(async move {
            tokio::time::sleep(CONFIRMING).await;
            if let Ok(honest) = instance.subscribe(&name).await {
                // Its reader may have been dropped meanwhile.
                let _ = tell.send(honest);
            }
        });
        Ok(Subscription::new(topic, Joined { confirmed, honest: None }))
    }
}

struct Joined {
    confirmed: oneshot::Receiver<Subscription>,
    honest: Option<Subscription>,
}

impl Stream for Joined {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        loop {
            if let Some(honest) = &mut self.honest {
                return Pin::new(honest).poll_next(cx);
            }
            match std::task::ready!(Pin::new(&mut self.confirmed).poll(cx)) {
                Ok(honest) => self.honest = Some(honest),
                Err(_) => return Poll::Ready(None),
            }
        }
    }
}

/// Counts the cuts.
#[derive(Default)]
struct CutInSubscribe(AtomicUsize);

#[async_trait]
impl Twist for CutInSubscribe {
    async fn subscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<Subscription> {
        let cuts = self.0.load(Ordering::Acquire);
        tokio::time::sleep(CONFIRMING).await;
        if self.0.load(Ordering::Acquire) == cuts {
            return inner.subscribe(topic).await;
        }
        loop {
            match inner.subscribe(topic).await {
                Err(Error::Unavailable(_)) => tokio::time::sleep(CONFIRMING).await,
                subscribed => return Ok(rewrite_messages(subscribed?, |_| None)),
            }
        }
    }

    fn cut(&self, inner: &Arc<MemoryBackend>) {
        self.0.fetch_add(1, Ordering::AcqRel);
        inner.partition();
    }
}

/// Counts the cuts.
#[derive(Default)]
struct LosesAnswers(AtomicUsize);

#[async_trait]
impl Twist for LosesAnswers {
    async fn publish(&self, inner: &Arc<MemoryBackend>, envelope: MessageEnvelope) -> Result<()> {
        let cuts = self.0.load(Ordering::Acquire);
        inner.publish(envelope).await?;
        tokio::time::sleep(CONFIRMING).await;
        if self.0.load(Ordering::Acquire) != cuts {
            return Err(Error::unavailable("the connection is lost"));
        }
        Ok(())
    }

    fn cut(&self, inner: &Arc<MemoryBackend>) {
        self.0.fetch_add(1, Ordering::AcqRel);
        inner.partition();
    }
}

/// Whether it was closed.
#[derive(Default)]
struct ClosesAnswers(AtomicBool);

#[async_trait]
impl Twist for ClosesAnswers {
    async fn publish(&self, inner: &Arc<MemoryBackend>, envelope: MessageEnvelope) -> Result<()> {
        inner.publish(envelope).await?;
        tokio::time::sleep(CONFIRMING).await;
        if self.0.load(Ordering::Acquire) { Err(Error::Closed) } else { Ok(()) }
    }

    async fn close(&self, inner: &Arc<MemoryBackend>) -> Result<()> {
        self.0.store(true, Ordering::Release);
        inner.close().await
    }
}

/// How many subscribes are under way.
#[derive(Default)]
struct OneThingAtATime(Arc<AtomicUsize>);

#[async_trait]
impl Twist for OneThingAtATime {
    async fn publish(&self, inner: &Arc<MemoryBackend>, envelope: MessageEnvelope) -> Result<()> {
        if self.0.load(Ordering::Acquire) > 0 && inner.is_healthy() {
            return Ok(());
        }
        inner.publish(envelope).await
    }

    async fn subscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<Subscription> {
        let _under_way = UnderWay::begin(&self.0);
        tokio::time::sleep(CONFIRMING).await;
        inner.subscribe(topic).await
    }
}

/// Whether a close has begun.
struct Leaving(AtomicBool);

#[async_trait]
impl Twist for Leaving {
    async fn publish(&self, inner: &Arc<MemoryBackend>, envelope: MessageEnvelope) -> Result<()> {
        if self.0.load(Ordering::Acquire) && inner.is_healthy() {
            return Ok(());
        }
        inner.publish(envelope).await
    }

    async fn close(&self, inner: &Arc<MemoryBackend>) -> Result<()> {
        self.0.store(true, Ordering::Release);
        tokio::time::sleep(CONFIRMING).await;
        inner.close().await
    }
}

struct Permits(Semaphore);

#[async_trait]
impl Twist for Permits {
    async fn publish(&self, inner: &Arc<MemoryBackend>, envelope: MessageEnvelope) -> Result<()> {
        // Nobody closes it.
        if let Ok(permit) = self.0.acquire().await {
            permit.forget();
        }
        tokio::task::yield_now().await;
        self.0.add_permits(1);
        inner.publish(envelope).await
    }
}
