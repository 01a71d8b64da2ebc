//! The adapter against the raw client, doing the same work in turns.
//!
//! ```text
//! cargo bench -p backend-nats --bench compare
//! ```
//!
//! `ROUNDS` sets how many rounds count (15 unless set). The raw client sends the bare data, without
//! topic, number or any other promise.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, Subscriber};
use backend_core::{Backend, Event, MessageEnvelope, Subscription};
use backend_nats::NatsBackend;
use bench_harness::{Better, Report, Samples};
use bytes::Bytes;
use engine_harness::Server;
use engine_harness::traffic::{Load, Receiver, Sender, latencies, throughput};
use futures_util::StreamExt;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::runtime::Runtime;

const TOPIC: &str = "orders";

#[derive(Clone)]
struct Adapter(Arc<dyn Backend>);

impl Sender for Adapter {
    async fn send(&self, data: Bytes) {
        self.0.publish(MessageEnvelope::new(TOPIC, data)).await.expect("it is published");
    }
}

struct AdapterStream(Subscription, #[allow(dead_code)] Arc<dyn Backend>);

impl Receiver for AdapterStream {
    async fn receive(&mut self) {
        match self.0.recv().await {
            Some(Event::Message(_)) => {}
            other => panic!("{other:?} in place of a message"),
        }
    }
}

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

async fn adapters(url: &str, receivers: usize) -> (Adapter, Vec<AdapterStream>) {
    let connect = || async {
        let instance = NatsBackend::builder().servers(url).capacity(1 << 16).connect().await;
        Arc::new(instance.expect("the server is there")) as Arc<dyn Backend>
    };
    let mut streams = Vec::new();
    for _ in 0..receivers {
        let instance = connect().await;
        let stream = instance.subscribe(TOPIC).await.expect("the server is there");
        streams.push(AdapterStream(stream, instance));
    }
    (Adapter(connect().await), streams)
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

fn main() -> std::io::Result<()> {
    let rounds = std::env::var("ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(15);
    let runtime = Runtime::new()?;
    let server = runtime.block_on(Server::start(
        "nats-server",
        |port, _| ["-a", "127.0.0.1", "-p", &port.to_string()].map(str::to_owned).to_vec(),
        |socket| async {
            let mut line = String::new();
            BufReader::new(socket).read_line(&mut line).await.is_ok() && line.starts_with("INFO ")
        },
    ))?;
    let url = format!("nats://{}", server.address);
    let mut report = Report::new("nats", "`backend-nats` and async-nats by itself");

    for (size, messages, window) in [(100, 200_000, 8_192), (10 * 1024, 20_000, 1_024)] {
        for instances in [1, 4] {
            for publishers in [1, 64] {
                let load = Load { publishers, messages: messages / instances as u64, size, window };
                let (adapter, mut adapter_streams) = runtime.block_on(adapters(&url, instances));
                let (raw, mut raw_streams) = runtime.block_on(raw(&url, instances));
                report.compare(
                    &format!("{size} B, {publishers} publishing, {instances} receiving"),
                    "messages/s",
                    Better::More,
                    rounds,
                    &mut [
                        ("backend-nats", &mut || {
                            runtime.block_on(throughput(&adapter, &mut adapter_streams, load))
                        }),
                        ("async-nats", &mut || {
                            runtime.block_on(throughput(&raw, &mut raw_streams, load))
                        }),
                    ],
                );
            }
        }
        latency(&mut report, &runtime, &url, size, rounds);
    }
    report.write()
}

fn latency(report: &mut Report, runtime: &Runtime, url: &str, size: usize, rounds: usize) {
    let (adapter, mut adapter_streams) = runtime.block_on(adapters(url, 1));
    let (raw, mut raw_streams) = runtime.block_on(raw(url, 1));
    let (mut adapter_stream, mut raw_stream) = (adapter_streams.pop(), raw_streams.pop());
    let mut found = [[Samples::default(), Samples::default()], Default::default()];
    for round in 0..=rounds {
        let stream = adapter_stream.take().expect("it came back");
        let (ours, back) = runtime.block_on(latencies(&adapter, stream, 1_000, size));
        adapter_stream = Some(back);
        let stream = raw_stream.take().expect("it came back");
        let (theirs, back) = runtime.block_on(latencies(&raw, stream, 1_000, size));
        raw_stream = Some(back);
        if round > 0 {
            for (index, latencies) in [ours, theirs].into_iter().enumerate() {
                let micros = |one: Duration| one.as_secs_f64() * 1e6;
                let all: Samples = latencies.into_iter().map(micros).collect();
                found[0][index].push(all.median());
                found[1][index].push(all.quantile(0.99));
            }
        }
    }
    for (what, [ours, theirs]) in ["p50", "p99"].into_iter().zip(found) {
        report.add(
            &format!("{size} B, from publish to receive, {what}"),
            "µs",
            Better::Less,
            &[("backend-nats", ours), ("async-nats", theirs)],
        );
    }
}
