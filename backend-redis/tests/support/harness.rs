//! What the conformance suite needs to know.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use backend_core::Backend;
use backend_redis::RedisBackend;
use backend_testkit::{BoxError, Claims, Cluster, Faults, Harness, Probe, async_trait};
use engine_harness::{Proxy, Wire};
use uuid::Uuid;

/// A frame may have 8 MiB unless told otherwise; names and numbers need some of it.
const MAX_DATA: usize = 8 * 1024 * 1024 - 1024;

const CAPACITY: usize = 64;

/// Instances of a cluster, each with a wire of its own to the server.
pub struct OnServer {
    name: &'static str,
    server: SocketAddr,
    besides: Vec<SocketAddr>,
    delay: Duration,
}

impl OnServer {
    pub fn new(name: &'static str, server: SocketAddr) -> Self {
        Self { name, server, besides: Vec::new(), delay: Duration::ZERO }
    }

    /// The same, with another server that each instance tries to connect to first, in vain.
    pub fn besides(mut self, other: SocketAddr) -> Self {
        self.besides.push(other);
        self
    }

    /// The same, at the end of wires on which everything takes so long, each way.
    pub fn with_delay(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }
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
        let (mut wires, mut names, mut backends) = (Vec::new(), Vec::new(), Vec::new());
        for index in 0..instances {
            let wire = Proxy::with_delay(self.server, self.delay).await?;
            let name = format!("{namespace}/{index}");
            let servers = self.besides.iter().chain([&wire.address]);
            let urls: Vec<_> = servers.map(|address| format!("redis://{address}")).collect();
            let backend = RedisBackend::builder()
                .servers(urls.join(","))
                .namespace(&namespace)
                .client_name(&name)
                .capacity(CAPACITY)
                .backoff(Duration::from_millis(5), Duration::from_millis(100))
                .connect()
                .await?;
            wires.push(wire);
            names.push(name);
            backends.push(Arc::new(backend) as Arc<dyn Backend>);
        }
        let connections = Connections { server: self.server, names };
        Ok(Cluster::new(backends).with_faults(Wires(wires)).with_probe(connections))
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
