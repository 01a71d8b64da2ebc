//! What the conformance suite needs to know.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use backend_core::Backend;
use backend_redis::RedisBackend;
use backend_testkit::{BoxError, Claims, Cluster, Faults, Harness, Probe, async_trait, checks};
use engine_harness::{Proxy, Wire, leave_out};
use futures_util::future::try_join_all;
use uuid::Uuid;

use super::{PROGRAM, Redis};

/// A frame may have 8 MiB unless told otherwise; names and numbers need some of it.
const MAX_DATA: usize = 8 * 1024 * 1024 - 1024;

const CAPACITY: usize = 64;

/// Runs the whole suite over what is started, if it can be; on wires on which everything takes
/// `delay`, each way.
pub fn conform(
    name: &'static str,
    delay: Duration,
    start: impl AsyncFnOnce() -> engine_harness::Result<Servers>,
) -> ExitCode {
    let names = checks().map(|check| format!("{name}::{}", check.name()));
    if let Some(ignored) = leave_out(PROGRAM, names) {
        return ignored;
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be started");
    let Servers { master, besides } = runtime.block_on(start()).expect("the servers start");
    let server = master.server.address;
    let besides = besides.iter().map(|redis| redis.server.address).collect();
    backend_testkit::run(OnServer { name, server, besides, delay })
}

/// A master, and others that each instance may try to connect to, in vain.
pub struct Servers {
    pub master: Redis,
    pub besides: Vec<Redis>,
}

/// Instances of a cluster, each with a wire of its own to the server.
struct OnServer {
    name: &'static str,
    server: SocketAddr,
    besides: Vec<SocketAddr>,
    delay: Duration,
}

#[async_trait]
impl Harness for OnServer {
    fn name(&self) -> &str {
        self.name
    }

    fn claims(&self) -> Claims {
        Claims::new()
            // Of one server; not of a cluster.
            .with_total_order()
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
        let connections = Connections { server: self.server, names };
        Ok(Cluster::new(backends).with_faults(Wires(wires)).with_probe(connections))
    }
}

impl OnServer {
    async fn connect(
        &self,
        namespace: &str,
        index: usize,
    ) -> Result<(Proxy, String, Arc<dyn Backend>), BoxError> {
        let wire = Proxy::with_delay(self.server, self.delay).await?;
        let name = format!("{namespace}/{index}");
        let servers = self.besides.iter().chain([&wire.address]);
        let urls: Vec<_> = servers.map(|address| format!("redis://{address}")).collect();
        let backend = RedisBackend::builder()
            .servers(urls.join(","))
            .namespace(namespace)
            .client_name(&name)
            .capacity(CAPACITY)
            .backoff(Duration::from_millis(5), Duration::from_millis(100))
            .connect()
            .await?;
        Ok((wire, name, Arc::new(backend)))
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
struct Connections {
    server: SocketAddr,
    names: Vec<String>,
}

#[async_trait]
impl Probe for Connections {
    async fn topics(&self, instance: usize) -> Result<u64, BoxError> {
        let mut client = super::client(self.server).await?;
        super::channels(&mut client, &self.names[instance]).await
    }
}
