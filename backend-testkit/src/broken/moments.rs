//! Faults that show at certain moments alone: when a stream is ended, cut off, or half made.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll};

use async_trait::async_trait;
use backend_core::{Backend, Event, HealthAwareBackend, Result, Subscription};
use backend_memory::MemoryBackend;
use futures_core::Stream;

use super::Specimen;
use super::twist::{Twist, lock, twisted};

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
