//! Pointers to a backend are backends: `Arc<B>`, `Box<B>` and `&B`, for `dyn Backend` too.

use std::sync::Arc;

use crate::{
    Backend, BackendStats, HealthAwareBackend, MessageEnvelope, ObservableBackend,
    ReconnectCallback, Result, Subscription,
};

macro_rules! forward {
    ($($pointer:ty),* $(,)?) => {$(
        #[async_trait::async_trait]
        impl<B: Backend + ?Sized> Backend for $pointer {
            async fn publish(&self, envelope: MessageEnvelope) -> Result<()> {
                (**self).publish(envelope).await
            }

            async fn subscribe(&self, topic: &str) -> Result<Subscription> {
                (**self).subscribe(topic).await
            }

            async fn unsubscribe(&self, topic: &str) -> Result<()> {
                (**self).unsubscribe(topic).await
            }

            async fn close(&self) -> Result<()> {
                (**self).close().await
            }

            fn as_health_aware(&self) -> Option<&dyn HealthAwareBackend> {
                (**self).as_health_aware()
            }

            fn as_observable(&self) -> Option<&dyn ObservableBackend> {
                (**self).as_observable()
            }
        }

        impl<B: HealthAwareBackend + ?Sized> HealthAwareBackend for $pointer {
            fn is_healthy(&self) -> bool {
                (**self).is_healthy()
            }

            fn on_reconnect(&self, callback: ReconnectCallback) {
                (**self).on_reconnect(callback);
            }
        }

        impl<B: ObservableBackend + ?Sized> ObservableBackend for $pointer {
            fn stats(&self) -> BackendStats {
                (**self).stats()
            }
        }
    )*};
}

forward!(Arc<B>, Box<B>, &B);
