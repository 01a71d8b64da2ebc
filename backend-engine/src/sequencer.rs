//! The numbers that one instance gives to what it publishes.

use crate::name::EngineName;
use crate::recent::Recent;
use crate::{Origin, Stamp};

/// Numbers what one instance publishes, topic by topic: 1, 2, 3, …
///
/// It belongs to the one task (or lock) that hands frames to the engine, and is asked right before
/// that: a number taken earlier may be overtaken by another one on the way, and its receivers would
/// count what is only late as missing. How numbers run is said at [`ledger`](crate::ledger).
///
/// **A number counts as published when it is taken.** Whoever knows that a frame has not left gives
/// its number [back](Self::give_back), and nobody misses it. Whoever does not know (the connection
/// was lost half-way) leaves it: used twice, the second envelope would be taken for a duplicate and
/// be lost in silence; left, an envelope that has not arrived is told as missing, as it is.
///
/// It remembers the last [`DEFAULT_TOPICS`](Self::DEFAULT_TOPICS) topics that were published to,
/// and at most twice as many: one-off topics do not add up. A topic that was forgotten gets a new
/// numbering, which receivers tell by its epoch. The key is the engine's name, and not the topic,
/// since its length is limited.
///
/// ```
/// use backend_engine::name::Names;
/// use backend_engine::{Origin, Sequencer};
///
/// let names = Names::new("shop");
/// let (orders, prices) = (names.name("orders"), names.name("prices"));
/// let mut sequencer = Sequencer::new(Origin::random());
///
/// assert_eq!(sequencer.take(&orders).sequence, 1);
/// let second = sequencer.take(&orders);
/// assert_eq!((second.sequence, sequencer.take(&prices).sequence), (2, 1));
///
/// // The engine's client has refused it: the next one has its number.
/// sequencer.give_back(&orders, &second);
/// assert_eq!(sequencer.take(&orders).sequence, 2);
/// ```
#[derive(Clone, Debug)]
pub struct Sequencer {
    origin: Origin,
    topics: Recent<EngineName, Numbering>,
}

/// The current numbering of a topic.
#[derive(Clone, Debug)]
struct Numbering {
    epoch: u64,
    /// The last number taken.
    last: u64,
}

impl Sequencer {
    /// How many topics it remembers, unless told otherwise: some 10 MB, if there are as many.
    pub const DEFAULT_TOPICS: usize = 65_536;

    /// The numbers of an instance that has published nothing.
    #[must_use]
    pub fn new(origin: Origin) -> Self {
        Self::with_capacity(origin, Self::DEFAULT_TOPICS)
    }

    /// As [`new`](Self::new), remembering the last `topics` topics. None counts as one.
    #[must_use]
    pub fn with_capacity(origin: Origin, topics: usize) -> Self {
        Self { origin, topics: Recent::new(topics) }
    }

    /// Whose numbers these are.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// The next number of a topic.
    pub fn take(&mut self, name: &EngineName) -> Stamp {
        let begin = |epoch| Numbering { epoch, last: 0 };
        let (numbering, _) = self.topics.get_or_insert_with(name, begin);
        numbering.last += 1;
        Stamp { origin: self.origin, epoch: numbering.epoch, sequence: numbering.last }
    }

    /// The last number of a topic that was taken and not given back, if it is remembered, and if
    /// there is one.
    pub fn last(&mut self, name: &EngineName) -> Option<Stamp> {
        let numbering = self.topics.peek_mut(name).filter(|numbering| numbering.last > 0)?;
        Some(Stamp { origin: self.origin, epoch: numbering.epoch, sequence: numbering.last })
    }

    /// Takes a number back whose frame, for certain, was not and will not be sent.
    ///
    /// Of several, give back the last one first: a number that is the topic's last is used again,
    /// as if nothing had happened. When later ones have been taken it cannot be. The topic then
    /// gets a new numbering with the next number, so that what is published from then on shows
    /// receivers no gap; what was on its way already does.
    ///
    /// Give a number back once: it may be in use again. One of another origin, or of a numbering
    /// that has ended meanwhile, changes nothing.
    pub fn give_back(&mut self, name: &EngineName, stamp: &Stamp) {
        let Some(numbering) = self.topics.peek_mut(name) else { return };
        if (self.origin, numbering.epoch) != (stamp.origin, stamp.epoch) {
            return;
        }
        if numbering.last == stamp.sequence {
            numbering.last -= 1;
        } else if numbering.last > stamp.sequence {
            self.topics.remove(name);
        }
    }

    /// How many topics it remembers now.
    #[must_use]
    pub fn topics(&self) -> usize {
        self.topics.len()
    }
}
