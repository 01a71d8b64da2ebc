//! A backend behind `Arc<dyn Backend>`, `Box` and `&` passes the whole suite, like the one inside.

mod support;

use std::sync::Arc;

use backend_core::{
    Backend, HealthAwareBackend, MessageEnvelope, ObservableBackend, Result, Subscription,
};
use backend_testkit::{Level, Suite, async_trait};
use support::{Memory, Wrap};

#[test]
fn the_whole_suite_through_arc_dyn() {
    passes_behind(|backend| Arc::new(backend as Arc<dyn Backend>));
}

#[test]
fn the_whole_suite_through_box_dyn() {
    passes_behind(|backend| Arc::new(Box::new(backend) as Box<dyn Backend>));
}

#[test]
fn the_whole_suite_through_a_reference() {
    passes_behind(|backend| Arc::new(ByReference(backend)));
}

fn passes_behind(wrap: Wrap) {
    let report = Suite::new(Memory { wrap, ..Memory::new() }).report();
    let failed: Vec<String> = report
        .failures()
        .map(|outcome| format!("{}: {}", outcome.check.name(), outcome.verdict))
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
    assert_eq!(report.level(), Some(Level::FaultTested));
}

/// Every call goes through `&dyn Backend`, as it does where a service hands one to a function.
struct ByReference(Arc<dyn Backend>);

impl ByReference {
    fn inner(&self) -> &dyn Backend {
        &*self.0
    }
}

#[async_trait]
impl Backend for ByReference {
    async fn publish(&self, envelope: MessageEnvelope) -> Result<()> {
        <&dyn Backend as Backend>::publish(&self.inner(), envelope).await
    }

    async fn subscribe(&self, topic: &str) -> Result<Subscription> {
        <&dyn Backend as Backend>::subscribe(&self.inner(), topic).await
    }

    async fn unsubscribe(&self, topic: &str) -> Result<()> {
        <&dyn Backend as Backend>::unsubscribe(&self.inner(), topic).await
    }

    async fn close(&self) -> Result<()> {
        <&dyn Backend as Backend>::close(&self.inner()).await
    }

    fn as_health_aware(&self) -> Option<&dyn HealthAwareBackend> {
        self.0.as_health_aware()
    }

    fn as_observable(&self) -> Option<&dyn ObservableBackend> {
        self.0.as_observable()
    }
}
