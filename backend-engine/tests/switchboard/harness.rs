//! What the suite needs to know of the switchboard.

use std::sync::Arc;
use std::time::Duration;

use backend_core::{Backend, BoxError};
use backend_engine::{EngineBackend, Options};
use backend_testkit::{Claims, Cluster, Faults, Harness, Probe, async_trait};

use super::driver::SwitchboardDriver;
use super::{MAX_DATA, Switchboard};

const CAPACITY: usize = 64;

/// Instances on a switchboard of their own.
pub(crate) struct Switchboards {
    pub(crate) name: &'static str,
    pub(crate) namespace: &'static str,
    /// Makes one.
    pub(crate) new: fn() -> Switchboard,
}

#[async_trait]
impl Harness for Switchboards {
    fn name(&self) -> &str {
        self.name
    }

    fn claims(&self) -> Claims {
        Claims::new()
            .with_total_order()
            .with_health()
            .with_counters()
            .with_probe()
            .with_faults()
            .with_capacity(CAPACITY)
            .with_exact_gaps()
            .with_max_data(MAX_DATA - 4 * 1024)
    }

    async fn cluster(&self, instances: usize) -> Result<Cluster, BoxError> {
        let switchboard = Arc::new((self.new)());
        let mut backends = Vec::new();
        for caller in 0..instances {
            let driver = SwitchboardDriver { switchboard: Arc::clone(&switchboard), caller };
            let mut options = Options::default();
            options.namespace = self.namespace.to_owned();
            options.capacity = CAPACITY;
            options.backoff = (Duration::from_millis(1), Duration::from_millis(10));
            let backend = EngineBackend::connect(driver, options).await?;
            backends.push(Arc::new(backend) as Arc<dyn Backend>);
        }
        let (faults, probe) = (Operator(Arc::clone(&switchboard)), Operator(switchboard));
        Ok(Cluster::new(backends).with_faults(faults).with_probe(probe))
    }
}

/// Who can pull plugs, and see who listens to what.
struct Operator(Arc<Switchboard>);

#[async_trait]
impl Faults for Operator {
    async fn cut(&self, instance: usize) -> Result<(), BoxError> {
        self.0.cut(instance);
        Ok(())
    }

    async fn restore(&self, instance: usize) -> Result<(), BoxError> {
        self.0.restore(instance);
        Ok(())
    }
}

#[async_trait]
impl Probe for Operator {
    async fn topics(&self, instance: usize) -> Result<u64, BoxError> {
        Ok(self.0.names(instance))
    }
}
