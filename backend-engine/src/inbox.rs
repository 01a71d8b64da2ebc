//! What arrives on one connection: read, counted, and given to the fan-out.

use std::sync::Weak;
use std::{fmt, iter};

use bytes::Bytes;

/// Where a [`Link`](crate::driver::Link) hands in what the engine sends it.
///
/// A clone is the same one. Frames of one name have to be handed in one after the other, in the
/// order in which they arrive; those of different names may come from different tasks.
#[derive(Clone)]
pub struct Inbox {
    to: Weak<dyn Deliver>,
    era: u64,
}

/// Takes what arrives; see [`Core`](crate::core::Core).
pub(crate) trait Deliver: Send + Sync {
    fn deliver(&self, era: u64, name: &str, frames: &mut dyn Iterator<Item = Bytes>);
    fn lost(&self, era: u64, name: &str, missed: Option<u64>);
}

impl Inbox {
    pub(crate) fn new(to: Weak<dyn Deliver>, era: u64) -> Self {
        Self { to, era }
    }

    /// A frame has arrived under this name. Never blocks, and never panics, whatever it holds: what
    /// is no frame is counted and dropped.
    pub fn deliver(&self, name: &str, frame: Bytes) {
        self.deliver_all(name, iter::once(frame));
    }

    /// The same with several frames that have arrived under one name, in this order: cheaper than
    /// one by one. Some thirty at a time are few enough to spare the readers an overflow.
    pub fn deliver_all(&self, name: &str, frames: impl IntoIterator<Item = Bytes>) {
        if let Some(to) = self.to.upgrade() {
            to.deliver(self.era, name, &mut frames.into_iter());
        }
    }

    /// Something under this name is known to be lost, such as what the engine's client has thrown
    /// away; so many, if that is known. Not for what the frames' numbers will tell by themselves.
    pub fn lost(&self, name: &str, missed: Option<u64>) {
        if let Some(to) = self.to.upgrade() {
            to.lost(self.era, name, missed);
        }
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("era", &self.era).finish_non_exhaustive()
    }
}
