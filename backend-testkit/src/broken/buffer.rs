//! Faults against L1 to L3: what happens when a reader does not keep up.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use backend_core::{Backend, Event, Gap, GapCause, MessageEnvelope, Result, Subscription};
use backend_memory::MemoryBackend;
use futures_core::Stream;
use tokio::sync::mpsc;

use super::Specimen;
use super::twist::{CAPACITY, Seat, Shared, Twist, Twisting, lock, rewrite, twisted};

pub(super) const SPECIMENS: &[Specimen] = &[
    Specimen::new(
        "swallows_the_gap",
        "An overflow is not told.",
        "overflow::loss_is_told_by_a_gap",
        |deadline| twisted(deadline, |_| Gaps(|_, _| {})),
    ),
    Specimen::new(
        "counts_one_too_many",
        "The gap counts the first message that was kept.",
        "overflow::the_gap_counts_exactly",
        |deadline| {
            twisted(deadline, |_| {
                Gaps(|gap, ready| {
                    let missed = gap.missed.map(|missed| missed + 1);
                    ready.push_back(Event::Gap(Gap::new(gap.cause, missed)));
                })
            })
        },
    ),
    Specimen::new(
        "counts_own_envelopes",
        "The gap counts the subscription's own instance's envelopes too.",
        "overflow::own_envelopes_are_not_counted",
        |deadline| twisted(deadline, |_| CountsOwn::default()),
    ),
    Specimen::new(
        "a_gap_for_each_message",
        "Every lost message has a gap of its own.",
        "overflow::one_gap_for_one_episode",
        |deadline| {
            twisted(deadline, |_| {
                Gaps(|gap, ready| {
                    let each = Event::Gap(Gap::lagged(1));
                    ready.extend(std::iter::repeat_n(
                        each,
                        usize::try_from(gap.missed.unwrap_or(1)).unwrap_or(1),
                    ));
                })
            })
        },
    ),
    Specimen::new(
        "gap_after_instead_of_before",
        "The gap comes after the first message that was kept.",
        "overflow::the_gap_stands_where_the_hole_is",
        |deadline| twisted(deadline, |_| GapLater),
    ),
    Specimen::new(
        "drops_the_newest",
        "When the buffer is full, what comes is dropped, and what is there stays.",
        "overflow::the_oldest_go_first",
        |deadline| Box::new(Twisting { room: 1 << 16, ..Twisting::new(deadline, |_| DropNewest) }),
    ),
    Specimen::new(
        "has_no_bound",
        "Unread messages are kept without a limit.",
        "overflow::loss_is_told_by_a_gap",
        |deadline| {
            Box::new(Twisting {
                room: 1 << 20,
                ..Twisting::new(deadline, |_| {
                    Gaps(|gap, ready| {
                        ready.push_back(Event::Gap(gap));
                    })
                })
            })
        },
    ),
    Specimen::new(
        "keeps_less_than_it_claims",
        "The buffer has room for half of what is claimed.",
        "overflow::without_overflow_nothing_is_lost",
        |deadline| {
            Box::new(Twisting {
                room: CAPACITY / 2,
                ..Twisting::new(deadline, |_| {
                    Gaps(|gap, ready| {
                        ready.push_back(Event::Gap(gap));
                    })
                })
            })
        },
    ),
    Specimen::new(
        "never_recovers",
        "After its first gap, a subscription gets nothing new.",
        "overflow::a_stalled_reader_recovers",
        |deadline| twisted(deadline, |_| NeverRecovers),
    ),
    Specimen::new(
        "waits_for_the_slowest",
        "Publish waits until every subscription has room.",
        "loss::publish_does_not_wait_for_a_stalled_reader",
        |deadline| twisted(deadline, |seat| Waiting::new(seat, false)),
    ),
    Specimen::new(
        "blocks_on_the_slowest",
        "Publish blocks its thread until every subscription has room.",
        "loss::publish_does_not_wait_for_a_stalled_reader",
        |deadline| twisted(deadline, |seat| Waiting::new(seat, true)),
    ),
];

/// Hands out something else for a gap (Lagged).
struct Gaps(fn(Gap, &mut VecDeque<Event>));

#[async_trait]
impl Twist for Gaps {
    async fn subscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<Subscription> {
        let change = self.0;
        Ok(rewrite(inner.subscribe(topic).await?, move |event, ready| match event {
            Event::Gap(gap) if gap.cause == GapCause::Lagged => change(gap, ready),
            other => ready.push_back(other),
        }))
    }
}

#[derive(Default)]
struct CountsOwn(Mutex<HashMap<String, Arc<AtomicU64>>>);

impl CountsOwn {
    fn published(&self, topic: &str) -> Arc<AtomicU64> {
        Arc::clone(lock(&self.0).entry(topic.to_owned()).or_default())
    }
}

#[async_trait]
impl Twist for CountsOwn {
    async fn publish(&self, inner: &Arc<MemoryBackend>, envelope: MessageEnvelope) -> Result<()> {
        self.published(envelope.topic()).fetch_add(1, Ordering::AcqRel);
        inner.publish(envelope).await
    }

    async fn subscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<Subscription> {
        let published = self.published(topic);
        Ok(rewrite(inner.subscribe(topic).await?, move |event, ready| {
            ready.push_back(match event {
                Event::Gap(Gap { cause: GapCause::Lagged, missed: Some(missed), .. }) => {
                    Event::Gap(Gap::lagged(missed + published.load(Ordering::Acquire)))
                }
                other => other,
            });
        }))
    }
}

struct GapLater;

#[async_trait]
impl Twist for GapLater {
    async fn subscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<Subscription> {
        let mut held = None;
        Ok(rewrite(inner.subscribe(topic).await?, move |event, ready| match event {
            Event::Gap(gap) if gap.cause == GapCause::Lagged => held = Some(event),
            other => {
                ready.push_back(other);
                ready.extend(held.take());
            }
        }))
    }
}

struct DropNewest;

#[async_trait]
impl Twist for DropNewest {
    async fn subscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<Subscription> {
        let honest = inner.subscribe(topic).await?;
        let stream = Oldest { honest, kept: VecDeque::new(), dropped: 0, ended: false };
        Ok(Subscription::new(topic, stream))
    }
}

/// Keeps the oldest of what is waiting, and tells of the rest behind them.
struct Oldest {
    honest: Subscription,
    kept: VecDeque<Event>,
    dropped: u64,
    ended: bool,
}

impl Stream for Oldest {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        let this = &mut *self;
        while !this.ended {
            match Pin::new(&mut this.honest).poll_next(cx) {
                Poll::Ready(Some(event)) if this.kept.len() < CAPACITY => {
                    this.kept.push_back(event)
                }
                Poll::Ready(Some(_)) => this.dropped += 1,
                Poll::Ready(None) => this.ended = true,
                Poll::Pending => break,
            }
        }
        match this.kept.pop_front() {
            Some(event) => Poll::Ready(Some(event)),
            None if this.dropped > 0 => {
                Poll::Ready(Some(Event::Gap(Gap::lagged(std::mem::take(&mut this.dropped)))))
            }
            None if this.ended => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

struct NeverRecovers;

#[async_trait]
impl Twist for NeverRecovers {
    async fn subscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<Subscription> {
        let mut left = None;
        Ok(rewrite(inner.subscribe(topic).await?, move |event, ready| {
            if matches!(&event, Event::Gap(gap) if gap.cause == GapCause::Lagged) {
                left = Some(CAPACITY + 1);
            }
            match &mut left {
                None => ready.push_back(event),
                Some(0) => {}
                Some(left) => {
                    *left -= 1;
                    ready.push_back(event);
                }
            }
        }))
    }
}

/// A subscription has few places, and publish waits for one to be free.
struct Waiting {
    blocks: bool,
    cluster: Arc<Shared>,
}

impl Waiting {
    fn new(seat: &Seat, blocks: bool) -> Self {
        Self { blocks, cluster: Arc::clone(&seat.cluster) }
    }
}

/// Longer than any watchdog of a broken backend's run waits; then the thread is given back.
const BLOCKED: Duration = Duration::from_secs(20);

#[async_trait]
impl Twist for Waiting {
    async fn publish(&self, inner: &Arc<MemoryBackend>, envelope: MessageEnvelope) -> Result<()> {
        let topic = envelope.topic().to_owned();
        inner.publish(envelope).await?;
        let own = Arc::as_ptr(inner) as usize;
        let mut others = lock(&self.cluster.places).clone();
        others.retain(|(publisher, known, _)| *publisher != own && *known == topic);
        for (_, _, place) in others {
            if self.blocks {
                let since = Instant::now();
                while place.try_send(()).is_err() && since.elapsed() < BLOCKED {
                    std::thread::park_timeout(Duration::from_millis(1));
                }
            } else {
                let _ = place.send(()).await;
            }
        }
        Ok(())
    }

    async fn subscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<Subscription> {
        let honest = inner.subscribe(topic).await?;
        let (place, mut places) = mpsc::channel(CAPACITY);
        let own = Arc::as_ptr(inner) as usize;
        lock(&self.cluster.places).push((own, topic.to_owned(), place));
        Ok(rewrite(honest, move |event, ready| {
            let _ = places.try_recv();
            ready.push_back(event);
        }))
    }
}
