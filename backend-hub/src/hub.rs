//! The handle.

use std::fmt;
use std::sync::Arc;

use backend_core::{Backend, Error, MessageEnvelope, Result, Subscription};
use backend_fanout::{Bus, Endpoint};

use crate::merged::Merged;

/// Local delivery and a backend behind one handle.
///
/// Share it with an `Arc`. Dropping it ends its local delivery and lets go of the backend.
///
/// Order: what one instance publishes to a topic arrives everywhere in the order in which it was
/// published, if each publish is awaited before the next. Of two publishes that run at once, the
/// own subscribers may see the other one first. Between an instance's own envelopes and those of others there is no common order:
/// each instance sees its own in its own time.
pub struct Hub {
    backend: Arc<dyn Backend>,
    /// Local delivery is a bus with two ends, so that own subscribers are not the publisher.
    publisher: Endpoint,
    subscribers: Endpoint,
}

impl Hub {
    /// A hub over `backend`, which may be any backend, or an `Arc` or `Box` of one.
    ///
    /// Up to [`backend_fanout::DEFAULT_CAPACITY`] of the instance's own envelopes are kept per
    /// topic for subscribers that have not taken them.
    #[must_use]
    pub fn new(backend: impl Backend + 'static) -> Self {
        Self::with_capacity(backend, backend_fanout::DEFAULT_CAPACITY)
    }

    /// A hub that keeps up to `capacity` of the instance's own envelopes per topic.
    ///
    /// What others publish is kept by the backend, within its own capacity.
    #[must_use]
    pub fn with_capacity(backend: impl Backend + 'static, capacity: usize) -> Self {
        let bus = Bus::with_capacity(capacity);
        Self { backend: Arc::new(backend), publisher: bus.attach(), subscribers: bus.attach() }
    }

    /// Delivers an envelope to this instance's own subscribers and to all other instances.
    ///
    /// The backend goes first. What it refuses for good (too large, closed …) reaches nobody. An
    /// outage costs only the others: if the backend gives an error that
    /// [`is_retryable`](Error::is_retryable), the own subscribers get the envelope all the same,
    /// and the error is passed through, so that the caller knows that the others do not have it, or
    /// [may not](Error::may_have_taken_effect).
    ///
    /// To try again for the others, publish through [`backend`](Self::backend): through the hub,
    /// the own subscribers would see it twice.
    ///
    /// # Cancel safety
    /// When the future is dropped before it is ready, the own subscribers do not get the envelope;
    /// the others get it all or none (clause X2).
    ///
    /// # Errors
    /// Those of [`Backend::publish`].
    pub async fn publish(&self, envelope: MessageEnvelope) -> Result<()> {
        let outcome = self.backend.publish(envelope.clone()).await;
        if outcome.as_ref().err().is_none_or(Error::is_retryable) {
            // Fails only if the hub was closed meanwhile: then there are no subscribers left.
            let _ = self.publisher.publish(envelope);
        }
        outcome
    }

    /// Starts receiving what any instance publishes to `topic`, this one included.
    ///
    /// Errors and gaps of the backend pass through. A slow subscriber can fall behind in both of
    /// its sources, so that there are gaps for each. The stream ends when either source has ended,
    /// after what both have accepted by the time at which that shows; so it ends with the hub even
    /// where the backend lives on. What the other source had by then is taken over with its ttl
    /// looked at once, then.
    ///
    /// # Cancel safety
    /// Dropping the future leaves nothing behind (clause X1).
    ///
    /// # Errors
    /// Those of [`Backend::subscribe`].
    pub async fn subscribe(&self, topic: &str) -> Result<Subscription> {
        let own = self.subscribers.subscribe(topic)?;
        let others = self.backend.subscribe(topic).await?;
        Ok(Subscription::new(topic, Merged::new(own, others)))
    }

    /// Ends every subscription to `topic`, drained first: those of this hub, and those that the
    /// backend's instance has besides.
    ///
    /// # Cancel safety
    /// This hub's subscriptions have ended once the future was polled. When it is dropped before
    /// it is ready, the backend may not have been told; call again.
    ///
    /// # Errors
    /// Those of [`Backend::unsubscribe`].
    pub async fn unsubscribe(&self, topic: &str) -> Result<()> {
        self.subscribers.unsubscribe(topic)?;
        self.backend.unsubscribe(topic).await
    }

    /// Ends every subscription, drained first, and closes the backend's instance.
    ///
    /// May be called again, and raced. Afterwards everything gives [`Error::Closed`].
    ///
    /// # Cancel safety
    /// This hub's subscriptions have ended once the future was polled. When it is dropped before
    /// it is ready, the backend may not be closed; call again, or drop the last handle.
    ///
    /// # Errors
    /// Those of [`Backend::close`]; everything has ended all the same.
    pub async fn close(&self) -> Result<()> {
        self.subscribers.close();
        self.publisher.close();
        self.backend.close().await
    }

    /// The backend below, for its health and its counters, and to publish to the others alone.
    #[must_use]
    pub fn backend(&self) -> &dyn Backend {
        &*self.backend
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("closed", &self.subscribers.is_closed())
            .field("topics", &self.subscribers.topics().len())
            .finish_non_exhaustive()
    }
}
