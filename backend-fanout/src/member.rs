//! What a topic knows of one endpoint that subscribes to it, and of one subscription's place.
//!
//! A *member* is an endpoint with subscriptions to the topic; a *cursor* is the place of one of
//! them. Some positions between two places of a cursor are none of its business: those that its
//! own endpoint published, and those that went by while the endpoint was suspended. Both count as
//! *skipped*, and a reader that fell behind missed what went by less what it would have skipped.
//! That makes the number in a gap exact.
//!
//! Invariants
//! 1. `own_stored - own_released` of the ring's slots were published by the member, and
//!    `own_released` counts those that have left the ring.
//! 2. Own slots are never inside a hole: a suspended endpoint cannot publish.
//! 3. Marks are in order of their place, with at least one position between any two, and at most
//!    one of them lies before the ring's tail. So there are at most capacity + 2 of them.

use std::collections::VecDeque;
use std::num::NonZeroU32;

use backend_core::{Gap, GapCause, MessageEnvelope};

use crate::expiry::Expiry;

/// Where the topic keeps a member. May be used again after the member has left.
// Never zero, so that "none" takes no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MemberKey(NonZeroU32);

impl MemberKey {
    pub(crate) const fn at(index: usize) -> Self {
        Self(NonZeroU32::MIN.saturating_add(index as u32))
    }

    pub(crate) const fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// One endpoint of the bus.
pub(crate) type EndpointId = u64;

#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) endpoint: EndpointId,
    pub(crate) subscriptions: u32,
    standing: Standing,
    /// The position at which it became a member: older slots with its key are somebody else's.
    since: u64,
    own_stored: u64,
    own_released: u64,
    /// Most members never have any of it.
    seldom: Option<Box<Seldom>>,
}

#[derive(Debug, Default)]
struct Seldom {
    marks: VecDeque<Mark>,
    /// What the ring has dropped since this member ended: it had accepted that (U1, C1).
    kept: VecDeque<Kept>,
}

#[derive(Debug)]
struct Kept {
    position: u64,
    envelope: MessageEnvelope,
    expires: Option<Expiry>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Gets what is published.
    Live,
    /// Cut off at this position, for a while.
    Suspended(u64),
    /// Unsubscribed or closed at this position, for good, when the ring's tail was there.
    Ended { at: u64, tail: u64 },
}

/// A place where this member's readers are told of a gap, and where they go on.
#[derive(Clone, Copy, Debug)]
struct Mark {
    at: u64,
    resume_at: u64,
    /// All that has been told up to and with this mark.
    ledger: Ledger,
    /// All positions hidden from the member up to and with this mark.
    hidden: u64,
}

/// Running totals of the gaps at the marks. The difference of two ledgers is what a reader has to
/// be told between two places, exactly, even if marks in between were folded together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    lagged: Tally,
    reconnected: Tally,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    gaps: u64,
    of_unknown_size: u64,
    /// Wide enough for the sum of any gaps: what lies between two ledgers stays exact.
    missed: u128,
}

/// The place of one subscription.
#[derive(Debug)]
pub(crate) struct Cursor {
    pub(crate) member: MemberKey,
    /// The next position to read.
    pub(crate) position: u64,
    /// How many positions before `position` were not for this reader, counted like
    /// [`Member::skipped_before`].
    pub(crate) skipped: u64,
    /// What it has been told of; `None` is nothing.
    told: Option<Box<Ledger>>,
}

impl Member {
    pub(crate) fn new(endpoint: EndpointId, head: u64) -> Self {
        Self {
            endpoint,
            subscriptions: 0,
            standing: Standing::Live,
            since: head,
            own_stored: 0,
            own_released: 0,
            seldom: None,
        }
    }

    /// A place for one more subscription, behind everything published so far.
    pub(crate) fn add_subscription(&mut self, key: MemberKey, head: u64) -> Cursor {
        self.subscriptions += 1;
        Cursor {
            member: key,
            position: head,
            skipped: self.own_stored + self.last_mark().map_or(0, |mark| mark.hidden),
            told: self.last_mark().map(|mark| Box::new(mark.ledger)),
        }
    }

    pub(crate) fn is_live(&self) -> bool {
        self.standing == Standing::Live
    }

    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.standing, Standing::Ended { .. })
    }

    /// Up to where its readers may read, in a topic that has got to `head`.
    pub(crate) fn visible_end(&self, head: u64) -> u64 {
        match self.standing {
            Standing::Live => head,
            Standing::Suspended(at) | Standing::Ended { at, .. } => at,
        }
    }

    /// Up to where envelopes are lost to its readers, in a topic whose ring begins at `tail`.
    pub(crate) fn lost_before(&self, head: u64, tail: u64) -> u64 {
        match self.standing {
            Standing::Ended { at, tail } => tail.min(at),
            Standing::Live | Standing::Suspended(_) => tail.min(self.visible_end(head)),
        }
    }

    pub(crate) fn count_own_stored(&mut self) {
        self.own_stored += 1;
    }

    /// A slot with this member's key has left the ring. After its end that is of no account:
    /// nothing is lost to it any more.
    pub(crate) fn count_own_released(&mut self, position: u64) {
        if position >= self.since && !self.has_ended() {
            self.own_released += 1;
        }
    }

    /// The ring drops an envelope of somebody else. A member that has ended keeps it if it had
    /// accepted it: at most as many as the ring had room for.
    pub(crate) fn keep(
        &mut self,
        position: u64,
        envelope: &MessageEnvelope,
        expires: Option<Expiry>,
    ) {
        let Standing::Ended { at, .. } = self.standing else { return };
        if (self.since..at).contains(&position) {
            self.seldom().kept.push_back(Kept { position, envelope: envelope.clone(), expires });
        }
    }

    /// Hands out what was kept from `position`; nothing, if that was not for its readers.
    pub(crate) fn take_kept(&mut self, position: u64) -> Option<(MessageEnvelope, Option<Expiry>)> {
        let kept = &mut self.seldom.as_mut()?.kept;
        let index = kept.binary_search_by_key(&position, |kept| kept.position).ok()?;
        if self.subscriptions == 1 {
            return kept.remove(index).map(|kept| (kept.envelope, kept.expires));
        }
        kept.get(index).map(|kept| (kept.envelope.clone(), kept.expires))
    }

    /// How many of the positions before `limit` were not for this member's readers. `limit` is
    /// as [`lost_before`](Self::lost_before) says.
    pub(crate) fn skipped_before(&self, limit: u64) -> u64 {
        let marks = self.seldom.as_ref().map(|seldom| &seldom.marks);
        let last = marks.and_then(|marks| marks.iter().rev().find(|mark| mark.at <= limit));
        let hidden = last.map_or(0, |mark| mark.hidden - mark.resume_at.saturating_sub(limit));
        self.own_released + hidden
    }

    pub(crate) fn suspend(&mut self, head: u64) {
        if self.is_live() {
            self.standing = Standing::Suspended(head);
        }
    }

    /// Goes on at `head`, with a gap where the hole is.
    pub(crate) fn resume(&mut self, head: u64, tail: u64) {
        if let Standing::Suspended(at) = self.standing {
            self.standing = Standing::Live;
            self.add_mark(at, head, Gap::reconnected(), tail);
        }
    }

    pub(crate) fn end(&mut self, head: u64, tail: u64) {
        self.standing = Standing::Ended { at: self.visible_end(head), tail };
    }

    /// Tells its readers of a gap behind everything they can see now.
    pub(crate) fn add_gap(&mut self, gap: Gap, head: u64, tail: u64) {
        let at = self.visible_end(head);
        self.add_mark(at, at, gap, tail);
    }

    fn add_mark(&mut self, at: u64, resume_at: u64, gap: Gap, tail: u64) {
        let last = self.last_mark().copied();
        let marks = &mut self.seldom().marks;
        let mut ledger = last.map_or_else(Ledger::default, |mark| mark.ledger);
        ledger.add(gap);
        let hidden = last.map_or(0, |mark| mark.hidden) + (resume_at - at);
        match marks.back_mut() {
            // Nothing went by in between: the ledger alone tells who knows of which.
            Some(last) if last.resume_at == at => {
                *last = Mark { at: last.at, resume_at, ledger, hidden };
            }
            _ => marks.push_back(Mark { at, resume_at, ledger, hidden }),
        }
        while marks.get(1).is_some_and(|second| second.at <= tail) {
            marks.pop_front();
        }
    }

    fn seldom(&mut self) -> &mut Seldom {
        self.seldom.get_or_insert_default()
    }

    fn last_mark(&self) -> Option<&Mark> {
        self.seldom.as_ref()?.marks.back()
    }
}

impl Cursor {
    /// Moves to `limit`, over positions that have left the ring, and says how many envelopes this
    /// reader has missed by that.
    pub(crate) fn fall_forward(&mut self, member: &Member, limit: u64) -> u64 {
        let skipped = member.skipped_before(limit);
        let missed = (limit - self.position) - (skipped - self.skipped);
        self.position = limit;
        self.skipped = skipped;
        missed
    }

    /// If gaps are to be told here, goes on behind them and says which; else says up to where
    /// nothing is to be told.
    #[inline]
    pub(crate) fn pass_mark(&mut self, member: &Member, end: u64) -> Result<[Option<Gap>; 2], u64> {
        match &member.seldom {
            None => Err(end),
            Some(seldom) => self.pass_one_of(&seldom.marks, end),
        }
    }

    fn pass_one_of(&mut self, marks: &VecDeque<Mark>, end: u64) -> Result<[Option<Gap>; 2], u64> {
        let told = self.told.as_deref().copied().unwrap_or_default();
        let ahead = marks.partition_point(|mark| mark.at <= self.position);
        let here = ahead.checked_sub(1).and_then(|index| marks.get(index));
        let Some(mark) = here.filter(|mark| mark.ledger.gaps() > told.gaps()) else {
            return Err(marks.get(ahead).map_or(end, |mark| mark.at));
        };
        let gaps = mark.ledger.since(told);
        let hidden = mark.resume_at.saturating_sub(self.position);
        self.position += hidden;
        self.skipped += hidden;
        self.told = Some(Box::new(mark.ledger));
        Ok(gaps)
    }
}

impl Ledger {
    fn add(&mut self, gap: Gap) {
        let tally = match gap.cause {
            GapCause::Lagged => &mut self.lagged,
            // A cause that a later version adds is told as an outage rather than not at all.
            _ => &mut self.reconnected,
        };
        tally.gaps += 1;
        match gap.missed {
            Some(missed) => tally.missed = tally.missed.saturating_add(missed.into()),
            None => tally.of_unknown_size += 1,
        }
    }

    fn gaps(&self) -> u64 {
        self.lagged.gaps + self.reconnected.gaps
    }

    fn since(&self, told: Ledger) -> [Option<Gap>; 2] {
        [
            self.lagged.since(told.lagged, GapCause::Lagged),
            self.reconnected.since(told.reconnected, GapCause::Reconnected),
        ]
    }
}

impl Tally {
    fn since(&self, told: Tally, cause: GapCause) -> Option<Gap> {
        if self.gaps == told.gaps {
            return None;
        }
        let known = self.of_unknown_size == told.of_unknown_size;
        let missed = u64::try_from(self.missed - told.missed).unwrap_or(u64::MAX);
        Some(Gap::new(cause, known.then_some(missed)))
    }
}
