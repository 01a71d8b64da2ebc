//! Frames that leave together: a message of the engine.
//!
//! For an engine, its client and everything on the way, the cost of a message is hardly that of its
//! bytes. So frames that wait beside one another, and are of one topic, become one message. None waits
//! for that: who is alone leaves alone.

use backend_core::{MessageEnvelope, Result};
use bytes::BytesMut;

use crate::Stamp;
use crate::driver::{Handover, Outgoing};
use crate::name::EngineName;
use crate::wire::{self, Format};

/// Frames are joined up to so many bytes. What is more than that by itself leaves alone.
const LARGEST: usize = 16 * 1024;

/// Messages are cut off one buffer, which is made anew when it has less room than it should.
const CHUNK: usize = 64 * 1024;

/// Messages in the making.
#[derive(Debug)]
pub(crate) struct Bundler {
    format: Format,
    full: Vec<Bundle>,
    /// The last message, whose frames are in the buffer; further ones may join them.
    open: Option<(EngineName, usize)>,
    buffer: BytesMut,
    frames: usize,
    bytes: usize,
}

/// A message, and how many frames it has.
#[derive(Debug)]
pub(crate) struct Bundle {
    pub(crate) outgoing: Outgoing,
    pub(crate) frames: usize,
}

impl Bundler {
    pub(crate) fn new(format: Format) -> Self {
        Self { format, full: Vec::new(), open: None, buffer: BytesMut::new(), frames: 0, bytes: 0 }
    }

    /// How many frames there are, in all messages.
    pub(crate) fn frames(&self) -> usize {
        self.frames
    }

    /// How many bytes there are, in all messages.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether a frame of this envelope would join others, where the engine takes `most` bytes.
    pub(crate) fn joins(
        &self,
        name: &EngineName,
        envelope: &MessageEnvelope,
        most: Option<usize>,
    ) -> bool {
        let is_same = self.open.as_ref().is_some_and(|(open, _)| open == name);
        // JSON is a message of its own.
        is_same && self.format == Format::Binary && {
            let length = self.buffer.len() + length(envelope);
            length <= most.map_or(LARGEST, |most| most.min(LARGEST))
        }
    }

    /// Adds a frame, to the last message or as one of its own.
    ///
    /// # Errors
    /// As [`wire::encode`]; nothing was added.
    pub(crate) fn push(
        &mut self,
        name: &EngineName,
        stamp: &Stamp,
        envelope: &MessageEnvelope,
        most: Option<usize>,
    ) -> Result<()> {
        if !self.joins(name, envelope, most) {
            self.finish();
            let needed = length(envelope).max(LARGEST);
            if self.buffer.capacity() < needed {
                // Where all that was cut off it is gone, it begins anew.
                self.buffer.reserve(CHUNK.max(needed));
            }
        }
        let before = self.buffer.len();
        wire::encode(self.format, stamp, envelope, &mut self.buffer)?;
        self.frames += 1;
        self.bytes += self.buffer.len() - before;
        match &mut self.open {
            Some((_, frames)) => *frames += 1,
            none => *none = Some((name.clone(), 1)),
        }
        Ok(())
    }

    /// Carries off all messages, in the order in which they were begun.
    pub(crate) fn take(&mut self) -> Vec<Bundle> {
        self.finish();
        (self.frames, self.bytes) = (0, 0);
        std::mem::take(&mut self.full)
    }

    /// Hands over all there is, which is one message. `None`: it was not taken, and stays.
    pub(crate) fn hand_over(
        &mut self,
        by: impl FnOnce(&Outgoing) -> Option<Handover>,
    ) -> Option<Handover> {
        self.finish();
        let handover = self.full.last().and_then(|only| by(&only.outgoing));
        if handover.is_some() {
            self.full.clear();
            (self.frames, self.bytes) = (0, 0);
        }
        handover
    }

    fn finish(&mut self) {
        if let Some((name, frames)) = self.open.take() {
            let outgoing = Outgoing { name, message: self.buffer.split().freeze() };
            self.full.push(Bundle { outgoing, frames });
        }
    }
}

/// How long a frame is in binary; in JSON, about.
pub(crate) fn length(envelope: &MessageEnvelope) -> usize {
    wire::overhead(Format::Binary, envelope).unwrap_or(0) + envelope.data().len()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::Origin;
    use crate::name::Names;

    fn stamp(sequence: u64) -> Stamp {
        Stamp { origin: Origin::from_bytes([7; 16]), epoch: 0, sequence }
    }

    /// Pushes envelopes of these topics and lengths; gives the messages as topic and lengths.
    fn bundled(
        format: Format,
        most: Option<usize>,
        envelopes: &[(&'static str, usize)],
    ) -> Vec<(String, Vec<usize>)> {
        let (names, mut bundler) = (Names::new("test"), Bundler::new(format));
        for (&(topic, length), sequence) in envelopes.iter().zip(1..) {
            let envelope = MessageEnvelope::new(topic, vec![b'x'; length]);
            bundler.push(&names.name(topic), &stamp(sequence), &envelope, most).unwrap();
        }
        let mut sequences = 1..;
        let read = |Bundle { outgoing: Outgoing { name, message }, frames }: Bundle| {
            let topic = Arc::from(name.as_str().split_once('.').unwrap().1);
            let read: Vec<_> = wire::frames(&topic, message).map(|frame| frame.unwrap()).collect();
            assert_eq!(read.len(), frames);
            for (frame, sequence) in read.iter().zip(&mut sequences) {
                assert_eq!(frame.stamp, Some(stamp(sequence)));
            }
            (topic.to_string(), read.iter().map(|frame| frame.envelope.data().len()).collect())
        };
        bundler.take().into_iter().map(read).collect()
    }

    #[test]
    fn neighbours_of_one_topic_are_one_message_and_the_order_stays() {
        let envelopes = [("a", 1), ("a", 2), ("b", 3), ("b", 4), ("b", 5), ("a", 6)];
        let expected =
            [("a".into(), vec![1, 2]), ("b".into(), vec![3, 4, 5]), ("a".into(), vec![6])];
        assert_eq!(bundled(Format::Binary, None, &envelopes), expected);
    }

    #[test]
    fn json_is_never_joined() {
        let expected = [("a".into(), vec![1]), ("a".into(), vec![2])];
        assert_eq!(bundled(Format::Json, None, &[("a", 1), ("a", 2)]), expected);
    }

    #[test]
    fn no_message_is_larger_than_it_may_be() {
        // 48 bytes besides the data: magic to lengths, and the topic.
        let head = wire::overhead(Format::Binary, &MessageEnvelope::new("topic", "")).unwrap();
        let two = [("topic", 100), ("topic", 200)];
        let (joined, apart) = (
            [("topic".into(), vec![100, 200])],
            [("topic".into(), vec![100]), ("topic".into(), vec![200])],
        );
        let exact = 2 * head + 300;
        assert_eq!(bundled(Format::Binary, Some(exact), &two), joined);
        assert_eq!(bundled(Format::Binary, Some(exact - 1), &two), apart);

        let large = [("topic", LARGEST), ("topic", 1), ("topic", LARGEST)];
        let alone = large.map(|(topic, length)| (topic.to_owned(), vec![length]));
        assert_eq!(bundled(Format::Binary, None, &large), alone);
    }

    #[test]
    fn what_cannot_be_written_leaves_nothing() {
        let (name, mut bundler) = (Names::new("test").name("a"), Bundler::new(Format::Json));
        let endless = MessageEnvelope::new("a", "").with_ttl(std::time::Duration::MAX);
        assert!(bundler.push(&name, &stamp(1), &endless, None).is_err());
        assert_eq!((bundler.frames(), bundler.bytes()), (0, 0));
        assert!(bundler.take().is_empty());
    }
}
