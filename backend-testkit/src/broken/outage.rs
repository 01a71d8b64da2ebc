//! Faults against H1 to H7: health, callbacks, and what becomes of things in an outage.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use async_trait::async_trait;
use backend_core::{
    Backend, Error, Event, GapCause, HealthAwareBackend, MessageEnvelope, ReconnectCallback,
    Result, Subscription,
};
use backend_memory::MemoryBackend;
use futures_core::Stream;

use super::Specimen;
use super::twist::{Twist, lock, rewrite, twisted};

pub(super) const SPECIMENS: &[Specimen] = &[
    Specimen::new(
        "hides_its_health",
        "A wrapper does not forward as_health_aware.",
        "health::is_offered_where_it_is_claimed",
        |deadline| twisted(deadline, |_| HidesHealth),
    ),
    Specimen::new(
        "healthy_while_deaf",
        "It says that it is healthy while it is cut off.",
        "health::unhealthy_while_cut_off",
        |deadline| twisted(deadline, |_| AlwaysHealthy { until_closed: true }),
    ),
    Specimen::new(
        "healthy_after_close",
        "It says that it is healthy when it is closed.",
        "health::unhealthy_after_close",
        |deadline| twisted(deadline, |_| AlwaysHealthy { until_closed: false }),
    ),
    Specimen::new(
        "callback_twice",
        "Every callback fires twice.",
        "callback::fires_once_per_outage",
        |deadline| twisted(deadline, |_| Calls::new(How::Twice)),
    ),
    Specimen::new(
        "callback_on_registration",
        "A callback fires when it is registered.",
        "callback::does_not_fire_on_registration",
        |deadline| twisted(deadline, |_| Calls::new(How::OnRegistration)),
    ),
    Specimen::new(
        "callback_on_every_restore",
        "The callbacks fire from healthy to healthy.",
        "callback::does_not_fire_from_healthy_to_healthy",
        |deadline| twisted(deadline, |_| Calls::new(How::Always)),
    ),
    Specimen::new(
        "only_the_last_callback",
        "Registering a callback replaces the one before.",
        "callback::every_one_fires_in_order",
        |deadline| twisted(deadline, |_| Calls::new(How::OnlyTheLast)),
    ),
    Specimen::new(
        "callbacks_in_reverse",
        "The callback registered last fires first.",
        "callback::every_one_fires_in_order",
        |deadline| twisted(deadline, |_| Calls::new(How::Reversed)),
    ),
    Specimen::new(
        "callback_before_topics_are_live",
        "The callbacks fire while nothing arrives yet.",
        "callback::fires_when_topics_are_live",
        |deadline| twisted(deadline, |_| Calls::new(How::Early)),
    ),
    Specimen::new(
        "callback_under_a_lock",
        "The callbacks run under the lock that registering takes.",
        "callback::may_register_another",
        |deadline| twisted(deadline, |_| Calls::new(How::UnderLock)),
    ),
    Specimen::new(
        "callback_panic_escapes",
        "A callback that panics keeps the others from running.",
        "callback::a_panic_in_one_harms_nothing",
        |deadline| twisted(deadline, |_| Calls::new(How::Unguarded)),
    ),
    Specimen::new(
        "stream_ends_on_an_outage",
        "A lost connection ends the streams.",
        "outage::the_same_stream_goes_on",
        |deadline| twisted(deadline, |_| EndsOnCut),
    ),
    Specimen::new(
        "no_gap_after_an_outage",
        "The streams go on as if nothing had happened.",
        "outage::a_gap_tells_of_it",
        |deadline| twisted(deadline, |_| OutageGaps { copies: 0 }),
    ),
    Specimen::new(
        "two_gaps_for_one_outage",
        "One outage shows as two gaps.",
        "outage::one_gap_for_one_outage",
        |deadline| twisted(deadline, |_| OutageGaps { copies: 2 }),
    ),
    Specimen::new(
        "delivers_stale_messages",
        "What was refused in an outage is sent after it.",
        "outage::what_was_refused_is_not_delivered_later",
        |deadline| twisted(deadline, |_| Queues::default()),
    ),
    Specimen::new(
        "hangs_in_an_outage",
        "A publish in an outage waits for its end.",
        "outage::operations_end_with_unavailable_or_ok",
        |deadline| twisted(deadline, |_| Hangs),
    ),
    Specimen::new(
        "forgets_an_unsubscribe_in_an_outage",
        "What was unsubscribed in an outage is there again after it.",
        "recovery::unsubscribed_during_an_outage_stays_so",
        |deadline| twisted(deadline, |_| Forgets),
    ),
];

struct HidesHealth;

impl Twist for HidesHealth {
    fn hides_health(&self) -> bool {
        true
    }
}

struct AlwaysHealthy {
    until_closed: bool,
}

impl Twist for AlwaysHealthy {
    fn is_healthy(&self, inner: &Arc<MemoryBackend>) -> bool {
        let closed =
            inner.publish_now(MessageEnvelope::new("\u{1}probe", "")).is_err_and(|e| e.is_closed());
        if self.until_closed { !closed } else { inner.is_healthy() || closed }
    }
}

type Callback = Arc<dyn Fn() + Send + Sync>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Twice,
    OnRegistration,
    Always,
    OnlyTheLast,
    Reversed,
    Early,
    UnderLock,
    Unguarded,
}

/// Keeps the callbacks itself, and gets one thing about them wrong.
struct Calls {
    how: How,
    callbacks: Mutex<Vec<Callback>>,
}

impl Calls {
    fn new(how: How) -> Self {
        Self { how, callbacks: Mutex::default() }
    }

    fn call(&self) {
        if self.how == How::UnderLock {
            lock(&self.callbacks).iter().for_each(guarded);
            return;
        }
        let mut callbacks = lock(&self.callbacks).clone();
        match self.how {
            How::Reversed => callbacks.reverse(),
            How::Twice => callbacks.extend(callbacks.clone()),
            How::Unguarded => return callbacks.iter().for_each(|callback| callback()),
            _ => {}
        }
        callbacks.iter().for_each(guarded);
    }
}

fn guarded(callback: &Callback) {
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| callback()));
}

#[async_trait]
impl Twist for Calls {
    fn on_reconnect(&self, _: &Arc<MemoryBackend>, callback: ReconnectCallback) {
        let callback = Callback::from(callback);
        if self.how == How::OnRegistration {
            callback();
        }
        let mut callbacks = lock(&self.callbacks);
        if self.how == How::OnlyTheLast {
            callbacks.clear();
        }
        callbacks.push(callback);
    }

    async fn close(&self, inner: &Arc<MemoryBackend>) -> Result<()> {
        let callbacks = std::mem::take(&mut *lock(&self.callbacks));
        drop(callbacks);
        inner.close().await
    }

    fn restore(&self, inner: &Arc<MemoryBackend>) {
        let edge = !inner.is_healthy() || self.how == How::Always;
        if edge && self.how == How::Early {
            self.call();
        }
        inner.heal();
        if edge && self.how != How::Early {
            self.call();
        }
    }
}

/// Its streams end where an outage was.
struct EndsOnCut;

#[async_trait]
impl Twist for EndsOnCut {
    async fn subscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<Subscription> {
        let honest = inner.subscribe(topic).await?;
        Ok(Subscription::new(topic, Losing(honest)))
    }
}

struct Losing(Subscription);

impl Stream for Losing {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        match Pin::new(&mut self.0).poll_next(cx) {
            Poll::Ready(Some(Event::Gap(gap))) if gap.cause == GapCause::Reconnected => {
                Poll::Ready(None)
            }
            polled => polled,
        }
    }
}

/// Tells of an outage more or less often than once.
struct OutageGaps {
    copies: usize,
}

#[async_trait]
impl Twist for OutageGaps {
    async fn subscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<Subscription> {
        let copies = self.copies;
        Ok(rewrite(inner.subscribe(topic).await?, move |event, ready| match event {
            Event::Gap(gap) if gap.cause == GapCause::Reconnected => {
                ready.extend(std::iter::repeat_n(Event::Gap(gap), copies));
            }
            other => ready.push_back(other),
        }))
    }
}

/// Refuses in an outage, and sends what it has refused after it.
#[derive(Default)]
struct Queues(Mutex<Vec<MessageEnvelope>>);

#[async_trait]
impl Twist for Queues {
    async fn publish(&self, inner: &Arc<MemoryBackend>, envelope: MessageEnvelope) -> Result<()> {
        let result = inner.publish(envelope.clone()).await;
        if matches!(result, Err(Error::Unavailable(_))) {
            lock(&self.0).push(envelope);
        }
        result
    }

    fn restore(&self, inner: &Arc<MemoryBackend>) {
        inner.heal();
        for envelope in std::mem::take(&mut *lock(&self.0)) {
            let _ = inner.publish_now(envelope);
        }
    }
}

struct Hangs;

#[async_trait]
impl Twist for Hangs {
    async fn publish(&self, inner: &Arc<MemoryBackend>, envelope: MessageEnvelope) -> Result<()> {
        let result = inner.publish(envelope).await;
        if matches!(result, Err(Error::Unavailable(_))) {
            std::future::pending::<()>().await;
        }
        result
    }
}

struct Forgets;

#[async_trait]
impl Twist for Forgets {
    async fn unsubscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<()> {
        let cut = inner.publish_now(MessageEnvelope::new("\u{1}probe", ""));
        if matches!(cut, Err(Error::Unavailable(_))) {
            return Ok(());
        }
        inner.unsubscribe(topic).await
    }
}
