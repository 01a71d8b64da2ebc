//! The adapter's side of what is compared.

use std::sync::Arc;

use backend_core::{Event, HealthAwareBackend, MessageEnvelope, Subscription};
use bytes::Bytes;

use super::Engine;
use crate::Result;
use crate::traffic::{Receiver, Sender, TOPIC};

/// Room for all that may be on its way, so that nothing is dropped.
pub(super) const CAPACITY: usize = 1 << 16;

#[derive(Clone)]
pub(super) struct Instance(pub(super) Arc<dyn HealthAwareBackend>);

impl Sender for Instance {
    async fn send(&mut self, data: Bytes) {
        self.0.publish(MessageEnvelope::new(TOPIC, data)).await.expect("it is published");
    }
}

/// A subscription, and the instance that it ends with.
pub(super) struct Stream(Subscription, #[allow(dead_code)] Instance);

impl Receiver for Stream {
    async fn receive(&mut self) {
        match self.0.recv().await {
            Some(Event::Message(_)) => {}
            other => panic!("{other:?} in place of a message"),
        }
    }
}

impl Instance {
    pub(super) async fn of(engine: &impl Engine) -> Result<Self> {
        Ok(Self(engine.instance(CAPACITY).await?))
    }

    pub(super) async fn subscribe(&self) -> Result<Stream> {
        Ok(Stream(self.0.subscribe(TOPIC).await?, self.clone()))
    }
}
