//! One topic: who does what to its [state](crate::state), under one lock.
//!
//! Steps 2 and 4 of the data path: a publish comes in here, a reader fetches its next batch here.
//!
//! `state` guards everything of the topic and nothing else; it is the innermost lock of this
//! crate, taken after an endpoint's and the directory's. No code of a user runs under it: wakers
//! are woken, and envelopes and wakers dropped, by the caller after it is released. Hence the
//! `#[must_use]` leftovers that the methods give back.
//!
//! A reader that looks without waiting, and has read all there was, takes no lock: `changes` tells
//! it that nothing has come since.
//!
//! Invariants
//! 1. A reader parks under the same lock acquisition in which it found nothing to read, and
//!    whoever changes that takes its waker under the lock: no wake-up is lost.
//! 2. Whatever gives a reader something to read, or ends it, changes `changes` under the lock. So if
//!    it is what it was when a reader had read all, and had not ended, then nothing is there.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::task::Waker;

use backend_core::{Error, Gap, MessageEnvelope, Result};

use crate::batch::{BATCH, Batch, Noted};
use crate::expiry::{self, Expiry};
use crate::member::{EndpointId, Member};
use crate::members::Gone;
use crate::ring::Purpose;
use crate::state::{Parked, Seat, State};
use crate::sync::{AtomicU64, Mutex, Ordering, lock};
use crate::wakers::Wakers;

/// How many envelopes of a dropped subscription's backlog are let go at a time.
const PORTION: usize = 1024;

pub(crate) struct Topic {
    pub(crate) name: Arc<str>,
    /// How often something was put where readers find it, counted from 1. Written under the lock,
    /// released there and acquired by who only looks whether there is anything new.
    changes: AtomicU64,
    state: Mutex<State>,
}

/// What [`Topic::read`] came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fetched {
    /// The batch has something.
    Some,
    /// Nothing yet, and this very waker is parked already.
    Parked,
    /// Nothing yet; park with [`Topic::read_or_park`].
    Nothing,
    /// Nothing will come any more.
    Ended,
}

/// What is left of a member when one of its subscriptions has gone.
pub(crate) struct Left {
    /// The subscription had not been ended before by unsubscribe or close.
    pub(crate) was_open: bool,
    /// It was the endpoint's last open one on this topic.
    pub(crate) endpoint_gone: bool,
    /// Code of users: dropped last of all, when no lock is held and all books are kept.
    _leftovers: (Vec<MessageEnvelope>, Noted, Option<Parked>, Option<Member>),
}

/// By its name alone: its lock is not held while somebody formats.
impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Topic").field(&self.name).finish()
    }
}

impl Topic {
    pub(crate) fn new(name: &str, capacity: usize) -> Self {
        Self {
            name: Arc::from(name),
            changes: AtomicU64::new(1),
            state: Mutex::new(State::new(capacity)),
        }
    }

    /// Hands an envelope to everybody but the publisher. The topic is let go before anybody is woken.
    pub(crate) fn publish(
        found: impl Deref<Target = Self>,
        publisher: EndpointId,
        envelope: MessageEnvelope,
    ) -> Result<()> {
        let expires = Expiry::of(&envelope);
        let _evicted;
        let wakers = {
            // In here, so that all locks are released at the end of it, whichever that is.
            let found = found;
            let topic = &*found;
            let mut state = lock(&topic.state);
            let from = state.publisher(publisher).ok_or_else(|| Error::unavailable(SUSPENDED))?;
            if from.wanted_by == 0 {
                return Ok(());
            }
            _evicted = state.push(from, envelope, expires);
            topic.changed(&state);
            state.take_wakers_but(from)
        };
        if let Some(wakers) = wakers {
            wakers.wake();
        }
        Ok(())
    }

    /// The same with several, in this order: one lock, and one wake-up for each reader.
    pub(crate) fn publish_all(
        found: impl Deref<Target = Self>,
        publisher: EndpointId,
        envelopes: &mut Vec<MessageEnvelope>,
    ) -> Result<()> {
        // Their ttl counts from here; whoever sets none is spared the clock.
        let now = envelopes.iter().any(|one| one.ttl().is_some()).then(expiry::now);
        let mut evicted = Vec::new();
        // Step by step as above: by a function that both give a closure to, a publish of one takes nine
        // instructions more.
        let wakers = {
            let found = found;
            let topic = &*found;
            let mut state = lock(&topic.state);
            let from = state.publisher(publisher).ok_or_else(|| Error::unavailable(SUSPENDED))?;
            if from.wanted_by == 0 {
                None
            } else {
                for envelope in envelopes.drain(..) {
                    let expires = now.and_then(|now| Expiry::after(now, envelope.ttl()?));
                    evicted.extend(state.push(from, envelope, expires));
                }
                topic.changed(&state);
                state.take_wakers_but(from)
            }
        };
        // Nobody wants what is still there.
        envelopes.clear();
        if let Some(wakers) = wakers {
            wakers.wake();
        }
        Ok(())
    }

    /// Adds a subscription of `endpoint`, behind everything published so far.
    pub(crate) fn join(&self, endpoint: EndpointId) -> Seat {
        lock(&self.state).join(endpoint)
    }

    /// Something is where readers find it. With the lock held, hence the state.
    fn changed(&self, _: &State) {
        // Relaxed: it changes under the lock. Release: see `changes`.
        self.changes.store(self.changes.load(Ordering::Relaxed) + 1, Ordering::Release);
    }

    /// Whether nothing has changed since a subscription had read all there was. Takes no lock: it may
    /// be otherwise by now, but not if it was before.
    #[inline]
    pub(crate) fn is_exhausted(&self, seat: &Seat) -> bool {
        seat.exhausted_at == self.changes.load(Ordering::Acquire)
    }

    /// Carries off the next events of a subscription. `waker` is only looked at.
    pub(crate) fn read(&self, seat: &mut Seat, waker: &Waker, batch: &mut Batch<'_>) -> Fetched {
        self.read_locked(&mut lock(&self.state), seat, waker, batch)
    }

    fn read_locked(
        &self,
        state: &mut State,
        seat: &mut Seat,
        waker: &Waker,
        batch: &mut Batch<'_>,
    ) -> Fetched {
        // Looked at again with the lock held, where it stays so: a reader that comes to park has mostly
        // read all there is.
        if !self.is_exhausted(seat) {
            let exhausted = state.fetch(&mut seat.cursor, BATCH, Purpose::HandOut, batch);
            let may_get_more = !state.members[seat.cursor.member].has_ended();
            seat.exhausted_at = if exhausted && may_get_more {
                // Relaxed: it changes under the lock.
                self.changes.load(Ordering::Relaxed)
            } else {
                0
            };
            if !batch.is_empty() {
                return Fetched::Some;
            }
            if !may_get_more {
                return Fetched::Ended;
            }
        }
        match state.parked(seat) {
            Some(parked) if parked.waker.will_wake(waker) => Fetched::Parked,
            _ => Fetched::Nothing,
        }
    }

    /// As [`read`](Self::read), and parks a clone of the waker if there is still nothing.
    pub(crate) fn read_or_park(
        &self,
        seat: &mut Seat,
        waker: &Waker,
        batch: &mut Batch<'_>,
    ) -> Fetched {
        let parked = Parked::new(seat, waker);
        let _replaced = {
            let mut state = lock(&self.state);
            match self.read_locked(&mut state, seat, &parked.waker, batch) {
                Fetched::Nothing => state.park(seat, parked),
                fetched => return fetched,
            }
        };
        Fetched::Parked
    }

    /// Takes a subscription out, with what it had not read and its waker.
    pub(crate) fn leave(&self, seat: &mut Seat) -> Left {
        let (mut plain, mut noted) = (Vec::new(), Noted::default());
        let unread = &mut Batch { plain: &mut plain, noted: &mut noted };
        // A long backlog goes in portions, so that publishers get their turn.
        let goal = lock(&self.state).ring.head();
        loop {
            let position = seat.cursor.position;
            lock(&self.state).fetch(&mut seat.cursor, PORTION, Purpose::Forgo, unread);
            if seat.cursor.position == position || seat.cursor.position >= goal {
                break;
            }
        }

        let state = &mut *lock(&self.state);
        state.fetch(&mut seat.cursor, usize::MAX, Purpose::Forgo, unread);
        let parked = state.take_parked(seat);
        let Gone { was_open, member } = state.members.leave(seat.cursor.member);
        let endpoint_gone = was_open && member.is_some();
        Left { was_open, endpoint_gone, _leftovers: (plain, noted, parked, member) }
    }

    /// Ends all subscriptions of `endpoint` behind what they can see now; says how many.
    pub(crate) fn end(&self, endpoint: EndpointId) -> (usize, Wakers) {
        let state = &mut *lock(&self.state);
        let Some(key) = state.members.find(endpoint) else { return (0, Wakers::default()) };
        let ended = state.members.end(key, state.ring.head(), state.ring.tail());
        self.changed(state);
        (ended as usize, state.take_wakers(|_, member| member == key))
    }

    /// Cuts `endpoint` off: its subscriptions stay and get nothing more.
    pub(crate) fn suspend(&self, endpoint: EndpointId) {
        let state = &mut *lock(&self.state);
        if let Some(key) = state.members.find(endpoint) {
            state.members.suspend(key, state.ring.head());
        }
    }

    /// Puts `endpoint` back, with a gap where its hole is.
    pub(crate) fn resume(&self, endpoint: EndpointId) -> Wakers {
        let state = &mut *lock(&self.state);
        let Some(key) = state.members.find(endpoint) else { return Wakers::default() };
        state.members.resume(key, state.ring.head(), state.ring.tail());
        self.changed(state);
        state.take_wakers(|_, member| member == key)
    }

    /// Puts a gap behind everything that the subscriptions of `endpoint` can see now.
    pub(crate) fn gap(&self, endpoint: EndpointId, gap: Gap) -> Wakers {
        let state = &mut *lock(&self.state);
        let Some(key) = state.members.find(endpoint) else { return Wakers::default() };
        state.members[key].add_gap(gap, state.ring.head(), state.ring.tail());
        self.changed(state);
        state.take_wakers(|_, member| member == key)
    }

    /// Whether `endpoint` has an open subscription here.
    pub(crate) fn has(&self, endpoint: EndpointId) -> bool {
        lock(&self.state).members.find(endpoint).is_some()
    }

    /// Whether nobody has an open subscription here, so that publishing is pointless.
    pub(crate) fn is_idle(&self) -> bool {
        lock(&self.state).members.is_idle()
    }
}

/// Why operations of a suspended endpoint fail.
pub(crate) const SUSPENDED: &str = "this endpoint is cut off from its bus";
