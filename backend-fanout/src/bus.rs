//! What endpoints share.

use std::sync::Arc;

use crate::directory::Directory;
use crate::endpoint::Endpoint;
use crate::sync::{AtomicU64, Ordering};

/// How many envelopes a topic keeps for its slowest reader, unless told otherwise.
pub const DEFAULT_CAPACITY: usize = 1024;

/// A set of topics that [`Endpoint`]s share.
///
/// Cloning gives another handle to the same bus. Buses of their own never meet.
#[derive(Clone, Debug)]
pub struct Bus {
    pub(crate) directory: Arc<Directory>,
    next_endpoint: Arc<AtomicU64>,
}

impl Bus {
    /// A bus that keeps up to [`DEFAULT_CAPACITY`] envelopes per topic.
    #[must_use]
    pub fn new() -> Self {
        Self::with_capacity(DEFAULT_CAPACITY)
    }

    /// A bus that keeps up to `capacity` envelopes per topic for readers that have not taken them.
    ///
    /// The capacity is exact, and it is the topic's: one ring serves all readers of a topic, so
    /// envelopes of all its publishers count, and also those that others have taken while somebody
    /// has not taken an older one. So an instance that publishes much to a topic that it subscribes
    /// to itself pushes out what its own readers leave unread. A topic takes memory for what it holds, not for its
    /// capacity; a topic whose readers have caught up holds nothing. A capacity of 0 counts as 1.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            directory: Arc::new(Directory::new(capacity)),
            next_endpoint: Arc::new(AtomicU64::new(0)),
        }
    }

    /// A new participant, linked to all others of this bus.
    #[must_use]
    pub fn attach(&self) -> Endpoint {
        // Relaxed: the number need only be its own.
        let id = self.next_endpoint.fetch_add(1, Ordering::Relaxed);
        Endpoint::new(self.clone(), id)
    }

    /// How many topics somebody subscribes to now, over all endpoints.
    #[must_use]
    pub fn topics(&self) -> usize {
        self.directory.len()
    }
}

impl Default for Bus {
    fn default() -> Self {
        Self::new()
    }
}
