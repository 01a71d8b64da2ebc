//! The adapter against the raw client, doing the same work in turns; and how fast it is back.
//!
//! ```text
//! cargo bench -p backend-nats --bench compare
//! ```
//!
//! `ROUNDS` sets how many rounds count (15 unless set). The raw client sends the bare data, without
//! topic, number or any other promise.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, Subscriber};
use backend_core::Backend;
use backend_nats::NatsBackend;
use bench_harness::{Better, Report};
use bytes::Bytes;
use engine_harness::Server;
use engine_harness::traffic::{
    Load, Receiver, Sender, Side, Stream, TOPIC, compare, instances, recovery, rounds, throughput,
};
use futures_util::StreamExt;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

#[derive(Clone)]
struct Raw(Client);

impl Sender for Raw {
    async fn send(&self, data: Bytes) {
        self.0.publish(TOPIC, data).await.expect("it is published");
    }
}

struct RawStream(Subscriber);

impl Receiver for RawStream {
    async fn receive(&mut self) {
        self.0.next().await.expect("the connection stays");
    }
}

async fn connect(url: &str) -> Arc<dyn Backend> {
    let builder = NatsBackend::builder().servers(url).capacity(1 << 16);
    let builder = builder.backoff(Duration::from_millis(5), Duration::from_millis(50));
    Arc::new(builder.connect().await.expect("the server is there"))
}

async fn raw(url: &str, receivers: usize) -> (Raw, Vec<RawStream>) {
    let mut streams = Vec::new();
    for _ in 0..receivers {
        let client = async_nats::connect(url).await.expect("the server is there");
        let stream = client.subscribe(TOPIC).await.expect("the server is there");
        client.flush().await.expect("the server is there");
        streams.push(RawStream(stream));
    }
    (Raw(async_nats::connect(url).await.expect("the server is there")), streams)
}

async fn answers(socket: TcpStream) -> bool {
    let mut line = String::new();
    BufReader::new(socket).read_line(&mut line).await.is_ok() && line.starts_with("INFO ")
}

fn main() -> io::Result<()> {
    let runtime = Runtime::new()?;
    let mut server = runtime.block_on(Server::start(
        "nats-server",
        |port, _| ["-a", "127.0.0.1", "-p", &port.to_string()].map(str::to_owned).to_vec(),
        answers,
    ))?;
    let url = format!("nats://{}", server.address);
    let mut report = Report::new("nats", "`backend-nats` and async-nats by itself");
    let ours = |receivers| runtime.block_on(instances(|| connect(&url), receivers));
    let theirs = |receivers| runtime.block_on(raw(&url, receivers));
    let sides = (
        &Side { name: "backend-nats", connect: &ours },
        &Side { name: "async-nats", connect: &theirs },
    );
    compare(&mut report, &runtime, sides, &[(1, 200_000), (64, 200_000)], rounds());
    many_subscriptions(&mut report, &runtime, &url);
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

/// One instance with a thousand subscriptions to one topic, and a client that asks the server for
/// each: deliveries a second.
fn many_subscriptions(report: &mut Report, runtime: &Runtime, url: &str) {
    const MANY: usize = 1_000;
    let (sender, mut ours) = runtime.block_on(async {
        let instance = connect(url).await;
        let mut streams = Vec::new();
        for _ in 0..MANY {
            let stream = instance.subscribe(TOPIC).await.expect("the server is there");
            streams.push(Stream(stream, Arc::clone(&instance)));
        }
        (instances(|| connect(url), 0).await.0, streams)
    });
    let (raw_sender, mut theirs) = runtime.block_on(async {
        let client = async_nats::connect(url).await.expect("the server is there");
        let mut streams = Vec::new();
        for _ in 0..MANY {
            streams.push(RawStream(client.subscribe(TOPIC).await.expect("the server is there")));
        }
        client.flush().await.expect("the server is there");
        (raw(url, 0).await.0, streams)
    });
    let load = Load { publishers: 1, messages: 320, size: 100, window: 64 };
    report.compare(
        "100 B, one topic a thousand times on one instance",
        "messages/s",
        Better::More,
        rounds().min(5),
        &mut [
            ("backend-nats", &mut || runtime.block_on(throughput(&sender, &mut ours, load))),
            ("async-nats", &mut || runtime.block_on(throughput(&raw_sender, &mut theirs, load))),
        ],
    );
}
