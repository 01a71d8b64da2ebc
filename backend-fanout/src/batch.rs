//! What a reader carries off under its topic's lock, and then hands out without it.

use std::collections::VecDeque;
use std::time::Instant;

use backend_core::{Gap, MessageEnvelope};

/// How many envelopes a reader carries off at a time.
pub(crate) const BATCH: usize = 32;

#[derive(Debug, Default)]
pub(crate) struct Batch(VecDeque<Item>);

#[derive(Debug)]
pub(crate) enum Item {
    /// An envelope, and when its ttl runs out.
    Message(MessageEnvelope, Option<Instant>),
    Gap(Gap),
}

impl Batch {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn pop(&mut self) -> Option<Item> {
        self.0.pop_front()
    }

    pub(crate) fn messages(&self) -> usize {
        self.0.iter().filter(|item| matches!(item, Item::Message(..))).count()
    }

    pub(crate) fn push_message(&mut self, envelope: MessageEnvelope, expires: Option<Instant>) {
        self.0.push_back(Item::Message(envelope, expires));
    }

    /// Appends a gap; one of the same cause with nothing in between is part of the same episode.
    pub(crate) fn push_gap(&mut self, gap: Gap) {
        match self.0.back_mut() {
            Some(Item::Gap(last)) if last.cause == gap.cause => {
                last.missed = last.missed.zip(gap.missed).map(|(one, other)| one + other);
            }
            _ => self.0.push_back(Item::Gap(gap)),
        }
    }
}
