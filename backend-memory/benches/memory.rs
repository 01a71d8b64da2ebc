//! How much of the heap it takes, counted by an allocator that counts.
//!
//! ```text
//! cargo bench -p backend-memory --bench memory
//! ```

use std::env;

use backend_core::{Backend, MessageEnvelope, Subscription};
use backend_memory::MemoryBackend;
use bench_harness::{Plot, Report, Samples};
use futures_util::FutureExt;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// An envelope of the benches' data.
const DATA: &[u8] = b"hello hello hello hello";

fn main() -> std::io::Result<()> {
    // As part of `cargo test --all-targets` it has only been built.
    if !env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let _counting = dhat::Profiler::builder().testing().build();
    let mut report = Report::new("heap", "What it takes of the heap");
    let mut by_topics = Vec::new();
    for (topics, most) in [(1_000, None), (10_000, None), (100_000, None), (1_000_000, Some(500.0))]
    {
        let bytes = idle_topics(topics);
        let what = format!("an idle topic with one subscription, of {topics}");
        figure(&mut report, &what, bytes, most);
        by_topics.push((topics as f64, bytes));
    }
    Plot::new("heap-by-topics", "idle topics with a subscription each", "bytes for each topic")
        .with_line("backend-memory", by_topics)
        .write()?;
    for readers in [1_000, 100_000] {
        let what = format!("a subscription, of {readers} to one topic, each on its own instance");
        figure(&mut report, &what, subscriptions(readers), None);
    }
    figure(&mut report, "an envelope, as it is built", envelope(), None);
    figure(&mut report, "the place of an envelope that waits, besides", waiting(1_024), None);
    let churn = "left by 1,000,000 times subscribe and drop, in all";
    figure(&mut report, churn, subscribed_and_dropped(1_000_000), Some(0.0));
    report.write()
}

fn figure(report: &mut Report, what: &str, bytes: f64, at_most: Option<f64>) {
    report.figure(what, "bytes", &Samples::from_iter([bytes]), at_most);
}

fn heap() -> f64 {
    dhat::HeapStats::get().curr_bytes as f64
}

fn subscribe(instance: &MemoryBackend, topic: &str) -> Subscription {
    instance.subscribe(topic).now_or_never().expect("nothing waits").expect("it is open")
}

/// With the handle, and the maps that find it.
fn idle_topics(topics: usize) -> f64 {
    let names: Vec<_> = (0..topics).map(|number| format!("topic/{number}")).collect();
    let instance = MemoryBackend::new();
    let before = heap();
    let mut handles = Vec::with_capacity(topics);
    handles.extend(names.iter().map(|name| subscribe(&instance, name)));
    (heap() - before) / topics as f64
}

/// With the instance that it belongs to.
fn subscriptions(readers: usize) -> f64 {
    let first = MemoryBackend::new();
    let before = heap();
    let mut handles = Vec::with_capacity(readers);
    handles.extend((0..readers).map(|_| {
        let instance = first.fork();
        (subscribe(&instance, "bench"), instance)
    }));
    (heap() - before) / readers as f64
}

fn envelope() -> f64 {
    let before = heap();
    let _one = MessageEnvelope::new("bench", DATA);
    heap() - before
}

fn waiting(envelopes: usize) -> f64 {
    let here = MemoryBackend::new();
    let there = here.fork();
    let _stalled = subscribe(&there, "bench");
    let published = MessageEnvelope::new("bench", DATA);
    let before = heap();
    for _ in 0..envelopes {
        here.publish_now(published.clone()).expect("it is open");
    }
    (heap() - before) / envelopes as f64
}

fn subscribed_and_dropped(times: usize) -> f64 {
    let instance = MemoryBackend::new();
    let subscribe_and_drop = |times| {
        for number in 0..times {
            drop(subscribe(&instance, &format!("topic/{}", number % 1_000)));
        }
    };
    // So that the room is there that a map keeps in any case.
    subscribe_and_drop(1_000);
    let before = heap();
    subscribe_and_drop(times);
    heap() - before
}
