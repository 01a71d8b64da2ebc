//! The memory backend against the whole suite.

use std::process::ExitCode;
use std::sync::{Arc, Weak};

use backend_core::Backend;
use backend_memory::MemoryBackend;
use backend_testkit::{BoxError, Claims, Cluster, Faults, Harness, async_trait};

struct Memory;

const CAPACITY: usize = 64;

#[async_trait]
impl Harness for Memory {
    fn name(&self) -> &str {
        "memory"
    }

    fn claims(&self) -> Claims {
        Claims::new()
            .with_total_order()
            .with_health()
            .with_counters()
            .with_faults()
            .with_capacity(CAPACITY)
            .with_exact_gaps()
            .with_max_data(1 << 20)
    }

    async fn cluster(&self, instances: usize) -> Result<Cluster, BoxError> {
        let first = MemoryBackend::builder().capacity(CAPACITY).build();
        let forks = (1..instances).map(|_| Arc::new(first.fork())).collect::<Vec<_>>();
        let all = [vec![Arc::new(first)], forks].concat();
        let faults = Partition(all.iter().map(Arc::downgrade).collect());
        let instances = all.into_iter().map(|one| one as Arc<dyn Backend>).collect();
        Ok(Cluster::new(instances).with_faults(faults))
    }
}

/// Cuts instances off their bus; weak handles, so that they may close by being dropped.
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

fn main() -> ExitCode {
    backend_testkit::run(Memory)
}
