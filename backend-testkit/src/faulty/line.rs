//! One subscription on its way from the backend to its reader.
//!
//! Nothing runs by itself here: an event moves when its reader asks for it, and when an outage
//! begins or ends. So a message is visible as soon as it is without the wrapper, a slow reader
//! lags in the backend's own buffer, and dropping a subscription needs no runtime.
//!
//! An event goes through these places, in this order; each is empty unless something strikes:
//!
//! 1. `source`: the backend's subscription.
//! 2. `drained`: what had arrived when an outage began, and the gap of each outage. It comes before
//!    whatever the source still has.
//! 3. `waiting`: one event that a rule delays or holds; everything else stays behind it.
//! 4. `ready`: handed out next.

use std::collections::VecDeque;
use std::mem;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker, ready};

use backend_core::{Event, Gap, GapCause, MessageEnvelope, Subscription, TryRecvError};
use futures_core::Stream;
use tokio::time::Instant;

use super::gate::Pause;
use super::lock;
use super::recording::Record;
use super::script::{Counters, Fault};
use super::shared::Shared;
use super::{Fate, Operation};

/// The most that is kept of what had arrived when an outage began. Beyond it, it counts as lost
/// in the outage: a reader that stalls through outage after outage must not fill the memory.
const MOST_DRAINED: usize = 1 << 16;

pub(super) struct Line {
    number: u64,
    topic: Arc<str>,
    shared: Arc<Shared>,
    counters: Counters,
    /// Taken before the locks of the script and of the recorder, and after those of the link. The
    /// backend's stream is polled with it held.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// `None` once it has ended.
    source: Option<Subscription>,
    /// What comes out of the source now is lost in an outage.
    cut: bool,
    drained: VecDeque<Kept>,
    waiting: Option<(Pause, Event)>,
    /// Messages that a rule has lost since the last event, not told yet.
    lost: u64,
    /// Comes behind the next event.
    swapped: Option<Event>,
    ready: VecDeque<Kept>,
    /// The task that waits, to be woken when an outage begins or ends.
    waker: Option<Waker>,
}

/// An event that stays here after the backend has handed it out. The backend no longer looks at
/// its ttl, so that begins anew.
struct Kept {
    event: Event,
    /// `None` if it only passes through.
    since: Option<Instant>,
}

impl Kept {
    fn has_expired(&self) -> bool {
        let (Event::Message(envelope), Some(since)) = (&self.event, self.since) else {
            return false;
        };
        envelope.ttl().is_some_and(|ttl| !ttl.is_zero() && since.elapsed() >= ttl)
    }
}

impl Line {
    pub(super) fn new(
        number: u64,
        topic: Arc<str>,
        shared: Arc<Shared>,
        source: Subscription,
    ) -> Self {
        Self {
            number,
            topic,
            shared,
            counters: Counters::of_subscription(number),
            state: Mutex::new(State { source: Some(source), ..State::default() }),
        }
    }

    /// An outage begins. Gives the waker of a task that may have to look again.
    pub(super) fn cut(&self) -> Option<Waker> {
        let mut state = lock(&self.state);
        let since = Some(Instant::now());
        while state.drained.len() < MOST_DRAINED {
            let Some(event) = state.take_from_source() else { break };
            state.drained.push_back(Kept { event, since });
        }
        state.cut = true;
        state.waker.take()
    }

    /// An outage ends. What came during it is gone, and the stream goes on with a gap.
    pub(super) fn restore(&self) -> Option<Waker> {
        let mut state = lock(&self.state);
        for _ in 0..MOST_DRAINED {
            let Some(event) = state.take_from_source() else { break };
            self.cut_off(event);
        }
        state.cut = false;
        // Two outages with nothing between them leave one hole.
        let told = state.drained.back().is_some_and(
            |kept| matches!(&kept.event, Event::Gap(gap) if gap.cause == GapCause::Reconnected),
        );
        if state.source.is_some() && !told {
            self.shared.told.gaps.fetch_add(1, Ordering::Relaxed);
            state.drained.push_back(Kept { event: Event::Gap(Gap::reconnected()), since: None });
        }
        state.waker.take()
    }

    fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        let mut state = lock(&self.state);
        let polled = state.poll_next(self, cx);
        let waits = polled.is_pending() && !Subscription::is_peek(cx);
        let _outside_the_lock = if waits && !state.wakes(cx.waker()) {
            state.waker.replace(cx.waker().clone())
        } else {
            None
        };
        drop(state);
        polled
    }

    fn record(&self, operation: Operation, fate: Fate) -> Record {
        let mut record = Record::new(operation, fate).on(Arc::clone(&self.topic));
        record.subscription = Some(self.number);
        record
    }

    fn message(&self, envelope: &MessageEnvelope, fate: Fate) {
        self.shared.recorder.write(self.record(Operation::Receive, fate).of(envelope));
    }

    /// Notes what a reader is handed.
    fn handed(&self, event: &Event) {
        match event {
            Event::Message(envelope) => self.message(envelope, Fate::Passed),
            Event::Gap(gap) => {
                let mut record = self.record(Operation::Gap, Fate::Passed);
                record.gap = Some(*gap);
                self.shared.recorder.write(record);
            }
            _ => {}
        }
    }

    /// Notes an event that an outage has swallowed; a gap is covered by the outage's own.
    fn cut_off(&self, event: Event) {
        if let Event::Message(envelope) = event {
            self.message(&envelope, Fate::CutOff);
        }
    }

    /// Whether it has stayed here for longer than its ttl; that is counted.
    fn expired(&self, kept: &Kept) -> bool {
        let expired = kept.has_expired();
        if let (true, Event::Message(envelope)) = (expired, &kept.event) {
            self.shared.told.expired.fetch_add(1, Ordering::Relaxed);
            self.message(envelope, Fate::Expired);
        }
        expired
    }
}

impl State {
    /// An event that is there already.
    fn take_from_source(&mut self) -> Option<Event> {
        match self.source.as_mut()?.try_recv() {
            Ok(event) => Some(event),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Closed) => {
                self.source = None;
                None
            }
        }
    }

    fn wakes(&self, waker: &Waker) -> bool {
        self.waker.as_ref().is_some_and(|known| known.will_wake(waker))
    }

    fn poll_next(&mut self, line: &Line, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        loop {
            if let Some((pause, _)) = &mut self.waiting {
                ready!(pause.poll(cx));
                if let Some((_, event)) = self.waiting.take() {
                    self.hand_out(line, event);
                }
            }
            while let Some(kept) = self.ready.pop_front() {
                if !line.expired(&kept) {
                    line.handed(&kept.event);
                    return Poll::Ready(Some(kept.event));
                }
            }
            match self.poll_arrived(line, cx) {
                Poll::Ready(Some(Event::Message(envelope))) => self.strike(line, envelope),
                Poll::Ready(Some(event)) => self.hand_out(line, event),
                Poll::Ready(None) => {
                    self.tell_the_lost(line);
                    let last = self.swapped.take().map(|event| Kept { event, since: None });
                    self.ready.extend(last);
                    if self.ready.is_empty() {
                        line.shared.recorder.write(line.record(Operation::End, Fate::Passed));
                        return Poll::Ready(None);
                    }
                }
                Poll::Pending => {
                    self.tell_the_lost(line);
                    if self.ready.is_empty() {
                        return Poll::Pending;
                    }
                }
            }
        }
    }

    /// The next event that has arrived, before any rule has seen it.
    fn poll_arrived(&mut self, line: &Line, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        while let Some(kept) = self.drained.pop_front() {
            if !line.expired(&kept) {
                return Poll::Ready(Some(kept.event));
            }
        }
        loop {
            let Some(source) = &mut self.source else { return Poll::Ready(None) };
            match ready!(Pin::new(source).poll_next(cx)) {
                // It is polled in an outage, too: its end takes effect at once.
                Some(event) if self.cut => line.cut_off(event),
                Some(event) => return Poll::Ready(Some(event)),
                None => self.source = None,
            }
        }
    }

    /// Does to a message what the rules say.
    fn strike(&mut self, line: &Line, envelope: MessageEnvelope) {
        let fault = line.shared.script.message(&line.topic, &envelope, &line.counters);
        match fault {
            Some(Fault::Drop) => line.message(&envelope, Fate::Dropped),
            Some(Fault::Lose) => {
                line.message(&envelope, Fate::Lost);
                self.lost += 1;
            }
            Some(Fault::Wait(pause, fate)) => {
                line.message(&envelope, fate);
                self.waiting = Some((pause, Event::Message(envelope)));
            }
            Some(Fault::Duplicate) => {
                line.message(&envelope, Fate::Duplicated);
                let event = Event::Message(envelope);
                self.hand_out(line, event.clone());
                self.ready.push_back(Kept { event, since: Some(Instant::now()) });
            }
            Some(Fault::Swap) if self.swapped.is_none() => {
                line.message(&envelope, Fate::Swapped);
                self.swapped = Some(Event::Message(envelope));
            }
            // Of two in a row, the second is the next of the first. Calls alone can fail.
            Some(Fault::Swap | Fault::Fail(_) | Fault::SendAndFail(_)) | None => {
                self.hand_out(line, Event::Message(envelope));
            }
        }
    }

    /// Puts an event where it is handed out next, with what has to be told before and after it.
    fn hand_out(&mut self, line: &Line, event: Event) {
        self.tell_the_lost(line);
        self.ready.push_back(Kept { event, since: None });
        if let Some(event) = self.swapped.take() {
            self.ready.push_back(Kept { event, since: Some(Instant::now()) });
        }
    }

    fn tell_the_lost(&mut self, line: &Line) {
        let lost = mem::take(&mut self.lost);
        if lost > 0 {
            line.shared.told.gaps.fetch_add(1, Ordering::Relaxed);
            line.shared.told.missed.fetch_add(lost, Ordering::Relaxed);
            self.ready.push_back(Kept { event: Event::Gap(Gap::lagged(lost)), since: None });
        }
    }
}

/// What a reader has: the end of a line.
pub(super) struct Events(Arc<Line>);

impl Events {
    pub(super) fn of(line: Arc<Line>) -> Self {
        Self(line)
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.0.poll_next(cx)
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let line = &self.0;
        line.shared.forget(line.number);
        // Whoever begins or ends an outage at this moment may hold the line for a little longer;
        // what it has is released here and now (U4), and outside its lock.
        let _outside_the_lock = mem::take(&mut *lock(&line.state));
        line.shared.recorder.write(line.record(Operation::Release, Fate::Passed));
    }
}
