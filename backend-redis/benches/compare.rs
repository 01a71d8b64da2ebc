//! The adapter against the raw client, doing the same work in turns; and how fast it is back.
//!
//! ```text
//! cargo bench -p backend-redis --bench compare
//! ```
//!
//! `ROUNDS` sets how many rounds count (15 unless set). The raw client sends the bare data, without
//! topic, number or any other promise. Both await the server's answer to each publish.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use backend_core::Backend;
use backend_redis::RedisBackend;
use bench_harness::Report;
use bytes::Bytes;
use engine_harness::Server;
use engine_harness::traffic::{
    Receiver, Sender, Side, TOPIC, compare, instances, recovery, rounds,
};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, PushInfo, PushKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

#[derive(Clone)]
struct Raw(MultiplexedConnection);

impl Sender for Raw {
    async fn send(&self, data: Bytes) {
        let mut connection = self.0.clone();
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(TOPIC).arg(&data[..]);
        let _to: i64 = publish.query_async(&mut connection).await.expect("it is published");
    }
}

struct RawStream(mpsc::UnboundedReceiver<PushInfo>, #[allow(dead_code)] MultiplexedConnection);

impl Receiver for RawStream {
    async fn receive(&mut self) {
        loop {
            let push = self.0.recv().await.expect("the connection stays");
            if push.kind == PushKind::Message {
                return;
            }
        }
    }
}

async fn connect(url: &str) -> Arc<dyn Backend> {
    let builder = RedisBackend::builder().servers(url).capacity(1 << 16);
    let builder = builder.backoff(Duration::from_millis(5), Duration::from_millis(50));
    Arc::new(builder.connect().await.expect("the server is there"))
}

async fn raw(url: &str, receivers: usize) -> (Raw, Vec<RawStream>) {
    let client = Client::open(format!("{url}/?protocol=resp3")).expect("it is a URL");
    let mut streams = Vec::new();
    for _ in 0..receivers {
        let (sender, receiver) = mpsc::unbounded_channel();
        let config = AsyncConnectionConfig::new().set_push_sender(sender);
        let mut connection = client
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .expect("the server is there");
        connection.subscribe(TOPIC).await.expect("the server is there");
        streams.push(RawStream(receiver, connection));
    }
    let connection = client.get_multiplexed_async_connection().await;
    (Raw(connection.expect("the server is there")), streams)
}

async fn answers(mut socket: TcpStream) -> bool {
    let mut answer = [0; 7];
    socket.write_all(b"PING\r\n").await.is_ok()
        && socket.read_exact(&mut answer).await.is_ok()
        && &answer == b"+PONG\r\n"
}

fn main() -> io::Result<()> {
    let runtime = Runtime::new()?;
    let mut server = runtime.block_on(Server::start(
        "redis-server",
        |port, _| {
            let port = port.to_string();
            let plain =
                ["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
            plain.map(str::to_owned).to_vec()
        },
        answers,
    ))?;
    let url = format!("redis://{}", server.address);
    let mut report = Report::new("redis", "`backend-redis` and redis-rs by itself");
    let ours = |receivers| runtime.block_on(instances(|| connect(&url), receivers));
    let theirs = |receivers| runtime.block_on(raw(&url, receivers));
    let sides = (
        &Side { name: "backend-redis", connect: &ours },
        &Side { name: "redis", connect: &theirs },
    );
    // One at a time waits for the network each time: fewer will do.
    let publishers = [(1, 10_000), (64, 100_000), (256, 100_000)];
    compare(&mut report, &runtime, sides, &publishers, rounds());
    for topics in [10, 10_000] {
        let instance = runtime.block_on(connect(&url));
        let took = runtime.block_on(recovery(&*instance, topics, async || {
            server.kill();
            server.start_again(answers).await
        }));
        let what = format!("back after a restart of the server, {topics} topics");
        report.figure(&what, took.as_secs_f64() * 1e3, "ms");
    }
    report.write()
}
