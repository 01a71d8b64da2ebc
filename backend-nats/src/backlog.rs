//! What of one topic has arrived and is not read yet.
//!
//! Taking a message out of the client's queue takes some nanoseconds, and reading one in JSON may take
//! a millisecond. So the queue is emptied into this backlog whenever the topic's task has its turn,
//! and read from here. The backlog is bounded in bytes, as the client's queue is not; when it is full
//! the oldest go, as everywhere else.

use std::collections::VecDeque;

use async_nats::Subscriber;
use backend_engine::{Inbox, wire};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use tokio::task::unconstrained;

use crate::forward::QUEUE;

/// How many bytes wait at most.
const BYTES: usize = 16 * 1024 * 1024;

/// How many messages are given to the fan-out at once.
const AT_ONCE: usize = 32;

/// How many bytes are read before others on the thread get their turn, and how many messages.
const TURN_BYTES: usize = 256 * 1024;
const TURN: usize = 1024;

#[derive(Debug, Default)]
pub(crate) struct Backlog {
    frames: VecDeque<Bytes>,
    bytes: usize,
}

impl Backlog {
    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Appends a frame. Says whether one without a number had to go for it: nothing else tells of
    /// that one.
    pub(crate) fn push(&mut self, frame: Bytes) -> bool {
        self.bytes += frame.len();
        self.frames.push_back(frame);
        let mut untold = false;
        while self.bytes > BYTES && self.frames.len() > 1 {
            untold |= self.pop().is_some_and(|frame| wire::peek_origin(&frame).is_none());
        }
        untold
    }

    /// Takes over what the client has by now; says the same.
    pub(crate) fn fill(&mut self, messages: &mut Subscriber) -> bool {
        let mut untold = false;
        for _ in 0..QUEUE {
            // Not constrained, for an exhausted budget looks like an empty queue.
            let Some(Some(message)) = unconstrained(messages.next()).now_or_never() else { break };
            untold |= self.push(message.payload);
        }
        untold
    }

    /// Hands on the oldest, as much as is fit for one turn.
    pub(crate) fn hand_on(&mut self, name: &str, inbox: &Inbox) {
        let (mut frames, mut bytes) = (0, 0);
        let mut batch = Vec::with_capacity(AT_ONCE);
        while !self.is_empty() && frames < TURN && bytes < TURN_BYTES {
            while batch.len() < AT_ONCE && bytes < TURN_BYTES {
                let Some(frame) = self.pop() else { break };
                (frames, bytes) = (frames + 1, bytes + frame.len());
                batch.push(frame);
            }
            // Taken out before: an inbox that is not read any more, as that of a lost connection,
            // takes none of them.
            inbox.deliver_all(name, batch.drain(..));
        }
    }

    fn pop(&mut self) -> Option<Bytes> {
        let frame = self.frames.pop_front()?;
        self.bytes -= frame.len();
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_and_only_those_without_a_number_are_told() {
        let (mut backlog, mebibyte) = (Backlog::default(), 1024 * 1024);
        let numbered = |first: u8| {
            let mut frame = vec![first; mebibyte];
            frame[..2].copy_from_slice(&[0xF7, 1]);
            Bytes::from(frame)
        };
        assert!(wire::peek_origin(&numbered(2)).is_some());
        for first in 0..16 {
            assert!(!backlog.push(numbered(first)), "there is room");
        }
        assert!(!backlog.push(Bytes::from(vec![b'{'; mebibyte])), "its number tells of the first");
        assert_eq!((backlog.frames.len(), backlog.frames[0][2]), (16, 1));
        for _ in 1..16 {
            assert!(!backlog.push(numbered(0)));
        }
        assert!(backlog.push(numbered(0)), "nothing else tells of the one in JSON");
        assert_eq!(backlog.bytes, 16 * mebibyte);
        backlog.push(Bytes::from(vec![0; 32 * mebibyte]));
        assert_eq!(backlog.frames.len(), 1, "the newest stays, however large");
    }
}
