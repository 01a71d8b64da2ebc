//! A subscription's own end: its batch, its ttl, its waker.
//!
//! Step 5 of the data path, the last one. A reader takes its topic's lock once per batch and hands
//! the batch out one by one. It belongs to its subscription alone, so nothing here is shared.
//!
//! A peek leaves the waker parked that a task waits with.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use backend_core::{Event, Ready, Source, Subscription};

use crate::batch::{Batch, Item, Noted};
use crate::endpoint::Local;
use crate::state::Seat;
use crate::topic::{Fetched, Topic};

pub(crate) struct Reader {
    pub(crate) local: Arc<Local>,
    pub(crate) topic: Arc<Topic>,
    pub(crate) seat: Seat,
    /// What comes behind that which the subscription has in its hands.
    pub(crate) noted: Noted,
}

impl Reader {
    /// Fetches the next batch, or parks the waker.
    fn fetch(&mut self, cx: &Context<'_>, ready: &mut Ready) -> Fetched {
        let Self { topic, seat, noted, local, .. } = self;
        let is_peek = Subscription::is_peek(cx);
        let is_exhausted = topic.is_exhausted(seat);
        if is_peek && is_exhausted {
            return Fetched::Nothing;
        }
        ready.fill(|plain| {
            let batch = &mut Batch { plain, noted };
            let mut fetched = Fetched::Nothing;
            if !is_exhausted {
                fetched = topic.read(seat, cx.waker(), batch);
            }
            if fetched == Fetched::Nothing && !is_peek {
                fetched = topic.read_or_park(seat, cx.waker(), batch);
            }
            if fetched == Fetched::Some {
                local.counters.received(batch.messages());
            }
            fetched
        })
    }

    /// The event to hand out for an item; `None` for an envelope whose ttl has run out (T2).
    fn hand_out(&self, item: Item) -> Option<Event> {
        match item {
            Item::Message(_, Some(expires)) if expires.has_passed() => {
                self.local.counters.expired();
                None
            }
            Item::Message(envelope, _) => Some(Event::Message(envelope)),
            Item::Gap(gap) => {
                self.local.counters.gap(gap.missed);
                Some(Event::Gap(gap))
            }
        }
    }
}

impl Source for Reader {
    fn poll_events(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        behind: &mut Ready,
    ) -> Poll<Option<Event>> {
        loop {
            while let Some(item) = self.noted.pop() {
                if let Some(event) = self.hand_out(item) {
                    return Poll::Ready(Some(event));
                }
            }
            match self.fetch(cx, behind) {
                Fetched::Some => {
                    if let Some(envelope) = behind.pop() {
                        return Poll::Ready(Some(Event::Message(envelope)));
                    }
                }
                Fetched::Nothing | Fetched::Parked => return Poll::Pending,
                Fetched::Ended => return Poll::Ready(None),
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let left = self.topic.leave(&mut self.seat);
        if left.was_open {
            self.local.counters.ended(1);
        }
        if left.endpoint_gone {
            let forgotten = self.local.forget(&self.topic);
            self.local.directory.retire(&self.topic);
            if forgotten {
                self.local.released(&self.topic.name);
            }
        }
    }
}
