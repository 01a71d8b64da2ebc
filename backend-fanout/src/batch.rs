//! What a reader carries off under its topic's lock, and then hands out without it.
//!
//! Plain messages go straight into the hands of the subscription, one pointer each: a thousand
//! readers' batches are to fit into a cache, and to hand one out is to take it off a vector. With the
//! first that is more than that, a gap or a message with a ttl, the rest of the batch stays with the
//! reader, which hands it out one by one: whether a ttl has run out is looked at then.

use std::collections::VecDeque;
use std::time::Instant;

use backend_core::{Gap, MessageEnvelope};

/// How many envelopes a reader carries off at a time.
pub(crate) const BATCH: usize = 32;

/// Where a batch goes. In its order: `plain`, then `noted`.
#[derive(Debug)]
pub(crate) struct Batch<'a> {
    pub(crate) plain: &'a mut Vec<MessageEnvelope>,
    pub(crate) noted: &'a mut VecDeque<Item>,
}

/// What is handed out by the reader itself.
#[derive(Debug)]
pub(crate) enum Item {
    /// An envelope, and when its ttl runs out.
    Message(MessageEnvelope, Option<Instant>),
    Gap(Gap),
}

impl Batch<'_> {
    pub(crate) fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.noted.is_empty()
    }

    /// How many envelopes are in it.
    pub(crate) fn messages(&self) -> usize {
        let noted = self.noted.iter().filter(|item| matches!(item, Item::Message(..)));
        self.plain.len() + noted.count()
    }

    #[inline]
    pub(crate) fn push_message(&mut self, envelope: MessageEnvelope, expires: Option<Instant>) {
        if expires.is_none() && self.noted.is_empty() {
            self.plain.push(envelope);
        } else {
            self.noted.push_back(Item::Message(envelope, expires));
        }
    }

    /// Appends a gap; one of the same cause with nothing in between is part of the same episode.
    pub(crate) fn push_gap(&mut self, gap: Gap) {
        match self.noted.back_mut() {
            Some(Item::Gap(last)) if last.cause == gap.cause => {
                last.missed =
                    last.missed.zip(gap.missed).map(|(one, other)| one.saturating_add(other));
            }
            _ => self.noted.push_back(Item::Gap(gap)),
        }
    }
}
