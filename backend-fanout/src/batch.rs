//! What a reader carries off under its topic's lock, and then hands out without it.
//!
//! Plain messages go straight into the hands of the subscription, one pointer each: a thousand
//! readers' batches are to fit into a cache, and to hand one out is to take it off a vector. With the
//! first that is more than that, a gap or a message with a ttl, the rest of the batch stays with the
//! reader, which hands it out one by one: whether a ttl has run out is looked at then.

use std::collections::VecDeque;

use backend_core::{Gap, MessageEnvelope};

use crate::expiry::Expiry;

/// How many envelopes a reader carries off at a time.
pub(crate) const BATCH: usize = 32;

/// Where a batch goes. In its order: `plain`, then `noted`.
#[derive(Debug)]
pub(crate) struct Batch<'a> {
    pub(crate) plain: &'a mut Vec<MessageEnvelope>,
    pub(crate) noted: &'a mut Noted,
}

/// What a reader hands out itself. Most never have any of it, and take no room for it.
#[derive(Debug, Default)]
#[expect(clippy::box_collection, reason = "a pointer for each idle subscription, and not four")]
pub(crate) struct Noted(Option<Box<VecDeque<Item>>>);

/// What is handed out by the reader itself.
#[derive(Debug)]
pub(crate) enum Item {
    /// An envelope, and when its ttl runs out.
    Message(MessageEnvelope, Option<Expiry>),
    Gap(Gap),
}

impl Noted {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|items| items.is_empty())
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Item> {
        let items = self.0.as_mut()?;
        let item = items.pop_front();
        // Where messages have a ttl there will be more of them. A gap is rare, and an outage would
        // leave this behind in every subscription.
        if items.is_empty() && !matches!(item, Some(Item::Message(_, Some(_)))) {
            self.0 = None;
        }
        item
    }

    fn messages(&self) -> usize {
        let items = self.0.iter().flat_map(|items| items.iter());
        items.filter(|item| matches!(item, Item::Message(..))).count()
    }

    fn items(&mut self) -> &mut VecDeque<Item> {
        self.0.get_or_insert_default()
    }
}

impl Batch<'_> {
    pub(crate) fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.noted.is_empty()
    }

    /// How many envelopes are in it.
    pub(crate) fn messages(&self) -> usize {
        self.plain.len() + self.noted.messages()
    }

    #[inline]
    pub(crate) fn push_message(&mut self, envelope: MessageEnvelope, expires: Option<Expiry>) {
        if expires.is_none() && self.noted.is_empty() {
            self.plain.push(envelope);
        } else {
            self.noted.items().push_back(Item::Message(envelope, expires));
        }
    }

    /// Appends a gap; one of the same cause with nothing in between is part of the same episode.
    pub(crate) fn push_gap(&mut self, gap: Gap) {
        let items = self.noted.items();
        match items.back_mut() {
            Some(Item::Gap(last)) if last.cause == gap.cause => {
                last.missed =
                    last.missed.zip(gap.missed).map(|(one, other)| one.saturating_add(other));
            }
            _ => items.push_back(Item::Gap(gap)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_gap_that_was_handed_out_leaves_no_room_behind() {
        let (mut plain, mut noted) = (Vec::new(), Noted::default());
        let envelope = || MessageEnvelope::new("t", "x");
        let mut batch = Batch { plain: &mut plain, noted: &mut noted };
        batch.push_message(envelope(), None);
        batch.push_gap(Gap::reconnected());
        batch.push_message(envelope(), Expiry::of(&envelope().with_ttl(Duration::from_secs(60))));
        batch.push_message(envelope(), None);
        assert_eq!(batch.messages(), 3);
        assert!(matches!(noted.pop(), Some(Item::Gap(_))));
        assert!(matches!(noted.pop(), Some(Item::Message(_, Some(_)))));
        assert!(matches!(noted.pop(), Some(Item::Message(_, None))));
        assert!(noted.0.is_none() && noted.pop().is_none());
    }
}
