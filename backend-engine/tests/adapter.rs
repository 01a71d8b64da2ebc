//! The whole suite over the smallest adapter: its engine is a part of the test.
//!
//! This is the file to begin with for another engine. What is above the harness is all that an
//! adapter has to write; the engine itself stands in `switchboard/mod.rs`.

mod switchboard;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use backend_core::{Backend, BoxError, Error, Result};
use backend_engine::name::EngineName;
use backend_engine::{Driver, EngineBackend, Handover, Inbox, Link, Options, Outgoing};
use backend_testkit::{Claims, Cluster, Faults, Harness, Probe, async_trait};
use bytes::Bytes;
use tokio::sync::oneshot;
use tokio_util::task::AbortOnDropHandle;

use switchboard::{Line, Received, Switchboard};

/// Makes connections.
struct SwitchboardDriver {
    switchboard: Arc<Switchboard>,
    caller: usize,
}

/// One connection.
struct SwitchboardLink {
    line: Line,
    /// Ends with the link.
    _reader: AbortOnDropHandle<()>,
}

#[async_trait]
impl Driver for SwitchboardDriver {
    type Link = SwitchboardLink;

    async fn connect(&self, inbox: Inbox) -> Result<SwitchboardLink, BoxError> {
        let (line, mut arriving) = self.switchboard.call(self.caller)?;
        let reader = tokio::spawn(async move {
            while let Some(received) = arriving.recv().await {
                match received {
                    Received::Message { name, data } => inbox.deliver(&name, data),
                    Received::Echo(back) => drop(back.send(())),
                }
            }
        });
        Ok(SwitchboardLink { line, _reader: AbortOnDropHandle::new(reader) })
    }
}

fn handover(sent: Result<(), switchboard::Disconnected>) -> Handover {
    match sent {
        Ok(()) => Handover::Taken,
        Err(error) => Handover::Refused(Error::unavailable(error)),
    }
}

#[async_trait]
impl Link for SwitchboardLink {
    fn max_frame(&self) -> Option<usize> {
        Some(switchboard::MAX_DATA)
    }

    async fn subscribe(&self, name: &EngineName) -> Result<()> {
        // Who publishes from here on finds this connection.
        self.line.listen(name.as_str()).map_err(Error::unavailable)
    }

    async fn unsubscribe(&self, name: &EngineName) -> Result<()> {
        self.line.leave(name.as_str()).map_err(Error::unavailable)
    }

    async fn publish(&self, frames: Vec<Outgoing>) -> Vec<Handover> {
        let send = |Outgoing { name, frame }| handover(self.line.send(name.as_str(), frame));
        frames.into_iter().map(send).collect()
    }

    const TAKES_AT_ONCE: bool = true;

    fn try_publish(&self, name: &EngineName, frame: Bytes) -> Option<Handover> {
        Some(handover(self.line.send(name.as_str(), frame)))
    }

    async fn ping(&self) -> Result<()> {
        // Through the queue of what arrives, and so behind everything that has.
        let (back, is_back) = oneshot::channel();
        self.line.echo(back).map_err(Error::unavailable)?;
        is_back.await.map_err(Error::unavailable)
    }

    async fn lost(&self) -> BoxError {
        self.line.disconnected().await;
        "the switchboard has hung up".into()
    }

    async fn close(&self) {}
}

const CAPACITY: usize = 64;

/// Instances on a switchboard of their own.
struct Switchboards;

#[async_trait]
impl Harness for Switchboards {
    fn name(&self) -> &str {
        "switchboard"
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
            .with_max_data(switchboard::MAX_DATA - 4 * 1024)
    }

    async fn cluster(&self, instances: usize) -> Result<Cluster, BoxError> {
        let switchboard = Arc::new(Switchboard::default());
        let mut backends = Vec::new();
        for caller in 0..instances {
            let driver = SwitchboardDriver { switchboard: Arc::clone(&switchboard), caller };
            let mut options = Options::default();
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

fn main() -> ExitCode {
    backend_testkit::run(Switchboards)
}
