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

/// How many messages are given to the fan-out at once, and with how many bytes no further ones: small
/// envelopes are many in few bytes.
const AT_ONCE: usize = 32;
const AT_ONCE_BYTES: usize = 4 * 1024;

/// How many bytes are read before others on the thread get their turn, and how many envelopes: a topic
/// keeps 1,024 for its readers, unless told otherwise, and the last messages may bring some hundreds
/// more.
const TURN_BYTES: usize = 256 * 1024;
const TURN: usize = 512;

#[derive(Debug, Default)]
pub(crate) struct Backlog {
    messages: VecDeque<Bytes>,
    bytes: usize,
}

impl Backlog {
    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Appends a message. Says whether one without a number had to go for it: nothing else tells of
    /// that one.
    pub(crate) fn push(&mut self, message: Bytes) -> bool {
        self.bytes += message.len();
        self.messages.push_back(message);
        let mut untold = false;
        while self.bytes > BYTES && self.messages.len() > 1 {
            untold |= self.pop().is_some_and(|oldest| wire::peek_origin(&oldest).is_none());
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
        let (mut envelopes, mut bytes) = (0, 0);
        let mut batch = Vec::with_capacity(AT_ONCE);
        while !self.is_empty() && envelopes < TURN && bytes < TURN_BYTES {
            let before = bytes;
            while batch.len() < AT_ONCE && bytes - before < AT_ONCE_BYTES {
                let Some(message) = self.pop() else { break };
                bytes += message.len();
                batch.push(message);
            }
            let least = batch.len();
            // Taken out before: an inbox that is not read any more, as that of a lost connection,
            // takes none of them. What is none is work, too.
            envelopes += inbox.deliver_all(name, batch.drain(..)).max(least);
        }
    }

    fn pop(&mut self) -> Option<Bytes> {
        let message = self.messages.pop_front()?;
        self.bytes -= message.len();
        Some(message)
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
        assert_eq!((backlog.messages.len(), backlog.messages[0][2]), (16, 1));
        for _ in 1..16 {
            assert!(!backlog.push(numbered(0)));
        }
        assert!(backlog.push(numbered(0)), "nothing else tells of the one in JSON");
        assert_eq!(backlog.bytes, 16 * mebibyte);
        backlog.push(Bytes::from(vec![0; 32 * mebibyte]));
        assert_eq!(backlog.messages.len(), 1, "the newest stays, however large");
    }
}
