//! Faults against D1 to D6 and O1: who gets what, how often, and in which order.

use std::collections::{HashMap, HashSet, VecDeque};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use async_trait::async_trait;
use backend_core::{Backend, Error, Event, MessageEnvelope, Result, Subscription};
use backend_memory::MemoryBackend;
use futures_core::Stream;

use super::Specimen;
use super::twist::{Seat, Shared, Twist, lock, rewrite, rewrite_messages, twisted};

pub(super) const SPECIMENS: &[Specimen] = &[
    Specimen::new(
        "echo",
        "An instance hears what it publishes itself.",
        "echo::never_echoed",
        |deadline| twisted(deadline, |seat| Echo::new(seat, When::Always)),
    ),
    Specimen::new(
        "echo_after_resubscribing",
        "It hears itself on topics that it has subscribed to before.",
        "echo::never_echoed_after_resubscribing",
        |deadline| twisted(deadline, |seat| Echo::new(seat, When::Resubscribed)),
    ),
    Specimen::new(
        "echo_after_an_outage",
        "It hears itself once it has had an outage.",
        "echo::never_echoed_after_an_outage",
        |deadline| twisted(deadline, |seat| Echo::new(seat, When::Restored)),
    ),
    Specimen::new(
        "echo_filter_by_content",
        "What equals an own envelope is taken for an echo.",
        "echo::an_equal_envelope_of_another_instance_is_no_echo",
        |deadline| twisted(deadline, |_| FilterByContent::default()),
    ),
    Specimen::new(
        "duplicates",
        "Every seventh message comes twice.",
        "once::never_twice",
        |deadline| twisted(deadline, |_| EveryFew { each: 7, copies: 2 }),
    ),
    Specimen::new(
        "loses_one_in_a_hundred",
        "Every hundredth message is lost, without a word.",
        "deliver::goes_on_over_many_messages",
        |deadline| twisted(deadline, |_| EveryFew { each: 100, copies: 0 }),
    ),
    Specimen::new(
        "duplicates_after_resubscribing",
        "Registrations of former subscriptions add up.",
        "once::never_twice_after_resubscribing",
        |deadline| twisted(deadline, |_| AddsUp::default()),
    ),
    Specimen::new(
        "deduplicates_by_id",
        "An id that was seen before is taken for a duplicate.",
        "once::one_id_twice_is_two",
        |deadline| twisted(deadline, |_| Deduplicate::ById),
    ),
    Specimen::new(
        "deduplicates_by_content",
        "What equals the message before is taken for a duplicate.",
        "once::two_equal_envelopes_are_two",
        |deadline| twisted(deadline, |_| Deduplicate::ByContent),
    ),
    Specimen::new(
        "subscribe_returns_early",
        "Subscribe returns a millisecond before it is registered.",
        "ready::next_publish_after_subscribe_arrives",
        |deadline| twisted(deadline, |_| Early { always: true, known: Mutex::default() }),
    ),
    Specimen::new(
        "resubscribe_returns_early",
        "So does the second subscribe to a topic, though not the first.",
        "ready::ready_right_after_unsubscribing",
        |deadline| twisted(deadline, |_| Early { always: false, known: Mutex::default() }),
    ),
    Specimen::new(
        "replays_the_last_message",
        "A late subscriber gets the topic's last message.",
        "ready::nothing_older_than_the_subscription",
        |deadline| twisted(deadline, Replay::new),
    ),
    Specimen::new(
        "competing_readers",
        "Two subscriptions of an instance to one topic share a stream.",
        "life::subscriptions_are_independent",
        |deadline| twisted(deadline, |_| Competing::default()),
    ),
    Specimen::new(
        "only_the_first_subscription",
        "A second subscription to a topic gets nothing.",
        "deliver::reaches_every_subscription_of_an_instance",
        |deadline| twisted(deadline, |_| OnlyFirst::default()),
    ),
    Specimen::new(
        "nobody_is_an_error",
        "Publishing to a topic without subscribers fails.",
        "deliver::nobody_subscribed_is_ok",
        |deadline| twisted(deadline, NeedsSubscribers::new),
    ),
    Specimen::new(
        "reorders",
        "Two messages that wait together change places.",
        "order::first_in_first_out",
        |deadline| twisted(deadline, |_| Reorder),
    ),
];

/// Publishes through a second instance on the bus, which its own subscriptions hear.
struct Echo {
    ghost: MemoryBackend,
    when: When,
    known: Mutex<HashSet<String>>,
    again: Mutex<HashSet<String>>,
    restored: AtomicBool,
}

enum When {
    Always,
    Resubscribed,
    Restored,
}

impl Echo {
    fn new(seat: &Seat, when: When) -> Self {
        Self {
            ghost: seat.inner.fork(),
            when,
            known: Mutex::default(),
            again: Mutex::default(),
            restored: AtomicBool::new(false),
        }
    }
}

#[async_trait]
impl Twist for Echo {
    async fn publish(&self, inner: &Arc<MemoryBackend>, envelope: MessageEnvelope) -> Result<()> {
        let echoes = match self.when {
            When::Always => true,
            When::Resubscribed => lock(&self.again).contains(envelope.topic()),
            When::Restored => self.restored.load(Ordering::Acquire),
        };
        // The honest one says whether the instance may publish at all.
        if !echoes || !backend_core::HealthAwareBackend::is_healthy(&**inner) {
            return inner.publish(envelope).await;
        }
        self.ghost.publish(envelope).await
    }

    async fn subscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<Subscription> {
        if !lock(&self.known).insert(topic.to_owned()) {
            lock(&self.again).insert(topic.to_owned());
        }
        inner.subscribe(topic).await
    }

    fn restore(&self, inner: &Arc<MemoryBackend>) {
        self.restored.store(true, Ordering::Release);
        inner.heal();
    }
}

#[derive(Default)]
struct FilterByContent(Arc<Mutex<Vec<MessageEnvelope>>>);

#[async_trait]
impl Twist for FilterByContent {
    async fn publish(&self, inner: &Arc<MemoryBackend>, envelope: MessageEnvelope) -> Result<()> {
        lock(&self.0).push(envelope.clone());
        inner.publish(envelope).await
    }

    async fn subscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<Subscription> {
        let own = Arc::clone(&self.0);
        let honest = inner.subscribe(topic).await?;
        Ok(rewrite_messages(honest, move |envelope| {
            (!lock(&own).contains(&envelope)).then_some(envelope)
        }))
    }
}

struct EveryFew {
    each: usize,
    copies: usize,
}

#[async_trait]
impl Twist for EveryFew {
    async fn subscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<Subscription> {
        let (each, copies, mut count) = (self.each, self.copies, 0);
        Ok(rewrite(inner.subscribe(topic).await?, move |event, ready| {
            count += 1;
            let times = if count % each == 0 { copies } else { 1 };
            ready.extend(std::iter::repeat_n(event, times));
        }))
    }
}

#[derive(Default)]
struct AddsUp(Mutex<HashMap<String, usize>>);

#[async_trait]
impl Twist for AddsUp {
    async fn subscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<Subscription> {
        let times = {
            let mut counts = lock(&self.0);
            let count = counts.entry(topic.to_owned()).or_default();
            *count += 1;
            *count
        };
        Ok(rewrite(inner.subscribe(topic).await?, move |event, ready| {
            ready.extend(std::iter::repeat_n(event, times));
        }))
    }
}

enum Deduplicate {
    ById,
    ByContent,
}

#[async_trait]
impl Twist for Deduplicate {
    async fn subscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<Subscription> {
        let honest = inner.subscribe(topic).await?;
        Ok(match self {
            Self::ById => {
                let mut ids = HashSet::new();
                rewrite_messages(honest, move |envelope| {
                    let fresh = envelope.id().is_none_or(|id| ids.insert(id.to_owned()));
                    fresh.then_some(envelope)
                })
            }
            Self::ByContent => {
                let mut last = None;
                rewrite_messages(honest, move |envelope| {
                    let fresh = last.replace(envelope.clone()) != Some(envelope.clone());
                    fresh.then_some(envelope)
                })
            }
        })
    }
}

struct Early {
    always: bool,
    known: Mutex<HashSet<String>>,
}

#[async_trait]
impl Twist for Early {
    async fn subscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<Subscription> {
        let first = lock(&self.known).insert(topic.to_owned());
        if first && !self.always {
            return inner.subscribe(topic).await;
        }
        let (inner, later) = (Arc::downgrade(inner), topic.to_owned());
        let registering = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            match inner.upgrade() {
                Some(inner) => inner.subscribe(&later).await,
                None => Err(Error::Closed),
            }
        });
        Ok(Subscription::new(topic, Registering { registering, registered: None }))
    }
}

struct Registering {
    registering: tokio::task::JoinHandle<Result<Subscription>>,
    registered: Option<Subscription>,
}

impl Stream for Registering {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        loop {
            if let Some(registered) = &mut self.registered {
                return Pin::new(registered).poll_next(cx);
            }
            match ready!(Pin::new(&mut self.registering).poll(cx)) {
                Ok(Ok(subscription)) => self.registered = Some(subscription),
                _ => return Poll::Ready(None),
            }
        }
    }
}

struct Replay {
    index: usize,
    cluster: Arc<Shared>,
}

impl Replay {
    fn new(seat: &Seat) -> Self {
        Self { index: seat.index, cluster: Arc::clone(&seat.cluster) }
    }
}

#[async_trait]
impl Twist for Replay {
    async fn publish(&self, inner: &Arc<MemoryBackend>, envelope: MessageEnvelope) -> Result<()> {
        inner.publish(envelope.clone()).await?;
        let mut last = lock(&self.cluster.last);
        last.retain(|(_, known)| known.topic() != envelope.topic());
        last.push((self.index, envelope));
        Ok(())
    }

    async fn subscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<Subscription> {
        let honest = inner.subscribe(topic).await?;
        let last = lock(&self.cluster.last)
            .iter()
            .find(|(publisher, known)| *publisher != self.index && known.topic() == topic)
            .map(|(_, known)| Event::Message(known.clone()));
        Ok(Subscription::new(topic, Prepended { first: last, rest: honest }))
    }
}

struct Prepended {
    first: Option<Event>,
    rest: Subscription,
}

impl Stream for Prepended {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        match self.first.take() {
            Some(event) => Poll::Ready(Some(event)),
            None => Pin::new(&mut self.rest).poll_next(cx),
        }
    }
}

type Common = Mutex<Subscription>;

#[derive(Default)]
struct Competing(Mutex<HashMap<String, Weak<Common>>>);

#[async_trait]
impl Twist for Competing {
    async fn subscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<Subscription> {
        let fresh = inner.subscribe(topic).await?;
        let mut streams = lock(&self.0);
        let known = streams.get(topic).and_then(Weak::upgrade);
        // A stream that has ended is not shared any more.
        let shared = match known.filter(|known| {
            let mut stream = lock(known);
            !matches!(stream.try_recv(), Err(backend_core::TryRecvError::Closed))
        }) {
            Some(known) => known,
            None => Arc::new(Mutex::new(fresh)),
        };
        streams.insert(topic.to_owned(), Arc::downgrade(&shared));
        Ok(Subscription::new(topic, Compete(shared)))
    }
}

struct Compete(Arc<Common>);

impl Stream for Compete {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        Pin::new(&mut *lock(&self.0)).poll_next(cx)
    }
}

#[derive(Default)]
struct OnlyFirst(Mutex<HashMap<String, Weak<()>>>);

#[async_trait]
impl Twist for OnlyFirst {
    async fn subscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<Subscription> {
        let token = Arc::new(());
        let is_first = {
            let mut first = lock(&self.0);
            let taken = first.get(topic).is_some_and(|first| first.strong_count() > 0);
            if !taken {
                first.insert(topic.to_owned(), Arc::downgrade(&token));
            }
            !taken
        };
        Ok(rewrite_messages(inner.subscribe(topic).await?, move |envelope| {
            let _token = &token;
            is_first.then_some(envelope)
        }))
    }
}

struct NeedsSubscribers(Arc<Shared>);

impl NeedsSubscribers {
    fn new(seat: &Seat) -> Self {
        Self(Arc::clone(&seat.cluster))
    }
}

#[async_trait]
impl Twist for NeedsSubscribers {
    async fn publish(&self, inner: &Arc<MemoryBackend>, envelope: MessageEnvelope) -> Result<()> {
        if !lock(&self.0.topics).iter().any(|topic| topic == envelope.topic()) {
            return Err(Error::backend("nobody subscribes"));
        }
        inner.publish(envelope).await
    }

    async fn subscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<Subscription> {
        lock(&self.0.topics).push(topic.to_owned());
        inner.subscribe(topic).await
    }
}

struct Reorder;

#[async_trait]
impl Twist for Reorder {
    async fn subscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<Subscription> {
        let honest = inner.subscribe(topic).await?;
        Ok(Subscription::new(topic, Swap { honest, held: VecDeque::new() }))
    }
}

struct Swap {
    honest: Subscription,
    held: VecDeque<Event>,
}

impl Stream for Swap {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        if let Some(event) = self.held.pop_front() {
            return Poll::Ready(Some(event));
        }
        let first = ready!(Pin::new(&mut self.honest).poll_next(cx));
        let second = Pin::new(&mut self.honest).poll_next(&mut Context::from_waker(Waker::noop()));
        match (first, second) {
            (Some(Event::Message(first)), Poll::Ready(Some(Event::Message(second)))) => {
                self.held.push_back(Event::Message(first));
                Poll::Ready(Some(Event::Message(second)))
            }
            (first, Poll::Ready(second)) => {
                self.held.extend(second);
                Poll::Ready(first)
            }
            (first, Poll::Pending) => Poll::Ready(first),
        }
    }
}
