//! What the engine has sent, on its way to the instance's users.
//!
//! Everything that arrives is a stranger's until it has shown what it is: an own echo (D2), no
//! envelope at all, one of another topic, one that has come before, or the next one.

use std::mem;

use backend_core::{Gap, GapCause, MessageEnvelope};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, pending};

use crate::Verdict;
use crate::core::Core;
use crate::driver::Link;
use crate::inbox::Deliver;
use crate::topics::Arrivals;
use crate::wire::{self, Refused};

/// How many envelopes are handed out at once, at most: few enough to spare readers an overflow.
const AT_ONCE: usize = 32;

impl<L: Link> Deliver for Core<L> {
    fn deliver(&self, era: u64, name: &str, messages: &mut dyn Iterator<Item = Bytes>) -> usize {
        let Some(listened) = self.topics.get(name) else { return 0 };
        let mut envelopes = 0;
        // Own echoes go before anything else is spent on them.
        let others = messages.filter(|message| wire::peek_origin(message) != Some(self.origin));
        let mut frames = others.flat_map(|message| wire::frames(&listened.topic, message));
        loop {
            let (mut ready, stop) = {
                let mut arrivals = listened.lock();
                // The connection is lost: the ledger is, or will be, interrupted.
                if !self.is_current(era) {
                    return envelopes;
                }
                self.read(name, &mut arrivals, &mut frames)
            };
            envelopes += ready.len();
            // Readers are woken with no lock held. Refused only when the instance has closed, and
            // nobody is there to miss anything.
            let _ = self.engine.publish_all(&listened.topic, &mut ready);
            match stop {
                Stop::End => {
                    listened.give_back(ready);
                    return envelopes;
                }
                Stop::Full => listened.give_back(ready),
                Stop::Gap(missed, envelope) => {
                    self.tell(&listened.topic, Some(missed));
                    envelopes += usize::from(envelope.is_some());
                    let _ = envelope.map(|envelope| self.engine.publish(envelope));
                }
            }
        }
    }

    fn lost(&self, era: u64, name: &str, missed: Option<u64>) {
        if !self.is_current(era) {
            return;
        }
        if let Some(listened) = self.topics.get(name) {
            self.tell(&listened.topic, missed);
        }
    }

    fn published(&self, era: u64) -> Option<BoxFuture<'static, ()>> {
        let live = self.live.borrow();
        if let Some(live) = live.as_ref().filter(|live| live.era == era) {
            return Some(live.outbox.published(self));
        }
        // Given up, it may be slow, and not dead: then something is handed over still, and nobody
        // waits for when it was. Who asks over the next one is answered.
        (!self.is_current(era)).then(|| pending().boxed())
    }
}

/// Why reading stops.
enum Stop {
    /// Nothing more has arrived.
    End,
    /// So many are handed out at once.
    Full,
    /// So many are missing: before this envelope, or before nothing, as a tally says.
    Gap(u64, Option<MessageEnvelope>),
}

impl<L: Link> Core<L> {
    /// Reads frames up to the next gap; and gives what is to be handed out before it.
    fn read(
        &self,
        name: &str,
        arrivals: &mut Arrivals,
        frames: &mut impl Iterator<Item = Result<wire::Frame, Refused>>,
    ) -> (Vec<MessageEnvelope>, Stop) {
        let mut ready = mem::take(&mut arrivals.room);
        for frame in frames {
            let wire::Frame { stamp, envelope, is_tally } = match frame {
                Ok(frame) => frame,
                Err(refused) => {
                    self.counters.refused(name, &refused);
                    continue;
                }
            };
            let verdict = match stamp {
                // In JSON, the origin may stand elsewhere.
                Some(stamp) if stamp.origin == self.origin => continue,
                Some(stamp) if is_tally => arrivals.ledger.observe_tally(&stamp),
                Some(stamp) => arrivals.ledger.observe(&stamp),
                None => Verdict::Next,
            };
            match verdict {
                Verdict::Missed(missed) => {
                    return (ready, Stop::Gap(missed, (!is_tally).then_some(envelope)));
                }
                // A tally says nothing new, most of the time.
                Verdict::Next | Verdict::Old if is_tally => {}
                Verdict::Next => {
                    ready.push(envelope);
                    if ready.len() == AT_ONCE {
                        return (ready, Stop::Full);
                    }
                }
                Verdict::Old => self.counters.refused(name, &"it, or a later one, was here"),
                Verdict::Implausible => self.counters.refused(name, &"its number is a forged one"),
            }
        }
        (ready, Stop::End)
    }

    fn tell(&self, topic: &str, missed: Option<u64>) {
        self.counters.lost(topic, missed);
        self.users.gap(topic, Gap::new(GapCause::Lagged, missed));
    }
}
