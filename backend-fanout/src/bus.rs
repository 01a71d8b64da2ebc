//! What endpoints share.

use std::sync::Arc;

use crate::directory::Directory;
use crate::endpoint::{Endpoint, OnRelease};
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
        self.endpoint(None)
    }

    /// As [`attach`](Self::attach), for the endpoint of a backend over an engine: it is told when
    /// a topic's subscription at the engine is needed no more.
    ///
    /// `on_release` is called with the topic's name each time the last open subscription of the
    /// endpoint to it has gone, dropped or unsubscribed; [`close`](Endpoint::close) calls nothing.
    /// It runs on the thread that let go, which may be in no runtime, with no lock held. It must
    /// return at once: put the name into a set and wake a task. Somebody may have subscribed again
    /// by the time that task looks: [`Endpoint::is_subscribed`] tells.
    ///
    /// ```
    /// use std::sync::{Arc, Mutex};
    /// use backend_fanout::Bus;
    ///
    /// let released = Arc::new(Mutex::new(Vec::new()));
    /// let names = Arc::clone(&released);
    /// let users = Bus::new().attach_with_release(move |topic| {
    ///     names.lock().unwrap().push(topic.to_owned());
    /// });
    ///
    /// let (first, second) = (users.subscribe("orders")?, users.subscribe("orders")?);
    /// drop(first);
    /// assert!(released.lock().unwrap().is_empty() && users.is_subscribed("orders"));
    /// drop(second);
    /// assert_eq!(*released.lock().unwrap(), ["orders"]);
    /// # Ok::<(), backend_core::Error>(())
    /// ```
    #[must_use]
    pub fn attach_with_release(
        &self,
        on_release: impl Fn(&str) + Send + Sync + 'static,
    ) -> Endpoint {
        self.endpoint(Some(Box::new(on_release)))
    }

    fn endpoint(&self, on_release: Option<OnRelease>) -> Endpoint {
        // Relaxed: the number need only be its own.
        let id = self.next_endpoint.fetch_add(1, Ordering::Relaxed);
        Endpoint::new(self.clone(), id, on_release)
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
