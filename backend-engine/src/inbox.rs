//! What arrives on one connection: read, counted, and given to the fan-out.

use std::sync::Weak;
use std::{fmt, iter};

use bytes::Bytes;
use futures_util::future::BoxFuture;

/// Where a [`Link`](crate::driver::Link) hands in what the engine sends it.
///
/// A clone is the same one. Messages of one name have to be handed in one after the other, in the
/// order in which they arrive; those of different names may come from different tasks.
#[derive(Clone)]
pub struct Inbox {
    to: Weak<dyn Deliver>,
    era: u64,
}

/// Takes what arrives; see [`Core`](crate::core::Core).
pub(crate) trait Deliver: Send + Sync {
    /// How many envelopes there were.
    fn deliver(&self, era: u64, name: &str, messages: &mut dyn Iterator<Item = Bytes>) -> usize;
    fn lost(&self, era: u64, name: &str, missed: Option<u64>);
    /// Ends when what has been published by now was handed over. `None`: there is no such thing.
    fn published(&self, era: u64) -> Option<BoxFuture<'static, ()>>;
}

impl Inbox {
    pub(crate) fn new(to: Weak<dyn Deliver>, era: u64) -> Self {
        Self { to, era }
    }

    /// A message has arrived under this name. Never blocks, and never panics, whatever it holds: what
    /// is no frame is counted and dropped.
    pub fn deliver(&self, name: &str, message: Bytes) {
        self.deliver_all(name, iter::once(message));
    }

    /// The same with several that have arrived under one name, in this order: cheaper than one by one.
    ///
    /// Gives how many envelopes there were: a message may have hundreds, so by that a task knows when to
    /// let readers have their turn.
    pub fn deliver_all(&self, name: &str, messages: impl IntoIterator<Item = Bytes>) -> usize {
        let to = self.to.upgrade();
        to.map_or(0, |to| to.deliver(self.era, name, &mut messages.into_iter()))
    }

    /// Returns when whatever this instance has published by now was handed to the
    /// [`Link`](crate::driver::Link), and taken by it. Never, once the connection has been given up:
    /// what it takes after that, nobody knows.
    ///
    /// For a link that answers others who ask, in their [`subscribe`](crate::driver::Link::subscribe),
    /// what was published before that.
    pub async fn published(&self) {
        let published = self.to.upgrade().and_then(|to| to.published(self.era));
        if let Some(published) = published {
            published.await;
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
