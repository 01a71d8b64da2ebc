//! Frames that wait for the writer, and whose publishers do not wait for them.
//!
//! For engines that do not answer. See [`outbox`](crate::outbox).

use std::sync::{Mutex, MutexGuard, PoisonError};

use backend_core::{MessageEnvelope, Result};
use tokio::sync::Notify;

use crate::bundle::{Bundle, Bundler};
use crate::core::Core;
use crate::driver::Link;
use crate::press::Press;
use crate::wire::Format;

/// How many envelopes wait at most, and how many bytes, but for a single frame that is larger.
const ROOM: usize = 1024;
const ROOM_BYTES: usize = 1024 * 1024;

/// The short way out of one connection.
pub(crate) struct ShortWay {
    /// Locked with the [`Press`] locked, unless it is only for `are_out`.
    messages: Mutex<Messages>,
    some: Notify,
}

struct Messages {
    bundler: Bundler,
    /// Whether the writer has carried some off, and not handed them over yet.
    are_out: bool,
}

impl ShortWay {
    pub(crate) fn new(format: Format) -> Self {
        let messages = Messages { bundler: Bundler::new(format), are_out: false };
        Self { messages: Mutex::new(messages), some: Notify::new() }
    }

    /// Sends an envelope. `None`: there is no room, or the engine may refuse it.
    pub(crate) fn send<L: Link>(
        &self,
        press: &mut Press,
        core: &Core<L>,
        link: &L,
        envelope: &MessageEnvelope,
    ) -> Option<Result<()>> {
        let (name, most) = (press.name(core, envelope.topic()), link.max_message());
        let Messages { bundler, are_out } = &mut *self.messages();
        if bundler.frames() >= ROOM || bundler.bytes() >= ROOM_BYTES {
            return None;
        }
        // Whether it is granted has been asked for the others in the message.
        if !bundler.joins(&name, envelope, most) && !link.is_granted(&name) {
            return None;
        }
        let is_first = bundler.frames() == 0;
        let printed = press.print(&name, |stamp| bundler.push(&name, stamp, envelope, most));
        let stamp = match printed {
            Ok((stamp, ())) => stamp,
            Err(error) => return Some(Err(error)),
        };
        if is_first {
            if !*are_out
                && link.is_idle()
                && let Some(handover) = bundler.hand_over(|only| link.try_publish(only))
            {
                press.settle(&name, &stamp, &handover);
                return Some(handover.result());
            }
            self.some.notify_one();
        }
        press.count_taken();
        Some(Ok(()))
    }

    /// Returns when there may be something for the writer.
    pub(crate) async fn some(&self) {
        self.some.notified().await;
    }

    /// Carries all off.
    pub(crate) fn take(&self, _press: &Press) -> Vec<Bundle> {
        let mut messages = self.messages();
        let bundles = messages.bundler.take();
        messages.are_out = !bundles.is_empty();
        bundles
    }

    /// What was carried off has been handed over.
    pub(crate) fn taken(&self) {
        self.messages().are_out = false;
    }

    fn messages(&self) -> MutexGuard<'_, Messages> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
