//! The wrapper keeps the contract: without faults all that the backend inside keeps, and in its
//! own outages what the contract says of outages.

use std::sync::{Arc, Weak};

use backend_core::{Backend, MessageEnvelope, ObservableBackend, Result, Subscription};
use backend_memory::MemoryBackend;
use backend_testkit::{
    BoxError, Claims, Cluster, Controls, Faults, Faulty, Harness, Suite, async_trait, checks,
};

const CAPACITY: usize = 64;

fn instances(count: usize) -> Vec<MemoryBackend> {
    let first = MemoryBackend::builder().capacity(CAPACITY).build();
    let forks: Vec<_> = (1..count).map(|_| first.fork()).collect();
    [first].into_iter().chain(forks).collect()
}

fn claims() -> Claims {
    Claims::new()
        .with_total_order()
        .with_health()
        .with_faults()
        .with_capacity(CAPACITY)
        .with_exact_gaps()
        .with_max_data(1 << 20)
        .with_counters()
}

/// No rules, and outages of the backend inside, which the wrapper has to pass on.
struct Untouched;

#[async_trait]
impl Harness for Untouched {
    fn name(&self) -> &str {
        "untouched"
    }

    fn claims(&self) -> Claims {
        claims()
    }

    async fn cluster(&self, count: usize) -> Result<Cluster, BoxError> {
        let inner: Vec<_> = instances(count).into_iter().map(Arc::new).collect();
        let faults = Partition(inner.iter().map(Arc::downgrade).collect());
        let all = inner.into_iter().map(|one| Arc::new(Faulty::new(one)) as Arc<dyn Backend>);
        Ok(Cluster::new(all.collect()).with_faults(faults))
    }
}

struct Partition(Vec<Weak<MemoryBackend>>);

#[async_trait]
impl Faults for Partition {
    async fn cut(&self, instance: usize) -> Result<(), BoxError> {
        if let Some(instance) = self.0[instance].upgrade() {
            instance.partition();
        }
        Ok(())
    }

    async fn restore(&self, instance: usize) -> Result<(), BoxError> {
        if let Some(instance) = self.0[instance].upgrade() {
            instance.heal();
        }
        Ok(())
    }
}

/// Scripted outages.
struct Outages;

#[async_trait]
impl Harness for Outages {
    fn name(&self) -> &str {
        "outages"
    }

    fn claims(&self) -> Claims {
        claims()
    }

    async fn cluster(&self, count: usize) -> Result<Cluster, BoxError> {
        Ok(with_scripted_outages(instances(count)))
    }
}

fn with_scripted_outages(inner: Vec<impl Backend + 'static>) -> Cluster {
    let all: Vec<_> = inner.into_iter().map(Faulty::new).collect();
    let faults = Script(all.iter().map(Faulty::controls).collect());
    let all = all.into_iter().map(|one| Arc::new(one) as Arc<dyn Backend>);
    Cluster::new(all.collect()).with_faults(faults)
}

/// The controls keep no instance alive, so they may be kept here.
struct Script(Vec<Controls>);

#[async_trait]
impl Faults for Script {
    async fn cut(&self, instance: usize) -> Result<(), BoxError> {
        self.0[instance].outage();
        Ok(())
    }

    async fn restore(&self, instance: usize) -> Result<(), BoxError> {
        self.0[instance].recover();
        Ok(())
    }
}

/// Scripted outages of a backend that knows nothing of its health.
struct OfThePlain;

struct Plain(MemoryBackend);

#[async_trait]
impl Backend for Plain {
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

    fn as_observable(&self) -> Option<&dyn ObservableBackend> {
        self.0.as_observable()
    }
}

#[async_trait]
impl Harness for OfThePlain {
    fn name(&self) -> &str {
        "outages of the plain"
    }

    fn claims(&self) -> Claims {
        claims()
    }

    async fn cluster(&self, count: usize) -> Result<Cluster, BoxError> {
        Ok(with_scripted_outages(instances(count).into_iter().map(Plain).collect()))
    }
}

fn passes_everything(harness: impl Harness) {
    let report = Suite::new(harness).report();
    assert_eq!(report.outcomes.len(), checks().count());
    let failed: Vec<_> = report
        .outcomes
        .iter()
        .filter(|outcome| !outcome.verdict.is_passed())
        .map(|outcome| format!("{}: {}", outcome.check.name(), outcome.verdict))
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

#[test]
fn without_rules_it_is_the_backend_inside() {
    passes_everything(Untouched);
}

#[test]
fn a_scripted_outage_is_an_honest_one() {
    passes_everything(Outages);
}

#[test]
fn a_scripted_outage_is_an_honest_one_also_where_the_backend_knows_no_health() {
    passes_everything(OfThePlain);
}
