//! The ring: the newest envelopes of one topic, each kept until everybody has taken it.
//!
//! Step 3 of the data path. No lock and no waking here: a plain data structure that the
//! [topic](crate::topic) guards. **The overflow policy is [`Ring::drop_oldest`].** What a reader has
//! missed is always a stretch from its place up to the tail: the counting in
//! [`member`](crate::member) rests on that, so a policy that drops anything but the oldest changes
//! both.
//!
//! Every envelope has a *position*: 0, 1, 2 … for the life of the topic. The ring holds the
//! positions from `tail` up to, and not including, `head`.
//!
//! Invariants
//! 1. `head - tail` is at most the capacity.
//! 2. A slot holds its envelope exactly as long as `wanted_by > 0`: whoever takes it last carries
//!    it off, so what everybody has taken is released at once.
//! 3. The slot at `tail` holds an envelope, or the ring is empty.
//! 4. `noted` counts the slots that some reader may skip, or may get too late.

use std::collections::VecDeque;
use std::ops::Range;

use backend_core::MessageEnvelope;

use crate::batch::Batch;
use crate::expiry::Expiry;
use crate::member::MemberKey;

/// An empty ring keeps room for this many slots; a burst's larger buffer is given back.
const ROOM_KEPT: usize = 32;

#[derive(Debug)]
pub(crate) struct Ring {
    capacity: usize,
    tail: u64,
    slots: VecDeque<Slot>,
    /// How many slots are not plain. Mostly none, and then nobody looks for them.
    noted: usize,
}

#[derive(Debug)]
pub(crate) struct Slot {
    /// Who published it, if that endpoint subscribes to this topic too: its readers skip the slot.
    pub(crate) publisher: Option<MemberKey>,
    /// How many subscriptions have yet to take it.
    pub(crate) wanted_by: u32,
    /// When its ttl runs out.
    pub(crate) expires: Option<Expiry>,
    pub(crate) envelope: Option<MessageEnvelope>,
}

/// What a reader takes an envelope for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    HandOut,
    /// To leave without it.
    Forgo,
}

/// A slot that has left the ring.
#[derive(Debug)]
pub(crate) struct Released {
    pub(crate) position: u64,
    pub(crate) publisher: Option<MemberKey>,
    pub(crate) expires: Option<Expiry>,
    /// Still there if somebody wanted it: the caller drops it when no lock is held.
    pub(crate) envelope: Option<MessageEnvelope>,
}

impl Slot {
    const EMPTY: Self = Self { publisher: None, wanted_by: 0, expires: None, envelope: None };

    /// Whether it is for every reader, at any time.
    #[inline]
    fn is_plain(&self) -> bool {
        self.publisher.is_none() && self.expires.is_none()
    }

    /// For one of the subscriptions that want it; the last one gets the envelope itself.
    ///
    /// # Panics
    /// If nobody does, which would break invariant 2.
    #[inline]
    fn take(&mut self) -> MessageEnvelope {
        self.wanted_by -= 1;
        let envelope =
            if self.wanted_by == 0 { self.envelope.take() } else { self.envelope.clone() };
        envelope.expect("it is there as long as somebody wants it")
    }
}

impl Ring {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), tail: 0, slots: VecDeque::new(), noted: 0 }
    }

    /// The oldest position held.
    pub(crate) fn tail(&self) -> u64 {
        self.tail
    }

    /// The position of the next push.
    pub(crate) fn head(&self) -> u64 {
        self.tail + self.slots.len() as u64
    }

    /// Whether there is no room for another slot.
    pub(crate) fn is_full(&self) -> bool {
        self.slots.len() >= self.capacity
    }

    /// Appends a slot that somebody wants; after [`drop_oldest`](Self::drop_oldest), if the
    /// ring [`is_full`](Self::is_full).
    #[inline]
    pub(crate) fn push(&mut self, slot: Slot) {
        debug_assert!(slot.wanted_by > 0 && slot.envelope.is_some());
        debug_assert!(self.slots.len() < self.capacity);
        self.noted += usize::from(!slot.is_plain());
        // Field by field: as a whole it would be put together elsewhere and then copied, in wider
        // pieces than it was written in, and such a copy waits for all the stores before it.
        let Slot { publisher, wanted_by, expires, envelope } = slot;
        let place = self.slots.push_back_mut(Slot::EMPTY);
        place.publisher = publisher;
        place.wanted_by = wanted_by;
        place.expires = expires;
        place.envelope = envelope;
    }

    /// Before a push into a full ring: its oldest slot goes (clause L3). Readers that had not taken it
    /// notice that their position has fallen behind the tail.
    pub(crate) fn drop_oldest(&mut self) -> Option<Released> {
        self.pop()
    }

    /// Lets a reader pass over the slots from one position up to another; both are in the ring, or
    /// its head. Those that `own` published are none of its business: says how many there were. The
    /// others are taken.
    #[inline]
    pub(crate) fn take(
        &mut self,
        positions: Range<u64>,
        own: MemberKey,
        purpose: Purpose,
        batch: &mut Batch<'_>,
    ) -> u64 {
        // They are less than the capacity, which is a usize.
        let (from, to) =
            ((positions.start - self.tail) as usize, (positions.end - self.tail) as usize);
        let (first, second) = self.slots.as_mut_slices();
        let middle = first.len();
        let first = &mut first[from.min(middle)..to.min(middle)];
        let second = &mut second[from.saturating_sub(middle)..to.saturating_sub(middle)];
        match purpose {
            Purpose::HandOut if self.noted == 0 && batch.noted.is_empty() => {
                // As in `hand_out`, in one run.
                for slots in [first, second] {
                    batch.plain.extend(slots.iter_mut().map(Slot::take));
                }
                0
            }
            Purpose::HandOut => hand_out(first, own, batch) + hand_out(second, own, batch),
            Purpose::Forgo => forgo(first, own, batch) + forgo(second, own, batch),
        }
    }

    /// Lets the oldest slot go if everybody has taken it: its position, and who published it. Call
    /// until it gives `None`.
    #[inline]
    pub(crate) fn pop_taken(&mut self) -> Option<(u64, Option<MemberKey>)> {
        let Some(slot) = self.slots.pop_front_if(|slot| slot.wanted_by == 0) else {
            if self.slots.is_empty() && self.slots.capacity() > ROOM_KEPT {
                self.slots.shrink_to(ROOM_KEPT);
            }
            return None;
        };
        Some((self.go_on_behind(&slot), slot.publisher))
    }

    fn pop(&mut self) -> Option<Released> {
        let slot = self.slots.pop_front()?;
        let position = self.go_on_behind(&slot);
        let Slot { publisher, expires, envelope, .. } = slot;
        Some(Released { position, publisher, expires, envelope })
    }

    /// The oldest slot has gone: says which position it had.
    #[inline]
    fn go_on_behind(&mut self, slot: &Slot) -> u64 {
        self.noted -= usize::from(!slot.is_plain());
        self.tail += 1;
        self.tail - 1
    }
}

/// The innermost loops of the crate: once for each delivery, under the topic's lock. Plain envelopes
/// go in runs: a clone waits for all stores before it, and so there are none but what a vector of
/// known length needs.
fn hand_out(mut slots: &mut [Slot], own: MemberKey, batch: &mut Batch<'_>) -> u64 {
    let mut skipped = 0;
    while batch.noted.is_empty() && !slots.is_empty() {
        let is_own = |slot: &Slot| slot.publisher == Some(own);
        let run = slots.iter().take_while(|slot| !is_own(slot) && slot.expires.is_none()).count();
        let (plain, others) = slots.split_at_mut(run);
        batch.plain.extend(plain.iter_mut().map(Slot::take));
        let owns = others.iter().take_while(|slot| is_own(slot)).count();
        skipped += owns as u64;
        slots = &mut others[owns..];
        if run + owns == 0 {
            break;
        }
    }
    for slot in slots {
        if slot.publisher == Some(own) {
            skipped += 1;
        } else {
            batch.push_message(slot.take(), slot.expires);
        }
    }
    skipped
}

/// For a reader that leaves without them: gets what nobody else wants, to drop it.
fn forgo(slots: &mut [Slot], own: MemberKey, batch: &mut Batch<'_>) -> u64 {
    let mut skipped = 0;
    for slot in slots {
        if slot.publisher == Some(own) {
            skipped += 1;
        } else if slot.wanted_by == 1 {
            batch.plain.push(slot.take());
        } else {
            slot.wanted_by -= 1;
        }
    }
    skipped
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::batch::Noted;

    const NOBODY: MemberKey = MemberKey::at(0);

    fn slot(data: &'static str, wanted_by: u32) -> Slot {
        let envelope = Some(MessageEnvelope::new("t", data));
        Slot { publisher: None, wanted_by, expires: None, envelope }
    }

    fn take(ring: &mut Ring, position: u64) -> Option<MessageEnvelope> {
        let (mut plain, mut noted) = (Vec::new(), Noted::default());
        let batch = &mut Batch { plain: &mut plain, noted: &mut noted };
        ring.take(position..position + 1, NOBODY, Purpose::HandOut, batch);
        plain.pop()
    }

    fn push(ring: &mut Ring, slot: Slot) -> Option<MessageEnvelope> {
        let evicted = ring.is_full().then(|| ring.drop_oldest()).flatten();
        let evicted = evicted.and_then(|released| released.envelope);
        ring.push(slot);
        evicted
    }

    #[test]
    fn a_full_ring_drops_its_oldest() {
        let mut ring = Ring::new(2);
        assert!(push(&mut ring, slot("a", 1)).is_none());
        assert!(push(&mut ring, slot("b", 1)).is_none());
        let evicted = push(&mut ring, slot("c", 1)).expect("one had to go");
        assert_eq!(evicted.data(), "a");
        assert_eq!((ring.tail(), ring.head()), (1, 3));
    }

    #[test]
    fn whoever_takes_it_last_carries_it_off() {
        let mut ring = Ring::new(4);
        ring.push(slot("a", 2));
        assert!(take(&mut ring, 0).is_some());
        assert!(ring.pop_taken().is_none(), "one reader still wants it");
        assert!(take(&mut ring, 0).is_some());
        assert_eq!(ring.pop_taken(), Some((0, None)), "everybody has it");
        assert_eq!((ring.tail(), ring.head()), (1, 1));
    }

    #[test]
    fn a_slot_waits_for_the_older_one_but_its_envelope_is_gone() {
        let mut ring = Ring::new(4);
        ring.push(slot("a", 1));
        ring.push(slot("b", 1));
        assert!(take(&mut ring, 1).is_some());
        assert!(ring.pop_taken().is_none());
        assert!(ring.slots[1].envelope.is_none());
    }

    #[test]
    fn an_empty_ring_gives_back_the_room_of_a_burst() {
        let mut ring = Ring::new(10_000);
        for _ in 0..10_000 {
            ring.push(slot("a", 1));
        }
        for position in 0..10_000 {
            take(&mut ring, position);
        }
        while ring.pop_taken().is_some() {}
        assert!(ring.slots.capacity() <= 2 * ROOM_KEPT, "{}", ring.slots.capacity());
    }

    #[test]
    fn a_slot_is_noted_as_long_as_it_is_there() {
        let own = Some(MemberKey::at(1));
        let expires = Expiry::of(&MessageEnvelope::new("t", "x").with_ttl(Duration::from_secs(60)));
        let mut ring = Ring::new(2);
        push(&mut ring, Slot { publisher: own, ..slot("a", 1) });
        push(&mut ring, Slot { expires, ..slot("b", 1) });
        assert_eq!(ring.noted, 2);
        push(&mut ring, slot("c", 1));
        assert_eq!(ring.noted, 1, "the first had to go");
        take(&mut ring, 1);
        assert!(ring.pop_taken().is_some());
        assert_eq!(ring.noted, 0, "the second has been taken");
    }

    #[test]
    fn a_slot_takes_little_room() {
        assert_eq!(size_of::<Slot>(), 24);
    }

    #[test]
    fn a_capacity_of_zero_counts_as_one() {
        let mut ring = Ring::new(0);
        assert!(push(&mut ring, slot("a", 1)).is_none());
        assert!(push(&mut ring, slot("b", 1)).is_some());
    }
}
