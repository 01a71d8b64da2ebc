//! A harness of memory backends, for tests of the kit itself.

use std::sync::{Arc, Weak};

use backend_core::Backend;
use backend_memory::MemoryBackend;
use backend_testkit::{BoxError, Claims, Cluster, Faults, Harness, async_trait};

pub(crate) const CAPACITY: usize = 32;

/// Puts a backend behind something else.
pub(crate) type Wrap = fn(Arc<MemoryBackend>) -> Arc<dyn Backend>;

/// Memory backends, behind whatever is wanted, with these claims.
pub(crate) struct Memory {
    pub(crate) claims: Claims,
    pub(crate) known_failures: &'static str,
    pub(crate) wrap: Wrap,
}

impl Memory {
    /// All that a memory backend can claim.
    pub(crate) fn new() -> Self {
        Self { claims: all_claims(), known_failures: "", wrap: |backend| backend }
    }
}

pub(crate) fn all_claims() -> Claims {
    Claims::new()
        .with_total_order()
        .with_health()
        .with_counters()
        .with_faults()
        .with_capacity(CAPACITY)
        .with_exact_gaps()
        .with_max_data(1 << 20)
}

#[async_trait]
impl Harness for Memory {
    fn name(&self) -> &str {
        "memory"
    }

    fn claims(&self) -> Claims {
        self.claims.clone()
    }

    fn known_failures(&self) -> &str {
        self.known_failures
    }

    async fn cluster(&self, instances: usize) -> Result<Cluster, BoxError> {
        let bus = MemoryBackend::builder().capacity(CAPACITY).build();
        let all: Vec<_> = (0..instances).map(|_| Arc::new(bus.fork())).collect();
        let faults = Partition(all.iter().map(Arc::downgrade).collect());
        Ok(Cluster::new(all.into_iter().map(self.wrap).collect()).with_faults(faults))
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
