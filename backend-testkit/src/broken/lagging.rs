//! Faults of readers that wait, and of readers that lag: wake-ups that are lost, and gaps that are
//! wrong in special company.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use backend_core::{Backend, Event, Gap, GapCause, Result, Subscription};
use backend_memory::MemoryBackend;
use futures_core::Stream;

use super::Specimen;
use super::twist::{Twist, twisted};

pub(super) const SPECIMENS: &[Specimen] = &[
    Specimen::new(
        "wakes_a_hundred_times",
        "After its hundredth message, a reader that waits is not woken any more.",
        "wake::again_and_again",
        |deadline| twisted(deadline, |_| Lagging::new(Fault::WakesAHundredTimes)),
    ),
    Specimen::new(
        "wakes_no_more_after_an_overflow",
        "A reader that has overflowed is not woken any more.",
        "wake::after_an_overflow",
        |deadline| twisted(deadline, |_| Lagging::new(Fault::WakesNoMoreAfter(GapCause::Lagged))),
    ),
    Specimen::new(
        "wakes_no_more_after_an_outage",
        "A reader that has read the gap of an outage is not woken any more.",
        "wake::after_an_outage",
        |deadline| {
            twisted(deadline, |_| Lagging::new(Fault::WakesNoMoreAfter(GapCause::Reconnected)))
        },
    ),
    Specimen::new(
        "wakes_the_first_eight",
        "Of an instance's subscriptions, the first eight are woken.",
        "wake::every_one_of_many",
        |deadline| twisted(deadline, |_| Lagging::new(Fault::WakesTheFirst(8))),
    ),
    Specimen::new(
        "wakes_thirty_at_the_end",
        "Of an instance's subscriptions, the first thirty are woken.",
        "wake::by_unsubscribing_many",
        |deadline| twisted(deadline, |_| Lagging::new(Fault::WakesTheFirst(30))),
    ),
    Specimen::new(
        "wakes_ninety_at_the_end",
        "Of an instance's subscriptions, the first ninety are woken.",
        "wake::by_closing_many",
        |deadline| twisted(deadline, |_| Lagging::new(Fault::WakesTheFirst(90))),
    ),
    Specimen::new(
        "counts_in_a_byte",
        "A gap counts up to 255.",
        "gaps::large_losses_are_counted",
        |deadline| twisted(deadline, |_| Lagging::new(Fault::CountsUpTo(255))),
    ),
    Specimen::new(
        "counts_in_two_bytes",
        "A gap counts up to 65,535.",
        "gaps::large_losses_are_counted",
        // A check takes a part of the deadline at most for so many.
        |deadline| twisted(deadline * 20, |_| Lagging::new(Fault::CountsUpTo(65_535))),
    ),
    Specimen::new(
        "every_gap_is_an_outage_after_one",
        "After an outage, a gap of an overflow says Reconnected, too.",
        "gaps::an_overflow_after_an_outage_is_a_lag",
        |deadline| twisted(deadline, |_| Lagging::new(Fault::RemembersTheOutage)),
    ),
    Specimen::new(
        "no_gap_at_the_end",
        "A stream that was ended does not tell of what it has lost before.",
        "gaps::told_before_the_end",
        |deadline| twisted(deadline, |_| Lagging::new(Fault::NoGapAtTheEnd)),
    ),
    Specimen::new(
        "gives_up_on_the_slow",
        "A subscription that has lagged twice is ended.",
        "gaps::many_episodes_are_survived",
        |deadline| twisted(deadline, |_| Lagging::new(Fault::EndsAfter(1))),
    ),
];

#[derive(Clone, Copy)]
enum Fault {
    WakesAHundredTimes,
    WakesNoMoreAfter(GapCause),
    WakesTheFirst(usize),
    CountsUpTo(u64),
    RemembersTheOutage,
    NoGapAtTheEnd,
    EndsAfter(usize),
}

struct Lagging {
    fault: Fault,
    made: AtomicUsize,
    ended: Arc<AtomicBool>,
}

impl Lagging {
    fn new(fault: Fault) -> Self {
        Self { fault, made: AtomicUsize::new(0), ended: Arc::default() }
    }
}

#[async_trait]
impl Twist for Lagging {
    async fn subscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<Subscription> {
        let honest = inner.subscribe(topic).await?;
        let lagging = Lag {
            honest,
            fault: self.fault,
            number: self.made.fetch_add(1, Ordering::Relaxed),
            messages: 0,
            gaps: Vec::new(),
            ended: Arc::clone(&self.ended),
        };
        Ok(Subscription::new(topic, lagging))
    }

    async fn unsubscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<()> {
        self.ended.store(true, Ordering::Relaxed);
        inner.unsubscribe(topic).await
    }

    async fn close(&self, inner: &Arc<MemoryBackend>) -> Result<()> {
        self.ended.store(true, Ordering::Relaxed);
        inner.close().await
    }
}

struct Lag {
    honest: Subscription,
    fault: Fault,
    /// Which of its instance it is.
    number: usize,
    messages: usize,
    gaps: Vec<GapCause>,
    /// Whether something of its instance was unsubscribed or closed.
    ended: Arc<AtomicBool>,
}

impl Lag {
    fn wakes(&self) -> bool {
        match self.fault {
            Fault::WakesAHundredTimes => self.messages < 100,
            Fault::WakesNoMoreAfter(cause) => !self.gaps.contains(&cause),
            Fault::WakesTheFirst(most) => self.number < most,
            _ => true,
        }
    }

    /// The gap as it is told, if it is.
    fn told(&self, gap: Gap) -> Option<Gap> {
        match self.fault {
            Fault::CountsUpTo(most) => {
                Some(Gap::new(gap.cause, gap.missed.map(|missed| missed & most)))
            }
            Fault::RemembersTheOutage if self.gaps.contains(&GapCause::Reconnected) => {
                Some(Gap::new(GapCause::Reconnected, gap.missed))
            }
            Fault::NoGapAtTheEnd if self.ended.load(Ordering::Relaxed) => None,
            _ => Some(gap),
        }
    }
}

impl Stream for Lag {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        loop {
            if matches!(self.fault, Fault::EndsAfter(most) if self.gaps.len() > most) {
                return Poll::Ready(None);
            }
            let mut deaf = Context::from_waker(Waker::noop());
            let cx = if self.wakes() { &mut *cx } else { &mut deaf };
            match std::task::ready!(Pin::new(&mut self.honest).poll_next(cx)) {
                Some(Event::Gap(gap)) => {
                    let told = self.told(gap);
                    self.gaps.push(gap.cause);
                    if let Some(gap) = told {
                        return Poll::Ready(Some(Event::Gap(gap)));
                    }
                }
                other => {
                    self.messages += 1;
                    return Poll::Ready(other);
                }
            }
        }
    }
}
