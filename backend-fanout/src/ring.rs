//! The ring: the newest envelopes of one topic, each kept until everybody has taken it.
//!
//! Step 3 of the data path. No lock and no waking here: a plain data structure that the
//! [topic](crate::topic) guards. **The overflow policy lives in [`Ring::push`].** What a reader has
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

use std::collections::VecDeque;
use std::time::Instant;

use backend_core::MessageEnvelope;

use crate::member::MemberKey;

/// An empty ring keeps room for this many slots; a burst's larger buffer is given back.
const ROOM_KEPT: usize = 32;

#[derive(Debug)]
pub(crate) struct Ring {
    capacity: usize,
    tail: u64,
    slots: VecDeque<Slot>,
}

#[derive(Debug)]
pub(crate) struct Slot {
    /// Who published it, if that endpoint subscribes to this topic too: its readers skip the slot.
    pub(crate) publisher: Option<MemberKey>,
    /// How many subscriptions have yet to take it.
    pub(crate) wanted_by: u32,
    /// When its ttl runs out.
    pub(crate) expires: Option<Instant>,
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
    pub(crate) expires: Option<Instant>,
    /// Still there if somebody wanted it: the caller drops it when no lock is held.
    pub(crate) envelope: Option<MessageEnvelope>,
}

impl Slot {
    /// One subscription less wants it: gives that one its envelope, or whoever is the last one. A
    /// reader that forgoes it gets it only if nobody else wants it, to drop it.
    #[inline]
    pub(crate) fn take(&mut self, purpose: Purpose) -> Option<MessageEnvelope> {
        debug_assert!(self.wanted_by > 0, "taken more often than wanted");
        self.wanted_by = self.wanted_by.saturating_sub(1);
        match (self.wanted_by, purpose) {
            (0, _) => self.envelope.take(),
            (_, Purpose::HandOut) => self.envelope.clone(),
            (_, Purpose::Forgo) => None,
        }
    }
}

impl Ring {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), tail: 0, slots: VecDeque::new() }
    }

    /// The oldest position held.
    pub(crate) fn tail(&self) -> u64 {
        self.tail
    }

    /// The position of the next push.
    pub(crate) fn head(&self) -> u64 {
        self.tail + self.slots.len() as u64
    }

    /// Appends a slot that somebody wants, and gives back what had to go for it.
    ///
    /// A full ring drops its oldest slot (clause L3). Readers that had not taken it notice that
    /// their position has fallen behind the tail.
    pub(crate) fn push(&mut self, slot: Slot) -> Option<Released> {
        debug_assert!(slot.wanted_by > 0 && slot.envelope.is_some());
        let evicted = if self.slots.len() == self.capacity { self.pop() } else { None };
        self.slots.push_back(slot);
        evicted
    }

    /// The slots from one position up to another. Both are in the ring, or its head.
    pub(crate) fn range_mut(&mut self, from: u64, to: u64) -> impl Iterator<Item = &mut Slot> {
        let (from, to) = (from - self.tail, to - self.tail);
        // They are less than the capacity, which is a usize.
        self.slots.range_mut(from as usize..to as usize)
    }

    /// Lets the oldest slots go that everybody has taken; call until it gives `None`.
    pub(crate) fn pop_taken(&mut self) -> Option<Released> {
        match self.slots.front() {
            Some(slot) if slot.wanted_by == 0 => self.pop(),
            Some(_) => None,
            None => {
                self.slots.shrink_to(ROOM_KEPT);
                None
            }
        }
    }

    fn pop(&mut self) -> Option<Released> {
        let Slot { publisher, expires, envelope, .. } = self.slots.pop_front()?;
        let position = self.tail;
        self.tail += 1;
        Some(Released { position, publisher, expires, envelope })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(data: &'static str, wanted_by: u32) -> Slot {
        let envelope = Some(MessageEnvelope::new("t", data));
        Slot { publisher: None, wanted_by, expires: None, envelope }
    }

    fn take(ring: &mut Ring, position: u64) -> Option<MessageEnvelope> {
        let mut slots = ring.range_mut(position, position + 1);
        slots.next().and_then(|slot| slot.take(Purpose::HandOut))
    }

    fn data(released: Option<Released>) -> Option<MessageEnvelope> {
        released.and_then(|slot| slot.envelope)
    }

    #[test]
    fn a_full_ring_drops_its_oldest() {
        let mut ring = Ring::new(2);
        assert!(ring.push(slot("a", 1)).is_none());
        assert!(ring.push(slot("b", 1)).is_none());
        let evicted = data(ring.push(slot("c", 1))).expect("one had to go");
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
        let released = ring.pop_taken().expect("everybody has it");
        assert!(released.envelope.is_none());
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
    fn a_capacity_of_zero_counts_as_one() {
        let mut ring = Ring::new(0);
        assert!(ring.push(slot("a", 1)).is_none());
        assert!(ring.push(slot("b", 1)).is_some());
    }
}
