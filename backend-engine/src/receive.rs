//! What the engine has sent, on its way to the instance's users.
//!
//! Everything that arrives is a stranger's until it has shown what it is: an own echo (D2), no
//! envelope at all, one of another topic, one that has come before, or the next one.

use std::sync::PoisonError;

use backend_core::{Gap, GapCause};
use bytes::Bytes;

use crate::core::Core;
use crate::driver::Link;
use crate::inbox::Deliver;
use crate::{Verdict, wire};

impl<L: Link> Deliver for Core<L> {
    fn deliver(&self, era: u64, name: &str, frame: Bytes) {
        // An own echo, before anything else is spent on it.
        if wire::peek_origin(&frame) == Some(self.origin) {
            return;
        }
        let Some(listened) = self.topics.get(name) else { return };
        if !self.is_current(era) {
            return;
        }
        let frame = match wire::decode(frame) {
            Ok(frame) => frame,
            Err(refused) => return self.counters.refused(name, &refused),
        };
        if let Err(refused) = frame.expect_topic(&listened.topic) {
            return self.counters.refused(name, &refused);
        }
        if let Some(stamp) = &frame.stamp {
            if stamp.origin == self.origin {
                return;
            }
            let mut ledger = listened.ledger.lock().unwrap_or_else(PoisonError::into_inner);
            // Lost just now: the ledger may have been interrupted already.
            if !self.is_current(era) {
                return;
            }
            match ledger.observe(stamp) {
                Verdict::Next => {}
                Verdict::Missed(missed) => self.tell(&listened.topic, Some(missed)),
                Verdict::Old => {
                    return self.counters.refused(name, &"it, or a later one, was here");
                }
            }
        }
        // Refused only when the instance has closed, and nobody is there to miss it.
        let _ = self.engine.publish(frame.envelope);
    }

    fn lost(&self, era: u64, name: &str, missed: Option<u64>) {
        if !self.is_current(era) {
            return;
        }
        if let Some(listened) = self.topics.get(name) {
            self.tell(&listened.topic, missed);
        }
    }
}

impl<L: Link> Core<L> {
    fn tell(&self, topic: &str, missed: Option<u64>) {
        self.counters.lost(topic, missed);
        self.users.gap(topic, Gap::new(GapCause::Lagged, missed));
    }
}
