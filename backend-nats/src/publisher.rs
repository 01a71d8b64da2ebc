//! Everything that this connection publishes goes through here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use async_nats::client::Statistics;
use async_nats::{Client, PublishError, Subject};
use bytes::Bytes;
use futures_util::FutureExt;
use tokio::task::unconstrained;

/// The client, and how much is in its queue. A clone is the same one.
#[derive(Clone, Debug)]
pub(crate) struct Publisher {
    client: Client,
    /// How many messages were put into the client's queue, and how many it has taken out of it.
    /// Relaxed: nobody relies on them.
    queued: Arc<AtomicU64>,
    taken: Arc<Statistics>,
}

impl Publisher {
    pub(crate) fn new(client: Client) -> Self {
        let taken = client.statistics();
        // The client has published nothing by itself.
        let queued = Arc::new(AtomicU64::new(taken.out_messages.load(Relaxed)));
        Self { client, queued, taken }
    }

    /// Whether nothing is in the client's queue, about.
    pub(crate) fn is_idle(&self) -> bool {
        self.taken.out_messages.load(Relaxed) >= self.queued.load(Relaxed)
    }

    /// Puts a message into the client's queue, and waits while that is full.
    pub(crate) async fn publish(&self, to: Subject, message: Bytes) -> Result<(), PublishError> {
        let published = self.client.publish(to, message).await;
        // Behind it: one that nobody waited for any more was not put into the queue.
        self.queued.fetch_add(1, Relaxed);
        published
    }

    /// The same without waiting. `None`: the queue is full.
    pub(crate) fn try_publish(
        &self,
        to: Subject,
        message: Bytes,
    ) -> Option<Result<(), PublishError>> {
        // Not constrained: an exhausted budget would look like a full queue.
        unconstrained(self.publish(to, message)).now_or_never()
    }
}
