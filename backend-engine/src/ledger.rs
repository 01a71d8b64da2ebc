//! The bookkeeping of losses: numbers on one side, what is missing on the other.
//!
//! # How numbers run
//!
//! Every instance numbers what it publishes to each topic: a [`Sequencer`](crate::Sequencer) gives
//! each envelope a [`Stamp`]. Every instance that receives a topic keeps a [`Ledger`] for it, and
//! learns from each stamp whether something is missing before it.
//!
//! 1. Numbers run on over reconnects. So what is lost around a reconnect of the publisher is counted
//!    exactly; and what comes late on its former connection, when the engine has already passed on
//!    something of the new one, has a lower number, and is not handed out: it was told as missing,
//!    and to hand it out would break the order (clause O1).
//! 2. An *epoch* is one numbering of a topic by an origin; it begins at 1. A publisher that has to
//!    forget where it was in a topic (it remembers a bounded number) starts a new numbering with a
//!    greater epoch. For a receiver who knew a former one, the new one begins at 1: if the first
//!    that it sees is number 3, it has missed two. What was lost at the end of the former one is
//!    not told then, for nobody remembers how far that went.
//! 3. A publisher that starts anew, as a process, is a new origin.
//! 4. The first stamp of an unknown origin is a baseline: whether there was something before it,
//!    nobody can tell, since the receiver may have subscribed in the middle. So it shows no gap.
//! 5. A receiver never moves backwards, not even over an outage of its own. What it missed in that
//!    is told by one gap (H5), and not counted again: see [`interrupt`](Ledger::interrupt).
//!
//! 6. Whoever may publish under a name can forge any number there. What no publisher would come to is
//!    not believed; against more than that, only the engine's permissions help.
//!
//! From this follows: with nothing lost and each connection in order, no gap is ever told, whoever
//! forgets what. What is told as missing was published, by that origin, to that topic, after
//! something that was received, and will not be handed out.

use std::cmp::Ordering;

use crate::recent::Recent;
use crate::{Origin, Stamp};

/// What one instance knows of the publishers to one topic.
///
/// It remembers the last [`DEFAULT_PUBLISHERS`](Self::DEFAULT_PUBLISHERS) publishers that were
/// heard, and at most twice as many, some 20 KB: strangers with made-up origins cannot make it grow.
/// Who was forgotten is new when it is heard again: nothing is told as missing there.
///
/// Keep one as long as somebody here subscribes to the topic, over outages, too. Begin with a new one
/// where the topic was given up in between: only envelopes that were to arrive can be missing.
///
/// ```
/// use backend_engine::name::Names;
/// use backend_engine::{Ledger, Origin, Sequencer, Verdict};
///
/// let orders = Names::new("shop").name("orders");
/// let mut there = Sequencer::new(Origin::random());
/// let [first, second, third, fourth] = std::array::from_fn(|_| there.take(&orders));
///
/// let mut here = Ledger::new();
/// assert_eq!(here.observe(&first), Verdict::Next);
/// assert_eq!(here.observe(&fourth), Verdict::Missed(2));
/// assert_eq!(here.observe(&third), Verdict::Old);     // late, and told as missing already
/// ```
#[derive(Clone, Debug)]
pub struct Ledger {
    publishers: Recent<Origin, Last>,
    interruptions: u64,
}

/// The last stamp that was heard of an origin.
#[derive(Clone, Debug)]
struct Last {
    epoch: u64,
    sequence: u64,
    /// How often the ledger had been interrupted by then.
    interruptions: u64,
}

/// What a stamp tells about its envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Verdict {
    /// Nothing is missing before it, or nobody can tell. Hand it out.
    Next,
    /// This many are missing right before it. Tell a gap of that size, then hand it out.
    Missed(u64),
    /// It, or a later one, was here before. Do not hand it out (clauses D5, O1).
    Old,
    /// No publisher gets that far, or so far ahead at once: a forged one. Taken for true, it would make
    /// all that its publisher really sends look old. Do not hand it out.
    Implausible,
}

/// Beyond this no number is a publisher's: at a million a second they last for a century.
const MOST: u64 = 1 << 52;

/// So many are not lost at once: an hour of a million a second.
const FARTHEST: u64 = 1 << 32;

impl Ledger {
    /// How many publishers to a topic it remembers, unless told otherwise.
    pub const DEFAULT_PUBLISHERS: usize = 256;

    /// A ledger of a topic of which nothing has been received.
    #[must_use]
    pub fn new() -> Self {
        Self::with_capacity(Self::DEFAULT_PUBLISHERS)
    }

    /// As [`new`](Self::new), remembering the last `publishers` publishers. None counts as one.
    #[must_use]
    pub fn with_capacity(publishers: usize) -> Self {
        Self { publishers: Recent::new(publishers), interruptions: 0 }
    }

    /// Enters the stamp of an envelope that has arrived, and tells what it says.
    ///
    /// In the order of arrival, and before anything is dropped for another reason: an envelope
    /// that was received and refused later is not missing.
    pub fn observe(&mut self, stamp: &Stamp) -> Verdict {
        let Stamp { origin, epoch, sequence } = *stamp;
        if epoch > MOST || sequence > MOST {
            return Verdict::Implausible;
        }
        let this = Last { epoch, sequence, interruptions: self.interruptions };
        let (last, known) = self.publishers.get_or_insert_with(&origin, |_| this.clone());
        if !known {
            return Verdict::Next;
        }
        let before = match epoch.cmp(&last.epoch) {
            Ordering::Less => return Verdict::Old,
            Ordering::Equal => last.sequence,
            Ordering::Greater => 0,
        };
        if sequence <= before {
            return Verdict::Old;
        }
        if sequence - before > FARTHEST || epoch - last.epoch > FARTHEST {
            return Verdict::Implausible;
        }
        let interrupted = last.interruptions < self.interruptions;
        *last = this;
        match sequence - before - 1 {
            missed if missed > 0 && !interrupted => Verdict::Missed(missed),
            _ => Verdict::Next,
        }
    }

    /// Enters a [tally](crate::wire::encode_tally): the publisher's numbers have come this far.
    ///
    /// [`Verdict::Missed`]: so many are missing behind what has arrived of it, up to and with this
    /// number. There is nothing to hand out, whatever the verdict.
    pub fn observe_tally(&mut self, stamp: &Stamp) -> Verdict {
        // As if the next one had arrived, and not come.
        let next = Stamp { sequence: stamp.sequence.saturating_add(1), ..*stamp };
        let verdict = self.observe(&next);
        if let (Verdict::Next | Verdict::Missed(_), Some(last)) =
            (verdict, self.publishers.peek_mut(&stamp.origin))
        {
            last.sequence = stamp.sequence;
        }
        verdict
    }

    /// Nothing counts as missing before the next envelope of each publisher. For an outage of this
    /// instance, whose gap of unknown size tells of it; and for the moment at which a subscription
    /// begins: what arrives before that, while the engine's servers learn of it one by one, is in no
    /// order with what does not.
    pub fn interrupt(&mut self) {
        self.interruptions += 1;
    }

    /// How many publishers it remembers now.
    #[must_use]
    pub fn publishers(&self) -> usize {
        self.publishers.len()
    }
}

impl Default for Ledger {
    fn default() -> Self {
        Self::new()
    }
}
