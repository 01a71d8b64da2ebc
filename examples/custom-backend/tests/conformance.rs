//! The backend against the whole suite, over a relay process of its own for every cluster.

mod support;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use backend_core::Backend;
use backend_testkit::{BoxError, Claims, Cluster, Faults, Harness, Probe, async_trait};
use custom_backend::frame::MAX_DATA;
use custom_backend::{Options, RelayBackend};
use tokio::sync::Mutex;
use uuid::Uuid;

use support::client::Client;
use support::proxy::{Proxy, Wire};
use support::relay::Relay;

struct Custom;

const OPTIONS: Options = Options { capacity: 64, heartbeat: Duration::from_secs(1) };

#[async_trait]
impl Harness for Custom {
    fn name(&self) -> &str {
        "custom"
    }

    fn claims(&self) -> Claims {
        Claims::new()
            .with_total_order()
            .with_health()
            .with_counters()
            .with_probe()
            .with_faults()
            .with_capacity(OPTIONS.capacity)
            .with_exact_gaps()
            .with_max_data(MAX_DATA)
    }

    async fn cluster(&self, instances: usize) -> Result<Cluster, BoxError> {
        let relay = Relay::start().await?;
        let client = Client::connect(relay.address, Uuid::new_v4()).await?;
        let (mut wires, mut ids, mut backends) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..instances {
            let wire = Proxy::to(relay.address).await?;
            let backend = RelayBackend::connect_with(wire.address.to_string(), OPTIONS).await?;
            wires.push(wire);
            ids.push(backend.instance());
            backends.push(Arc::new(backend) as Arc<dyn Backend>);
        }
        let wires = Wires { wires, _relay: relay };
        let registry = Registry { ids, client: Mutex::new(client) };
        Ok(Cluster::new(backends).with_faults(wires).with_probe(registry))
    }
}

/// Cuts the wire between an instance and the relay, which ends with the cluster.
struct Wires {
    wires: Vec<Proxy>,
    _relay: Relay,
}

#[async_trait]
impl Faults for Wires {
    async fn cut(&self, instance: usize) -> Result<(), BoxError> {
        self.wires[instance].set(Wire::Cut).await;
        Ok(())
    }

    async fn restore(&self, instance: usize) -> Result<(), BoxError> {
        self.wires[instance].set(Wire::Whole).await;
        Ok(())
    }
}

/// Asks the relay what it holds for an instance.
struct Registry {
    ids: Vec<Uuid>,
    client: Mutex<Client>,
}

#[async_trait]
impl Probe for Registry {
    async fn topics(&self, instance: usize) -> Result<u64, BoxError> {
        Ok(self.client.lock().await.topics(self.ids[instance]).await?)
    }
}

fn main() -> ExitCode {
    backend_testkit::run(Custom)
}
