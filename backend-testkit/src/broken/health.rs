//! More faults against H2 to H7: health that is not true, and recoveries that go wrong.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use backend_core::{
    Backend, Error, Event, Gap, GapCause, HealthAwareBackend, MessageEnvelope, ReconnectCallback,
    Result, Subscription,
};
use backend_memory::MemoryBackend;
use futures_core::Stream;

use super::Specimen;
use super::twist::{Twist, lock, rewrite, twisted};
use crate::poll::poll_once;

pub(super) const SPECIMENS: &[Specimen] = &[
    Specimen::new(
        "healthy_before_it_is_live",
        "After an outage it says healthy before its topics are live.",
        "health::healthy_again_means_deliverable",
        |deadline| twisted(deadline, |_| Deaf::default()),
    ),
    Specimen::new(
        "callback_after_close",
        "The end of an outage calls the callbacks of a closed instance.",
        "callback::does_not_fire_after_close",
        |deadline| twisted(deadline, |_| Callbacks::new(Habit::AfterClose)),
    ),
    Specimen::new(
        "callback_at_the_cut",
        "Callbacks are called when the outage begins.",
        "callback::does_not_fire_when_the_outage_begins",
        |deadline| twisted(deadline, |_| Callbacks::new(Habit::AtTheCut)),
    ),
    Specimen::new(
        "callbacks_are_never_released",
        "A closed instance keeps its callbacks.",
        "callback::is_released_on_close",
        |deadline| twisted(deadline, |_| Callbacks::new(Habit::Keeps)),
    ),
    Specimen::new(
        "an_outage_is_told_as_lag",
        "The gap of an outage says that the reader lagged.",
        "outage::a_gap_tells_of_it",
        |deadline| twisted(deadline, |_| Gaps::Lag),
    ),
    Specimen::new(
        "duplicates_after_an_outage",
        "After an outage, every message comes twice.",
        "recovery::many_outages_are_survived",
        |deadline| twisted(deadline, |_| Gaps::Double),
    ),
    Specimen::new(
        "the_gap_comes_at_the_cut",
        "The gap comes when the outage begins, not when it is over.",
        "outage::the_gap_comes_when_the_topic_is_live",
        |deadline| twisted(deadline, |_| EarlyGap::default()),
    ),
    Specimen::new(
        "accepted_is_lost",
        "A publish during an outage is Ok, and lost.",
        "outage::what_was_accepted_in_it_arrives",
        |deadline| twisted(deadline, |_| During::OkAndLost),
    ),
    Specimen::new(
        "another_error_in_an_outage",
        "A publish during an outage gives an error that says final.",
        "outage::operations_end_with_unavailable_or_ok",
        |deadline| twisted(deadline, |_| During::OtherError),
    ),
    Specimen::new(
        "closed_in_an_outage",
        "During an outage, operations give Closed.",
        "outage::operations_end_with_unavailable_or_ok",
        |deadline| twisted(deadline, |_| During::Closed),
    ),
    Specimen::new(
        "resubscribes_what_has_gone",
        "After an outage, every topic ever subscribed to is registered.",
        "recovery::unsubscribed_topics_do_not_come_back",
        |deadline| twisted(deadline, |_| Revives::default()),
    ),
    Specimen::new(
        "a_second_outage_is_too_many",
        "After two outages, it stays deaf.",
        "recovery::many_outages_are_survived",
        |deadline| twisted(deadline, |_| TwoLives::default()),
    ),
];

/// Says healthy at once, and heals a moment later.
#[derive(Default)]
struct Deaf(AtomicBool);

#[async_trait]
impl Twist for Deaf {
    fn is_healthy(&self, inner: &Arc<MemoryBackend>) -> bool {
        self.0.load(Ordering::Acquire) || inner.is_healthy()
    }

    fn cut(&self, inner: &Arc<MemoryBackend>) {
        self.0.store(false, Ordering::Release);
        inner.partition();
    }

    fn restore(&self, inner: &Arc<MemoryBackend>) {
        self.0.store(true, Ordering::Release);
        let inner = Arc::downgrade(inner);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            if let Some(inner) = inner.upgrade() {
                inner.heal();
            }
        });
    }
}

type Callback = Arc<dyn Fn() + Send + Sync>;

/// A list of callbacks of its own, with a bad habit.
struct Callbacks {
    habit: Habit,
    list: Mutex<Vec<Callback>>,
    closed: AtomicBool,
}

#[derive(PartialEq)]
enum Habit {
    AfterClose,
    AtTheCut,
    Keeps,
}

impl Callbacks {
    fn new(habit: Habit) -> Self {
        Self { habit, list: Mutex::default(), closed: AtomicBool::new(false) }
    }

    fn call(&self) {
        if self.closed.load(Ordering::Acquire) && self.habit != Habit::AfterClose {
            return;
        }
        for callback in lock(&self.list).clone() {
            let _ = catch_unwind(AssertUnwindSafe(|| callback()));
        }
    }
}

#[async_trait]
impl Twist for Callbacks {
    fn on_reconnect(&self, _inner: &Arc<MemoryBackend>, callback: ReconnectCallback) {
        lock(&self.list).push(Arc::from(callback));
    }

    async fn close(&self, inner: &Arc<MemoryBackend>) -> Result<()> {
        self.closed.store(true, Ordering::Release);
        if self.habit == Habit::AtTheCut {
            lock(&self.list).clear();
        }
        inner.close().await
    }

    fn cut(&self, inner: &Arc<MemoryBackend>) {
        let was_healthy = inner.is_healthy();
        inner.partition();
        if self.habit == Habit::AtTheCut && was_healthy {
            self.call();
        }
    }

    fn restore(&self, inner: &Arc<MemoryBackend>) {
        let was_cut = !inner.is_healthy();
        inner.heal();
        if was_cut && self.habit != Habit::AtTheCut {
            self.call();
        }
    }
}

/// Something else in the place of the gap of an outage.
enum Gaps {
    Lag,
    Double,
}

#[async_trait]
impl Twist for Gaps {
    async fn subscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<Subscription> {
        let honest = inner.subscribe(topic).await?;
        let told =
            |event: &Event| matches!(event, Event::Gap(gap) if gap.cause == GapCause::Reconnected);
        Ok(match self {
            Self::Lag => rewrite(honest, move |event, ready| {
                ready.push_back(if told(&event) { Event::Gap(Gap::lagged(1)) } else { event });
            }),
            Self::Double => {
                let mut doubled = false;
                rewrite(honest, move |event, ready| {
                    let gap = told(&event);
                    let times = if doubled && !gap { 2 } else { 1 };
                    doubled |= gap;
                    ready.extend(std::iter::repeat_n(event, times));
                })
            }
        })
    }
}

/// Counts cuts; each stream tells of them as soon as it is polled.
#[derive(Default)]
struct EarlyGap(Arc<AtomicUsize>);

#[async_trait]
impl Twist for EarlyGap {
    async fn subscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<Subscription> {
        let honest = inner.subscribe(topic).await?;
        let cuts = Arc::clone(&self.0);
        let told = cuts.load(Ordering::Acquire);
        Ok(Subscription::new(topic, ToldAtTheCut { honest, cuts, told }))
    }

    fn cut(&self, inner: &Arc<MemoryBackend>) {
        self.0.fetch_add(1, Ordering::AcqRel);
        inner.partition();
    }
}

struct ToldAtTheCut {
    honest: Subscription,
    cuts: Arc<AtomicUsize>,
    told: usize,
}

impl Stream for ToldAtTheCut {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        if self.told < self.cuts.load(Ordering::Acquire) {
            self.told += 1;
            return Poll::Ready(Some(Event::Gap(Gap::reconnected())));
        }
        loop {
            match Pin::new(&mut self.honest).poll_next(cx) {
                Poll::Ready(Some(Event::Gap(gap))) if gap.cause == GapCause::Reconnected => {}
                other => return other,
            }
        }
    }
}

/// What a publish says during an outage.
enum During {
    OkAndLost,
    OtherError,
    Closed,
}

#[async_trait]
impl Twist for During {
    async fn publish(&self, inner: &Arc<MemoryBackend>, envelope: MessageEnvelope) -> Result<()> {
        match (inner.publish(envelope).await, self) {
            (Err(Error::Unavailable(_)), Self::OkAndLost) => Ok(()),
            (Err(Error::Unavailable(_)), Self::OtherError) => {
                Err(Error::backend("connection reset"))
            }
            (Err(Error::Unavailable(_)), Self::Closed) => Err(Error::Closed),
            (other, _) => other,
        }
    }
}

/// Subscribes again, after an outage, to all that it has ever subscribed to.
#[derive(Default)]
struct Revives(Mutex<HashMap<String, Option<Subscription>>>);

#[async_trait]
impl Twist for Revives {
    async fn subscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<Subscription> {
        let subscription = inner.subscribe(topic).await?;
        lock(&self.0).insert(topic.to_owned(), None);
        Ok(subscription)
    }

    fn restore(&self, inner: &Arc<MemoryBackend>) {
        inner.heal();
        for (topic, revived) in lock(&self.0).iter_mut() {
            let mut subscribing = inner.subscribe(topic);
            if let Some(Ok(subscription)) = poll_once(subscribing.as_mut(), Waker::noop()) {
                *revived = Some(subscription);
            }
        }
    }
}

/// Recovers once; the second time it says so, and is deaf.
#[derive(Default)]
struct TwoLives(Arc<AtomicUsize>);

#[async_trait]
impl Twist for TwoLives {
    async fn subscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<Subscription> {
        let lives = Arc::clone(&self.0);
        Ok(rewrite(inner.subscribe(topic).await?, move |event, ready| {
            if lives.load(Ordering::Acquire) < 2 || matches!(event, Event::Gap(_)) {
                ready.push_back(event);
            }
        }))
    }

    fn restore(&self, inner: &Arc<MemoryBackend>) {
        if !inner.is_healthy() {
            self.0.fetch_add(1, Ordering::AcqRel);
        }
        inner.heal();
    }
}
