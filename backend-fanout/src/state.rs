//! What there is of one topic: its ring, its members, and the readers that wait. Guarded by the
//! [topic](crate::topic)'s lock, and nothing of it locks or wakes.
//!
//! Invariants
//! 1. A slot's `wanted_by` starts at the number of live subscriptions less the publisher's own: a
//!    publish that nobody wants stores nothing.
//! 2. A reader has at most one waker parked.

use std::mem;
use std::task::Waker;

use backend_core::{Gap, MessageEnvelope};
use slab::Slab;

use crate::batch::Batch;
use crate::expiry::Expiry;
use crate::member::{Cursor, EndpointId, MemberKey};
use crate::members::Members;
use crate::ring::{Purpose, Released, Ring, Slot};
use crate::wakers::Wakers;

/// However few wait, there is room for so many.
const ROOM_KEPT: usize = 64;

pub(crate) struct State {
    pub(crate) ring: Ring,
    pub(crate) members: Members,
    /// Where a seat says; whoever waits longest is woken first, most of the time.
    pub(crate) parked: Slab<Parked>,
    next_reader: u64,
}

pub(crate) struct Parked {
    reader: u64,
    member: MemberKey,
    pub(crate) waker: Waker,
}

impl Parked {
    /// A clone of the waker, which is code of the user: made with no lock held.
    #[inline]
    pub(crate) fn new(seat: &Seat, waker: &Waker) -> Self {
        Self { reader: seat.reader, member: seat.cursor.member, waker: waker.clone() }
    }
}

/// One subscription, as its topic knows it.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) cursor: Cursor,
    reader: u64,
    /// Where its waker was parked last; somebody else's may be there by now.
    parked_at: usize,
    /// The topic's `changes` when there was nothing more to read, and more may come; else 0, which
    /// they never are.
    pub(crate) exhausted_at: u64,
}

/// Who publishes, as the topic knows it.
#[derive(Clone, Copy)]
pub(crate) struct From {
    /// If it subscribes here, too.
    member: Option<MemberKey>,
    /// How many subscriptions are not its own.
    pub(crate) wanted_by: u32,
}

impl State {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            ring: Ring::new(capacity),
            members: Members::new(),
            parked: Slab::new(),
            next_reader: 0,
        }
    }

    /// Adds a subscription of `endpoint`, behind everything published so far.
    pub(crate) fn join(&mut self, endpoint: EndpointId) -> Seat {
        let head = self.ring.head();
        self.next_reader += 1;
        let (key, member) = self.members.join(endpoint, head);
        let cursor = member.add_subscription(key, head);
        Seat { cursor, reader: self.next_reader, parked_at: 0, exhausted_at: 0 }
    }

    /// Who publishes. `None`: it is suspended.
    #[inline]
    pub(crate) fn publisher(&self, endpoint: EndpointId) -> Option<From> {
        let member = self.members.find(endpoint);
        let own = match member.map(|key| &self.members[key]) {
            Some(member) if !member.is_live() => return None,
            Some(member) => member.subscriptions,
            None => 0,
        };
        Some(From { member, wanted_by: self.members.live() - own })
    }

    /// Appends an envelope that somebody wants, and gives back the one that had to go for it.
    // Wherever it is called, so that a slot is never put together before it is in its place.
    #[inline(always)]
    pub(crate) fn push(
        &mut self,
        from: From,
        envelope: MessageEnvelope,
        expires: Option<Expiry>,
    ) -> Option<MessageEnvelope> {
        if let Some(key) = from.member {
            self.members[key].count_own_stored();
        }
        let evicted = if self.ring.is_full() { self.evict() } else { None };
        let From { member: publisher, wanted_by } = from;
        self.ring.push(Slot { publisher, wanted_by, expires, envelope: Some(envelope) });
        evicted
    }

    /// Takes out the wakers of those who are to have what was just published, if anybody waits.
    #[inline]
    pub(crate) fn take_wakers_but(&mut self, from: From) -> Option<Wakers> {
        if self.parked.is_empty() {
            return None;
        }
        let is_theirs =
            |members: &Members, member| Some(member) != from.member && members[member].is_live();
        Some(self.take_wakers(is_theirs))
    }

    /// Moves what the cursor can see into `batch`, up to `most` envelopes. Says whether that was all.
    pub(crate) fn fetch(
        &mut self,
        cursor: &mut Cursor,
        most: usize,
        purpose: Purpose,
        batch: &mut Batch<'_>,
    ) -> bool {
        let Self { ring, members, .. } = self;
        let member = &mut members[cursor.member];
        let end = member.visible_end(ring.head());
        let lost_before = member.lost_before(ring.head(), ring.tail());
        let mut passed = 0;
        let exhausted = loop {
            let stop = match cursor.pass_mark(member, end) {
                Ok(gaps) => {
                    gaps.into_iter().flatten().for_each(|gap| batch.push_gap(gap));
                    continue;
                }
                Err(stop) => stop,
            };
            if cursor.position < lost_before {
                let missed = cursor.fall_forward(member, lost_before);
                if missed > 0 {
                    batch.push_gap(Gap::lagged(missed));
                }
                continue;
            }
            if cursor.position >= stop {
                break true;
            }
            if passed >= most {
                break false;
            }
            let up_to = stop.min(cursor.position.saturating_add((most - passed) as u64));
            while cursor.position < up_to.min(ring.tail()) {
                match member.take_kept(cursor.position) {
                    Some((envelope, expires)) => {
                        passed += 1;
                        batch.push_message(envelope, expires);
                    }
                    None => cursor.skipped += 1,
                }
                cursor.position += 1;
            }
            // What an ended member can see may lie before the ring, all of it.
            let in_ring = cursor.position.max(ring.tail());
            let positions = in_ring..up_to.max(in_ring);
            let found = (positions.end - positions.start) as usize;
            let own = ring.take(positions, cursor.member, purpose, batch);
            cursor.skipped += own;
            passed += found - own as usize;
            cursor.position = up_to;
        };
        self.let_go_taken();
        exhausted
    }

    /// The oldest has to go for the next one: those who have ended keep it, if they had accepted it.
    #[cold]
    fn evict(&mut self) -> Option<MessageEnvelope> {
        let Released { position, publisher, expires, envelope } = self.ring.drop_oldest()?;
        if let Some(envelope) = envelope.as_ref().filter(|_| self.members.any_ended()) {
            for (key, member) in self.members.iter_mut() {
                if publisher != Some(key) {
                    member.keep(position, envelope, expires);
                }
            }
        }
        self.count_released(position, publisher);
        self.let_go_taken();
        envelope
    }

    /// Lets go what everybody has taken. It holds no envelope any more: nothing is dropped here.
    #[inline]
    fn let_go_taken(&mut self) {
        while let Some((position, publisher)) = self.ring.pop_taken() {
            self.count_released(position, publisher);
        }
    }

    #[inline]
    fn count_released(&mut self, position: u64, publisher: Option<MemberKey>) {
        if let Some(member) = publisher.and_then(|key| self.members.get_mut(key)) {
            member.count_own_released(position);
        }
    }

    /// The waker that a subscription waits with.
    pub(crate) fn parked(&mut self, seat: &Seat) -> Option<&mut Parked> {
        self.parked.get_mut(seat.parked_at).filter(|parked| parked.reader == seat.reader)
    }

    /// Parks a waker, and gives back the one that it replaces.
    #[must_use = "a waker is dropped when no lock is held"]
    pub(crate) fn park(&mut self, seat: &mut Seat, parked: Parked) -> Option<Parked> {
        match self.parked(seat) {
            Some(replaced) => Some(mem::replace(replaced, parked)),
            None => {
                self.give_back_room();
                seat.parked_at = self.parked.insert(parked);
                None
            }
        }
    }

    /// Takes out the waker that a subscription waits with.
    pub(crate) fn take_parked(&mut self, seat: &Seat) -> Option<Parked> {
        let is_parked = self.parked(seat).is_some();
        let parked = is_parked.then(|| self.parked.remove(seat.parked_at));
        self.give_back_room();
        parked
    }

    /// After a crowd has gone, as far as nobody waits behind it. Not after it was woken: it comes
    /// back.
    #[inline]
    fn give_back_room(&mut self) {
        let room = self.parked.capacity();
        let is_crowd = |count| count >= room / 8;
        if room > ROOM_KEPT
            && !is_crowd(self.parked.len())
            && !is_crowd(self.members.live() as usize)
        {
            self.parked.shrink_to_fit();
        }
    }

    /// Takes out the wakers of those that wait, and are of these members: mostly there is one.
    pub(crate) fn take_wakers(&mut self, of: impl Fn(&Members, MemberKey) -> bool) -> Wakers {
        let Self { parked, members, .. } = self;
        let is_theirs = |(_, parked): &(usize, &Parked)| of(members, parked.member);
        let Some((at, _)) = parked.iter().find(is_theirs) else { return Wakers::default() };
        let first = Some(parked.remove(at).waker);
        if parked.is_empty() {
            return Wakers::new(first, Vec::new());
        }
        if parked.iter().all(|parked| is_theirs(&parked)) {
            return Wakers::new(first, parked.drain().map(|parked| parked.waker).collect());
        }
        let theirs: Vec<_> = parked.iter().filter(is_theirs).map(|(at, _)| at).collect();
        Wakers::new(first, theirs.into_iter().map(|at| parked.remove(at).waker).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_that_waited_leaves_no_room_behind() {
        let mut state = State::new(1);
        let mut seats: Vec<_> = (0..10_000).map(|_| state.join(0)).collect();
        let park = |state: &mut State, seat: &mut Seat| {
            let parked = Parked::new(seat, Waker::noop());
            assert!(state.park(seat, parked).is_none());
        };
        for seat in &mut seats {
            park(&mut state, seat);
        }
        let mut stays = seats.swap_remove(0);
        let leave = |state: &mut State, seat: Seat| {
            assert!(state.take_parked(&seat).is_some());
            state.members.leave(seat.cursor.member);
        };
        let mut last = seats.pop().expect("it has just been there");
        seats.into_iter().for_each(|seat| leave(&mut state, seat));
        assert!(state.parked(&stays).is_some() && state.parked(&last).is_some());

        // Its place is the last: as long as it waits, there must be room up to that.
        assert_eq!(state.take_wakers(|_, _| true).count(), 2);
        for seat in [&mut stays, &mut last] {
            park(&mut state, seat);
        }
        assert!(state.parked.capacity() <= ROOM_KEPT, "{}", state.parked.capacity());
        leave(&mut state, last);
        assert!(state.parked(&stays).is_some());
    }
}
