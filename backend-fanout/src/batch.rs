//! What a reader carries off under its topic's lock, and then hands out without it.
//!
//! Envelopes lie close together, one pointer each: a thousand readers' batches are to fit into a
//! cache. What is rare, a gap or a ttl, is noted beside them, with its place.

use std::collections::VecDeque;
use std::time::Instant;

use backend_core::{Gap, MessageEnvelope};

/// How many envelopes a reader carries off at a time.
pub(crate) const BATCH: usize = 32;

#[derive(Debug, Default)]
pub(crate) struct Batch {
    envelopes: VecDeque<MessageEnvelope>,
    /// In the order of their places.
    notes: VecDeque<Note>,
    /// How many envelopes have been handed out.
    popped: usize,
}

#[derive(Debug)]
struct Note {
    /// How many envelopes of this batch come before.
    place: usize,
    what: Noted,
}

#[derive(Debug)]
enum Noted {
    /// A gap lies before the envelope in this place.
    Gap(Gap),
    /// The ttl of the envelope in this place runs out then.
    Expires(Instant),
}

/// What is handed out.
#[derive(Debug)]
pub(crate) enum Item {
    /// An envelope, and when its ttl runs out.
    Message(MessageEnvelope, Option<Instant>),
    Gap(Gap),
}

impl Batch {
    pub(crate) fn is_empty(&self) -> bool {
        self.envelopes.is_empty() && self.notes.is_empty()
    }

    /// How many envelopes are in it.
    pub(crate) fn messages(&self) -> usize {
        self.envelopes.len()
    }

    pub(crate) fn pop(&mut self) -> Option<Item> {
        let mut expires = None;
        if let Some(note) = self.notes.front().filter(|note| note.place == self.popped) {
            let what = match note.what {
                Noted::Gap(gap) => Some(Item::Gap(gap)),
                Noted::Expires(at) => {
                    expires = Some(at);
                    None
                }
            };
            self.notes.pop_front();
            if what.is_some() {
                return what;
            }
        }
        let envelope = self.envelopes.pop_front();
        match &envelope {
            Some(_) => self.popped += 1,
            None => self.popped = 0,
        }
        envelope.map(|envelope| Item::Message(envelope, expires))
    }

    pub(crate) fn push_message(&mut self, envelope: MessageEnvelope, expires: Option<Instant>) {
        if let Some(at) = expires {
            self.note(Noted::Expires(at));
        }
        self.envelopes.push_back(envelope);
    }

    /// Appends a gap; one of the same cause with nothing in between is part of the same episode.
    pub(crate) fn push_gap(&mut self, gap: Gap) {
        let end = self.end();
        match self.notes.back_mut() {
            Some(Note { place, what: Noted::Gap(last) })
                if *place == end && last.cause == gap.cause =>
            {
                last.missed =
                    last.missed.zip(gap.missed).map(|(one, other)| one.saturating_add(other));
            }
            _ => self.note(Noted::Gap(gap)),
        }
    }

    fn note(&mut self, what: Noted) {
        self.notes.push_back(Note { place: self.end(), what });
    }

    fn end(&self) -> usize {
        self.popped + self.envelopes.len()
    }
}
