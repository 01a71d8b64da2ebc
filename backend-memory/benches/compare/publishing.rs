//! Publishing where nobody else subscribes, and making and dropping subscriptions.

use std::hint::black_box;
use std::time::Instant;

use backend_core::Backend;
use backend_memory::MemoryBackend;
use bench_harness::{Report, Samples};
use futures_util::FutureExt;
use tokio::runtime::Runtime;

use crate::peers::{OurReader, envelope};

const TIMES: usize = 100_000;

/// How many topics are alive besides.
const TOPICS: usize = 1_000_000;

pub(crate) fn run(report: &mut Report, _: &Runtime, rounds: usize) {
    let backend = MemoryBackend::new();
    let few = publish(&backend, rounds);
    report.figure("publish to nobody", "ns", &few, Some(40.0));
    let one = subscribe_and_drop(&backend, rounds);
    report.figure("subscribe to a fresh topic, and drop", "ns", &one, Some(1_000.0));

    let there = backend.fork();
    let others: Vec<_> = (0..TOPICS)
        .map(|number| {
            let topic = format!("others/{number}");
            there.subscribe(&topic).now_or_never().expect("nothing waits").expect("it is open")
        })
        .collect();
    let many = publish(&backend, rounds);
    let name = "publish to nobody, with 1,000,000 topics alive";
    report.figure(name, "ns", &many, Some(few.median() * 3.0));
    drop(others);
}

/// From an instance that subscribes itself, so that the topic is there.
fn publish(backend: &MemoryBackend, rounds: usize) -> Samples {
    let reader = OurReader::new(backend.fork(), "elsewhere");
    let envelope = envelope("bench");
    let samples = (0..rounds).map(|_| {
        let since = Instant::now();
        for _ in 0..TIMES {
            backend.publish_now(black_box(envelope.clone())).expect("it is open");
        }
        since.elapsed().as_nanos() as f64 / TIMES as f64
    });
    let samples = samples.collect();
    drop(reader);
    samples
}

fn subscribe_and_drop(backend: &MemoryBackend, rounds: usize) -> Samples {
    let topics: Vec<_> = (0..TIMES).map(|number| format!("fresh/{number}")).collect();
    let samples = (0..rounds).map(|_| {
        let since = Instant::now();
        for topic in &topics {
            let subscribed = backend.subscribe(topic).now_or_never();
            drop(black_box(subscribed.expect("nothing waits").expect("it is open")));
        }
        since.elapsed().as_nanos() as f64 / TIMES as f64
    });
    samples.collect()
}
