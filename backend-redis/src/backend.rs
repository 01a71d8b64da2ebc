//! The public type.

use std::fmt;

use async_trait::async_trait;
use backend_core::{
    Backend, BackendStats, HealthAwareBackend, MessageEnvelope, ObservableBackend,
    ReconnectCallback, Result, Subscription,
};
use backend_engine::EngineBackend;

use crate::Builder;
use crate::driver::RedisDriver;

/// One instance of a service, on Redis. Instances of one namespace on one server are linked.
///
/// [The crate's page](crate) says what it guarantees. Dropping it closes it, without waiting for
/// what is on its way out; [`close`](Backend::close) waits.
pub struct RedisBackend(EngineBackend<RedisDriver>);

impl RedisBackend {
    /// A new instance with the default options, connected to this server or to one of these, with
    /// commas between them; see [`Builder::servers`].
    ///
    /// # Errors
    /// As [`Builder::connect`].
    pub async fn connect(urls: impl AsRef<str>) -> Result<Self> {
        Self::builder().servers(urls).connect().await
    }

    /// A new instance with other options.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) fn over(engine: EngineBackend<RedisDriver>) -> Self {
        Self(engine)
    }
}

#[async_trait]
impl Backend for RedisBackend {
    async fn publish(&self, envelope: MessageEnvelope) -> Result<()> {
        self.0.publish(envelope).await
    }

    async fn subscribe(&self, topic: &str) -> Result<Subscription> {
        self.0.subscribe(topic).await
    }

    async fn unsubscribe(&self, topic: &str) -> Result<()> {
        self.0.unsubscribe(topic).await
    }

    async fn close(&self) -> Result<()> {
        self.0.close().await
    }

    fn as_health_aware(&self) -> Option<&dyn HealthAwareBackend> {
        Some(self)
    }

    fn as_observable(&self) -> Option<&dyn ObservableBackend> {
        Some(self)
    }
}

impl HealthAwareBackend for RedisBackend {
    fn is_healthy(&self) -> bool {
        self.0.is_healthy()
    }

    fn on_reconnect(&self, callback: ReconnectCallback) {
        self.0.on_reconnect(callback);
    }
}

impl ObservableBackend for RedisBackend {
    fn stats(&self) -> BackendStats {
        self.0.stats()
    }
}

impl fmt::Debug for RedisBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RedisBackend").field(&self.0).finish()
    }
}
