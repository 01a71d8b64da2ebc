//! The whole suite over a server of its own, each instance behind a wire that can be cut.

mod support;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use backend_core::Backend;
use backend_redis::RedisBackend;
use backend_testkit::{BoxError, Claims, Cluster, Faults, Harness, Probe, async_trait};
use engine_harness::{Proxy, Wire};
use uuid::Uuid;

use support::Redis;

/// A frame may have 8 MiB unless told otherwise; names and numbers need some of it.
const MAX_DATA: usize = 8 * 1024 * 1024 - 1024;

const CAPACITY: usize = 64;

struct OneServer {
    server: SocketAddr,
}

#[async_trait]
impl Harness for OneServer {
    fn name(&self) -> &str {
        "redis"
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
            let wire = Proxy::to(self.server).await?;
            let name = format!("{namespace}/{index}");
            let backend = RedisBackend::builder()
                .servers(format!("redis://{}", wire.address))
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
        let mut client = support::client(self.server).await?;
        support::channels(&mut client, &self.names[instance]).await
    }
}

fn main() -> ExitCode {
    if !support::can_run() {
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be started");
    let redis = runtime.block_on(Redis::start()).expect("the server starts");
    backend_testkit::run(OneServer { server: redis.server.address })
}
