//! The adapter against async-nats doing the same work in turns.
//!
//! ```text
//! cargo bench -p backend-nats --bench nats
//! ```
//!
//! `ROUNDS` sets how many rounds count, and `-- throughput latency subscriptions recovery` which parts
//! run. Neither side waits for the server: `Ok` says that the message is in a queue to it, the
//! client's, or the adapter's before that.

#[path = "../tests/support/mod.rs"]
mod support;

use std::sync::Arc;

use async_nats::{Client, Subscriber};
use backend_core::HealthAwareBackend;
use backend_nats::NatsBackend;
use bytes::Bytes;
use engine_harness::bench::{self, Engine};
use engine_harness::traffic::{Receiver, Sender, TOPIC};
use engine_harness::{Result, Server};
use futures_util::StreamExt;
use support::Nats;

#[derive(Clone)]
struct Publisher(Client);

impl Sender for Publisher {
    async fn send(&mut self, data: Bytes) {
        self.0.publish(TOPIC, data).await.expect("it is published");
    }
}

struct Stream(Subscriber);

impl Receiver for Stream {
    async fn receive(&mut self) {
        self.0.next().await.expect("the connection stays");
    }
}

struct OverNats(Nats);

impl Engine for OverNats {
    const NAME: &'static str = "nats";
    const ADAPTER: &'static str = "backend-nats";
    const CLIENT: &'static str = "async-nats";
    const SUBSCRIPTIONS: &'static str = "as many of one connection";

    type Sender = Publisher;
    type Receiver = Stream;

    async fn start() -> Result<Self> {
        Ok(Self(Nats::start().await?))
    }

    async fn start_again(&mut self) -> Result {
        self.0.start_again().await
    }

    fn server(&mut self) -> &mut Server {
        &mut self.0.server
    }

    async fn instance(&self, capacity: usize) -> Result<Arc<dyn HealthAwareBackend>> {
        let builder = NatsBackend::builder().servers(self.0.url()).capacity(capacity);
        Ok(Arc::new(builder.connect().await?))
    }

    async fn sender(&self) -> Result<Publisher> {
        Ok(Publisher(self.0.client().await?))
    }

    async fn receiver(&self) -> Result<Stream> {
        let only = self.subscriptions(1).await?.pop();
        Ok(only.ok_or("there is one")?)
    }

    async fn subscriptions(&self, number: usize) -> Result<Vec<Stream>> {
        let client = self.0.client().await?;
        let mut streams = Vec::new();
        for _ in 0..number {
            streams.push(Stream(client.subscribe(TOPIC).await?));
        }
        // What comes back behind them says that the server has them; a flush does not.
        let inbox = client.new_inbox();
        let mut echo = client.subscribe(inbox.clone()).await?;
        client.publish(inbox, Bytes::new()).await?;
        echo.next().await.ok_or("the connection stays")?;
        Ok(streams)
    }
}

fn main() -> Result {
    bench::run::<OverNats>()
}
