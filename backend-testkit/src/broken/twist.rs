//! A memory backend with one thing twisted.
//!
//! Everything here forwards to an honest [`MemoryBackend`]; a broken backend overrides the one
//! method that its fault is in.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use backend_core::{
    Backend, BackendStats, BoxError, Event, HealthAwareBackend, MessageEnvelope, ObservableBackend,
    ReconnectCallback, Result, Subscription,
};
use backend_memory::MemoryBackend;
use futures_core::Stream;

use crate::{Claims, Cluster, Faults, Harness};

/// What the broken backends claim to keep, and do not.
pub(super) const CAPACITY: usize = 32;

/// The memory backend's methods, one of which is overridden.
#[async_trait]
pub(crate) trait Twist: Send + Sync + 'static {
    async fn publish(&self, inner: &Arc<MemoryBackend>, envelope: MessageEnvelope) -> Result<()> {
        inner.publish(envelope).await
    }

    async fn subscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<Subscription> {
        inner.subscribe(topic).await
    }

    async fn unsubscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<()> {
        inner.unsubscribe(topic).await
    }

    async fn close(&self, inner: &Arc<MemoryBackend>) -> Result<()> {
        inner.close().await
    }

    fn hides_health(&self) -> bool {
        false
    }

    fn is_healthy(&self, inner: &Arc<MemoryBackend>) -> bool {
        inner.is_healthy()
    }

    fn on_reconnect(&self, inner: &Arc<MemoryBackend>, callback: ReconnectCallback) {
        inner.on_reconnect(callback);
    }

    fn cut(&self, inner: &Arc<MemoryBackend>) {
        inner.partition();
    }

    fn restore(&self, inner: &Arc<MemoryBackend>) {
        inner.heal();
    }
}

/// What a twist is made with: its instance, and what all instances of its cluster share.
pub(crate) struct Seat {
    pub(crate) inner: Arc<MemoryBackend>,
    pub(crate) index: usize,
    pub(crate) cluster: Arc<Shared>,
}

/// What the instances of a cluster share.
#[derive(Default)]
pub(crate) struct Shared {
    pub(crate) instances: Mutex<Vec<Weak<MemoryBackend>>>,
    pub(crate) topics: Mutex<Vec<String>>,
    pub(crate) last: Mutex<Vec<(usize, MessageEnvelope)>>,
    /// By instance and topic: where a reader gives its free places back.
    pub(crate) places: Mutex<Vec<(usize, String, tokio::sync::mpsc::Sender<()>)>>,
}

struct Twisted<T> {
    twist: T,
    inner: Arc<MemoryBackend>,
}

#[async_trait]
impl<T: Twist> Backend for Twisted<T> {
    async fn publish(&self, envelope: MessageEnvelope) -> Result<()> {
        self.twist.publish(&self.inner, envelope).await
    }

    async fn subscribe(&self, topic: &str) -> Result<Subscription> {
        self.twist.subscribe(&self.inner, topic).await
    }

    async fn unsubscribe(&self, topic: &str) -> Result<()> {
        self.twist.unsubscribe(&self.inner, topic).await
    }

    async fn close(&self) -> Result<()> {
        self.twist.close(&self.inner).await
    }

    fn as_health_aware(&self) -> Option<&dyn HealthAwareBackend> {
        (!self.twist.hides_health()).then_some(self)
    }

    fn as_observable(&self) -> Option<&dyn ObservableBackend> {
        Some(self)
    }
}

impl<T: Twist> HealthAwareBackend for Twisted<T> {
    fn is_healthy(&self) -> bool {
        self.twist.is_healthy(&self.inner)
    }

    fn on_reconnect(&self, callback: ReconnectCallback) {
        self.twist.on_reconnect(&self.inner, callback);
    }
}

impl<T: Twist> ObservableBackend for Twisted<T> {
    fn stats(&self) -> BackendStats {
        self.inner.stats()
    }
}

/// A harness of twisted memory backends.
pub(super) struct Twisting<T> {
    pub(super) make: fn(&Seat) -> T,
    pub(super) deadline: Duration,
    /// What the buffer really has room for.
    pub(super) room: usize,
    /// Where every cluster has its instances from, if they share one bus.
    pub(super) one_bus: Option<MemoryBackend>,
}

impl<T: Twist> Twisting<T> {
    pub(super) fn new(deadline: Duration, make: fn(&Seat) -> T) -> Self {
        Self { make, deadline, room: CAPACITY, one_bus: None }
    }
}

/// A harness whose instances are made by `make`, with room for as much as it claims.
pub(super) fn twisted<T: Twist>(deadline: Duration, make: fn(&Seat) -> T) -> Box<dyn Harness> {
    Box::new(Twisting::new(deadline, make))
}

#[async_trait]
impl<T: Twist> Harness for Twisting<T> {
    fn name(&self) -> &str {
        "broken"
    }

    fn claims(&self) -> Claims {
        Claims::new()
            .with_total_order()
            .with_health()
            .with_counters()
            .with_faults()
            .with_capacity(CAPACITY)
            .with_exact_gaps()
            .with_max_data(256 * 1024)
            .with_deadline(self.deadline)
    }

    async fn cluster(&self, instances: usize) -> Result<Cluster, BoxError> {
        let first = match &self.one_bus {
            Some(bus) => bus.fork(),
            None => MemoryBackend::builder().capacity(self.room).build(),
        };
        let mut inners: Vec<_> = (1..instances).map(|_| Arc::new(first.fork())).collect();
        inners.insert(0, Arc::new(first));
        let cluster = Arc::new(Shared::default());
        *lock(&cluster.instances) = inners.iter().map(Arc::downgrade).collect();
        let twisted: Vec<Arc<Twisted<T>>> = inners
            .into_iter()
            .enumerate()
            .map(|(index, inner)| {
                let seat = Seat { inner, index, cluster: Arc::clone(&cluster) };
                Arc::new(Twisted { twist: (self.make)(&seat), inner: seat.inner })
            })
            .collect();
        let faults = TwistedFaults(twisted.iter().map(Arc::downgrade).collect());
        let instances = twisted.into_iter().map(|one| one as Arc<dyn Backend>).collect();
        Ok(Cluster::new(instances).with_faults(faults))
    }
}

struct TwistedFaults<T>(Vec<Weak<Twisted<T>>>);

#[async_trait]
impl<T: Twist> Faults for TwistedFaults<T> {
    async fn cut(&self, instance: usize) -> Result<(), BoxError> {
        if let Some(instance) = self.0[instance].upgrade() {
            instance.twist.cut(&instance.inner);
        }
        Ok(())
    }

    async fn restore(&self, instance: usize) -> Result<(), BoxError> {
        if let Some(instance) = self.0[instance].upgrade() {
            instance.twist.restore(&instance.inner);
        }
        Ok(())
    }
}

pub(super) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

type Rule = Box<dyn FnMut(Event, &mut VecDeque<Event>) + Send>;

/// A subscription whose events go through a rule, which says what is handed out for each.
pub(super) fn rewrite(
    subscription: Subscription,
    rule: impl FnMut(Event, &mut VecDeque<Event>) + Send + 'static,
) -> Subscription {
    let topic = subscription.topic().to_owned();
    let rewritten = Rewrite { subscription, rule: Box::new(rule), ready: VecDeque::new() };
    Subscription::new(topic, rewritten)
}

/// As [`rewrite`], for messages alone: `None` leaves one out.
pub(super) fn rewrite_messages(
    subscription: Subscription,
    mut rule: impl FnMut(MessageEnvelope) -> Option<MessageEnvelope> + Send + 'static,
) -> Subscription {
    rewrite(subscription, move |event, ready| match event {
        Event::Message(envelope) => ready.extend(rule(envelope).map(Event::Message)),
        other => ready.push_back(other),
    })
}

struct Rewrite {
    subscription: Subscription,
    rule: Rule,
    ready: VecDeque<Event>,
}

impl Stream for Rewrite {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        let this = &mut *self;
        loop {
            if let Some(event) = this.ready.pop_front() {
                return Poll::Ready(Some(event));
            }
            match Pin::new(&mut this.subscription).poll_next(cx) {
                Poll::Ready(Some(event)) => (this.rule)(event, &mut this.ready),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

/// A copy of an envelope under another topic.
pub(super) fn renamed(envelope: &MessageEnvelope, topic: &str) -> MessageEnvelope {
    copied(envelope, topic, envelope.scope(), envelope.ttl(), envelope.id())
}

/// A copy of an envelope with another ttl.
pub(super) fn timed(envelope: &MessageEnvelope, ttl: Option<Duration>) -> MessageEnvelope {
    copied(envelope, envelope.topic(), envelope.scope(), ttl, envelope.id())
}

/// A copy of an envelope's data with these fields.
pub(super) fn copied(
    envelope: &MessageEnvelope,
    topic: &str,
    scope: Option<&str>,
    ttl: Option<Duration>,
    id: Option<&str>,
) -> MessageEnvelope {
    let mut copy = MessageEnvelope::new(topic, envelope.data().clone());
    if let Some(scope) = scope {
        copy = copy.with_scope(scope);
    }
    if let Some(ttl) = ttl {
        copy = copy.with_ttl(ttl);
    }
    if let Some(id) = id {
        copy = copy.with_id(id);
    }
    copy
}

/// No fault at all.
pub(super) struct Honest;

impl Twist for Honest {}

/// No fault, but no hurry either.
#[derive(Default)]
pub(super) struct Slow(AtomicU64);

impl Slow {
    async fn dawdle(&self) {
        // Unevenly, as over a network.
        let turn = self.0.fetch_add(3, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(turn % 8)).await;
    }
}

#[async_trait]
impl Twist for Slow {
    async fn publish(&self, inner: &Arc<MemoryBackend>, envelope: MessageEnvelope) -> Result<()> {
        self.dawdle().await;
        inner.publish(envelope).await
    }

    async fn subscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<Subscription> {
        self.dawdle().await;
        inner.subscribe(topic).await
    }

    async fn unsubscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<()> {
        self.dawdle().await;
        inner.unsubscribe(topic).await
    }

    async fn close(&self, inner: &Arc<MemoryBackend>) -> Result<()> {
        self.dawdle().await;
        inner.close().await
    }
}

/// No fault, but a way of its own for every subscription.
pub(super) struct Jittery;

#[async_trait]
impl Twist for Jittery {
    async fn subscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<Subscription> {
        let honest = inner.subscribe(topic).await?;
        Ok(Subscription::new(topic, Delayed { honest, on_its_way: None, turn: 0 }))
    }
}

struct Delayed {
    honest: Subscription,
    on_its_way: Option<(Pin<Box<tokio::time::Sleep>>, Event)>,
    turn: u64,
}

impl Stream for Delayed {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        if self.on_its_way.is_none() {
            match std::task::ready!(Pin::new(&mut self.honest).poll_next(cx)) {
                None => return Poll::Ready(None),
                Some(event) => {
                    self.turn += 7;
                    let delay = Duration::from_millis(self.turn % 11);
                    self.on_its_way = Some((Box::pin(tokio::time::sleep(delay)), event));
                }
            }
        }
        if let Some((delay, _)) = &mut self.on_its_way {
            std::task::ready!(delay.as_mut().poll(cx));
        }
        Poll::Ready(self.on_its_way.take().map(|(_, event)| event))
    }
}
