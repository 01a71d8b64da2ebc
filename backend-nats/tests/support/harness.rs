//! What the suite needs to know: instances on one server or on several, each behind a wire that can be
//! cut.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use backend_core::Backend;
use backend_nats::NatsBackend;
use backend_testkit::{BoxError, Claims, Cluster, Faults, Harness, Probe, async_trait, checks};
use engine_harness::{Proxy, Wire, leave_out};
use futures_util::future::try_join_all;
use uuid::Uuid;

use super::{Nats, PROGRAM, subjects};

/// What the server takes unless told otherwise is 1 MiB; names and numbers need some of it.
const MAX_DATA: usize = 1024 * 1024 - 1024;

const CAPACITY: usize = 64;

/// Runs the whole suite over the servers that are started, if it can be; on wires on which everything
/// takes `delay`, each way.
pub fn conform(
    name: &'static str,
    delay: Duration,
    start: impl AsyncFnOnce() -> engine_harness::Result<Vec<Nats>>,
) -> ExitCode {
    let names = checks().map(|check| format!("{name}::{}", check.name()));
    if let Some(ignored) = leave_out(PROGRAM, names) {
        return ignored;
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be started");
    let running = runtime.block_on(start()).expect("the servers start");
    let servers = running.iter().map(Nats::address).collect();
    backend_testkit::run(OnServers { name, servers, delay })
}

/// Instances on these servers, in turn.
struct OnServers {
    name: &'static str,
    servers: Vec<Address>,
    delay: Duration,
}

/// Where a server listens, and where it can be asked what it holds.
#[derive(Clone, Copy)]
pub struct Address {
    pub server: SocketAddr,
    pub monitor: SocketAddr,
}

#[async_trait]
impl Harness for OnServers {
    fn name(&self) -> &str {
        self.name
    }

    fn claims(&self) -> Claims {
        Claims::new()
            .with_health()
            .with_counters()
            .with_probe()
            .with_faults()
            .with_capacity(CAPACITY)
            .with_exact_gaps()
            .with_max_data(MAX_DATA)
    }

    async fn cluster(&self, instances: usize) -> Result<Cluster, BoxError> {
        // A namespace of its own is a bus of its own.
        let namespace = Uuid::new_v4().to_string();
        let connecting = (0..instances).map(|index| self.connect(&namespace, index));
        let (mut wires, mut names, mut backends) = (Vec::new(), Vec::new(), Vec::new());
        for (wire, name, backend) in try_join_all(connecting).await? {
            wires.push(wire);
            names.push(name);
            backends.push(backend);
        }
        Ok(Cluster::new(backends).with_faults(Wires(wires)).with_probe(Connections(names)))
    }
}

impl OnServers {
    async fn connect(
        &self,
        namespace: &str,
        index: usize,
    ) -> Result<(Proxy, (SocketAddr, String), Arc<dyn Backend>), BoxError> {
        let address = self.servers[index % self.servers.len()];
        let wire = Proxy::with_delay(address.server, self.delay).await?;
        let name = format!("{namespace} {index}");
        let backend = NatsBackend::builder()
            .servers(format!("nats://{}", wire.address))
            .namespace(namespace)
            .client_name(&name)
            .capacity(CAPACITY)
            .backoff(Duration::from_millis(5), Duration::from_millis(100))
            .connect()
            .await?;
        Ok((wire, (address.monitor, name), Arc::new(backend)))
    }
}

/// Cuts the wire between an instance and the server.
struct Wires(Vec<Proxy>);

#[async_trait]
impl Faults for Wires {
    async fn cut(&self, instance: usize) -> Result<(), BoxError> {
        self.0[instance].set(Wire::Cut).await;
        Ok(())
    }

    async fn restore(&self, instance: usize) -> Result<(), BoxError> {
        self.0[instance].set(Wire::Whole).await;
        Ok(())
    }
}

/// Asks the server what it holds for an instance, which it knows by its name.
struct Connections(Vec<(SocketAddr, String)>);

#[async_trait]
impl Probe for Connections {
    async fn topics(&self, instance: usize) -> Result<u64, BoxError> {
        let (monitor, name) = &self.0[instance];
        let subjects = subjects(*monitor, name).await?;
        // Not those of the adapter itself.
        Ok(subjects.iter().filter(|subject| !subject.contains(".~~")).count() as u64)
    }
}
