//! The backend: an endpoint of the bus, and its health.

use async_trait::async_trait;
use backend_core::{
    Backend, BackendStats, HealthAwareBackend, MessageEnvelope, ObservableBackend,
    ReconnectCallback, Result, Subscription,
};
use backend_fanout::{Bus, Endpoint, Health};

use crate::Builder;

/// One instance on an in-process bus.
///
/// [`new`](Self::new) makes the first instance of a bus, [`fork`](Self::fork) one more. What one
/// publishes reaches all the others, and not itself. An instance is not `Clone`: share it with an
/// `Arc`, so that "the last handle" has one meaning. Dropping it closes it.
///
/// ```
/// use std::sync::Arc;
/// use backend_core::Backend;
/// use backend_memory::MemoryBackend;
///
/// let first = MemoryBackend::new();
/// let instances: [Arc<dyn Backend>; 2] = [Arc::new(first.fork()), Arc::new(first)];
/// ```
#[derive(Debug)]
pub struct MemoryBackend {
    endpoint: Endpoint,
    health: Health,
}

/// The parts of an instance's health: whether it is linked to its bus, and what it was told to say.
const LINK: &str = "link";
const LABEL: &str = "label";

impl MemoryBackend {
    /// A first instance on a bus of its own.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Options for a first instance.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) fn on(bus: Bus) -> Self {
        Self { endpoint: bus.attach(), health: Health::new() }
    }

    /// Another instance on the same bus: healthy, linked and without subscriptions, whatever this
    /// one is. Works on a closed instance too.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self::on(self.endpoint.bus().clone())
    }

    /// [`publish`](Backend::publish) without a future, for callers that know the type.
    ///
    /// It never waits. When it returns, the envelope is in the buffers of all subscriptions.
    ///
    /// # Errors
    /// [`Error::Closed`](backend_core::Error::Closed) after `close`,
    /// [`Error::Unavailable`](backend_core::Error::Unavailable) while partitioned.
    pub fn publish_now(&self, envelope: MessageEnvelope) -> Result<()> {
        self.endpoint.publish(envelope)
    }

    /// Sets what [`is_healthy`](HealthAwareBackend::is_healthy) says, and nothing else: traffic
    /// goes on. Going from unhealthy to healthy runs the callbacks of
    /// [`on_reconnect`](HealthAwareBackend::on_reconnect) before this returns.
    ///
    /// For tests of code that looks at the health. A partitioned or closed instance stays
    /// unhealthy, whatever is set here. For a real outage there is [`partition`](Self::partition).
    pub fn set_healthy(&self, healthy: bool) {
        self.health.set_part(LABEL, healthy);
    }

    /// Cuts this instance off the bus, until [`heal`](Self::heal).
    ///
    /// Publish and subscribe fail with [`Error::Unavailable`](backend_core::Error::Unavailable);
    /// what others publish does not arrive, and will not later. Subscriptions stay open: they hand
    /// out what they had accepted before, and then wait. Unsubscribe and close work as ever.
    pub fn partition(&self) {
        self.endpoint.suspend();
        self.health.update_part(LINK, || !self.endpoint.is_suspended());
    }

    /// Ends a [`partition`](Self::partition).
    ///
    /// Every open subscription goes on, with a gap of unknown size in the place of what went by;
    /// then the callbacks of [`on_reconnect`](HealthAwareBackend::on_reconnect) run, before this
    /// returns.
    pub fn heal(&self) {
        self.endpoint.resume();
        self.health.update_part(LINK, || !self.endpoint.is_suspended());
    }
}

impl Default for MemoryBackend {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for MemoryBackend {
    fn drop(&mut self) {
        self.health.close();
    }
}

#[async_trait]
impl Backend for MemoryBackend {
    async fn publish(&self, envelope: MessageEnvelope) -> Result<()> {
        // Not passed on as it is: that copies the room for an error each time, and the copy waits for
        // the stores of what came before.
        self.publish_now(envelope)?;
        Ok(())
    }

    async fn subscribe(&self, topic: &str) -> Result<Subscription> {
        self.endpoint.subscribe(topic)
    }

    async fn unsubscribe(&self, topic: &str) -> Result<()> {
        self.endpoint.unsubscribe(topic)
    }

    async fn close(&self) -> Result<()> {
        self.health.close();
        self.endpoint.close();
        Ok(())
    }

    fn as_health_aware(&self) -> Option<&dyn HealthAwareBackend> {
        Some(self)
    }

    fn as_observable(&self) -> Option<&dyn ObservableBackend> {
        Some(self)
    }
}

impl HealthAwareBackend for MemoryBackend {
    fn is_healthy(&self) -> bool {
        self.health.is_healthy()
    }

    fn on_reconnect(&self, callback: ReconnectCallback) {
        self.health.on_reconnect(callback);
    }
}

impl ObservableBackend for MemoryBackend {
    fn stats(&self) -> BackendStats {
        self.endpoint.stats()
    }
}
