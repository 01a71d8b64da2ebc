//! Options.

use backend_fanout::{Bus, DEFAULT_CAPACITY};

use crate::MemoryBackend;

/// Options of a [`MemoryBackend`]; made by [`MemoryBackend::builder`].
///
/// ```
/// use backend_memory::MemoryBackend;
///
/// let first = MemoryBackend::builder().capacity(64).build();
/// let second = first.fork();    // shares the bus, and so the capacity
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct Builder {
    capacity: usize,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self { capacity: DEFAULT_CAPACITY }
    }

    /// How many envelopes a topic keeps for readers that have not taken them; 1024 unless set.
    ///
    /// The number is exact, and it is the topic's: envelopes of all publishers count. Beyond it
    /// the oldest go, and each reader that had not taken them is told how many it has missed. It
    /// is a limit, not a reservation: a topic takes memory for what it holds. A buffer has room
    /// for one envelope at least, so 0 counts as 1.
    pub fn capacity(mut self, envelopes_per_topic: usize) -> Self {
        self.capacity = envelopes_per_topic;
        self
    }

    /// A first instance on a bus of its own; [`fork`](MemoryBackend::fork) makes the others.
    #[must_use]
    pub fn build(self) -> MemoryBackend {
        MemoryBackend::on(Bus::with_capacity(self.capacity))
    }
}
