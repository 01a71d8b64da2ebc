//! The adapter against redis-rs doing the same work in turns.
//!
//! ```text
//! cargo bench -p backend-redis --bench redis
//! ```
//!
//! `ROUNDS` sets how many rounds count, and `-- throughput latency subscriptions recovery` which parts
//! run. Both sides await the server's reply to what they have published. The client is used as its
//! documentation shows: multiplexed connections over RESP3, whose subscribers get what comes through a
//! channel.

#[path = "../tests/support/mod.rs"]
mod support;

use std::sync::Arc;

use backend_core::HealthAwareBackend;
use backend_redis::RedisBackend;
use bytes::Bytes;
use engine_harness::bench::{self, Engine};
use engine_harness::traffic::{Receiver, Sender, TOPIC};
use engine_harness::{Result, Server};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, AsyncTypedCommands, Client, Msg, PushInfo};
use support::Redis;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

#[derive(Clone)]
struct Publisher(MultiplexedConnection);

impl Sender for Publisher {
    async fn send(&mut self, data: Bytes) {
        self.0.publish(TOPIC, &data[..]).await.expect("it is published");
    }
}

/// What comes, and the connection that it ends with.
struct Stream(UnboundedReceiver<PushInfo>, #[allow(dead_code)] MultiplexedConnection);

impl Receiver for Stream {
    async fn receive(&mut self) {
        loop {
            let push = self.0.recv().await.expect("the connection stays");
            // Besides messages, there is word of the subscription.
            if Msg::from_push_info(push).is_some() {
                return;
            }
        }
    }
}

struct OverRedis(Redis);

impl Engine for OverRedis {
    const NAME: &'static str = "redis";
    const ADAPTER: &'static str = "backend-redis";
    const CLIENT: &'static str = "redis-rs";
    // One connection gets each message once, however often it has subscribed.
    const SUBSCRIPTIONS: &'static str = "as many connections";

    type Sender = Publisher;
    type Receiver = Stream;

    async fn start() -> Result<Self> {
        Ok(Self(Redis::start().await?))
    }

    async fn start_again(&mut self) -> Result {
        self.0.start_again().await
    }

    fn server(&mut self) -> &mut Server {
        &mut self.0.server
    }

    async fn instance(&self, capacity: usize) -> Result<Arc<dyn HealthAwareBackend>> {
        let builder = RedisBackend::builder().servers(self.0.url()).capacity(capacity);
        Ok(Arc::new(builder.connect().await?))
    }

    async fn sender(&self) -> Result<Publisher> {
        Ok(Publisher(self.0.client().await?))
    }

    async fn receiver(&self) -> Result<Stream> {
        let client = Client::open(format!("{}/?protocol=resp3", self.0.url()))?;
        let (pushed, pushes) = unbounded_channel();
        let config = AsyncConnectionConfig::new().set_push_sender(pushed);
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        // The server's answer is true.
        connection.subscribe(TOPIC).await?;
        Ok(Stream(pushes, connection))
    }

    async fn subscriptions(&self, number: usize) -> Result<Vec<Stream>> {
        let mut streams = Vec::new();
        for _ in 0..number {
            streams.push(self.receiver().await?);
        }
        Ok(streams)
    }
}

fn main() -> Result {
    bench::run::<OverRedis>()
}
