//! How long each operation takes, by itself.
//!
//! ```text
//! cargo bench -p backend-fanout --bench operations
//! ```
//!
//! To see whether a change makes one faster: criterion holds each against what it was the last time.
//! How the fan-out does against others is what `backend-memory`'s bench `compare` measures.

mod support;

use std::hint::black_box;
use std::time::{Duration, Instant};

use backend_fanout::Bus;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};

use support::{Parties, TOPIC};

/// How many are published, or read, at a time.
const BATCH: usize = 32;

/// How many topics are alive besides, where it says so.
const TOPICS: usize = 100_000;

fn main() {
    let criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    let mut criterion = criterion.configure_from_args();
    publish(&mut criterion.benchmark_group("publish"));
    receive(&mut criterion.benchmark_group("receive"));
    subscribe(&mut criterion.benchmark_group("subscribe and drop"));
    criterion.final_summary();
}

fn publish(group: &mut BenchmarkGroup<'_, WallTime>) {
    group.bench_function("to nobody", |bencher| {
        let parties = Parties::new(BATCH, 0);
        bencher.iter(|| parties.publish(1));
    });
    group.bench_function("to nobody, with 100,000 other topics", |bencher| {
        let parties = Parties::new(BATCH, 0);
        let others = parties.publisher.bus().attach();
        let subscribe = |number| others.subscribe(&format!("others/{number}"));
        let _others: Vec<_> = (0..TOPICS).map(subscribe).collect();
        bencher.iter(|| parties.publish(1));
    });
    for readers in [1, 64] {
        group.bench_function(format!("to {readers}"), |bencher| {
            let mut parties = Parties::new(BATCH, readers);
            // In batches that are read when the clock has stopped: nothing is lost.
            bencher.iter_custom(|times| {
                batches(times, |batch| {
                    let since = Instant::now();
                    parties.publish(batch);
                    let time = since.elapsed();
                    parties.drain();
                    time
                })
            });
        });
    }
    group.bench_function("to a stalled reader", |bencher| {
        let parties = Parties::with_stalled_reader();
        bencher.iter(|| parties.publish(1));
    });
}

fn receive(group: &mut BenchmarkGroup<'_, WallTime>) {
    group.bench_function("when there is nothing", |bencher| {
        let mut parties = Parties::new(BATCH, 1);
        bencher.iter(|| parties.drain());
    });
    group.bench_function("after parking and a wake-up", |bencher| {
        let mut parties = Parties::new(BATCH, 1);
        bencher.iter(|| parties.wake());
    });
    for readers in [1, 64] {
        group.throughput(Throughput::Elements(readers));
        group.bench_function(format!("by {readers}"), |bencher| {
            let mut parties = Parties::new(BATCH, readers as usize);
            bencher.iter_custom(|times| {
                batches(times, |batch| {
                    parties.publish(batch);
                    let since = Instant::now();
                    parties.drain();
                    since.elapsed()
                })
            });
        });
    }
}

fn subscribe(group: &mut BenchmarkGroup<'_, WallTime>) {
    for others in [0, 64] {
        group.bench_function(format!("beside {others} others"), |bencher| {
            let parties = Parties::new(BATCH, others);
            bencher.iter(|| drop(black_box(parties.publisher.subscribe(TOPIC))));
        });
    }
    group.bench_function("a topic of its own", |bencher| {
        let endpoint = Bus::new().attach();
        let topics: Vec<_> = (0..1_000).map(|number| format!("fresh/{number}")).collect();
        let mut topics = topics.iter().cycle();
        bencher.iter(|| {
            let topic = topics.next().expect("they never end");
            drop(black_box(endpoint.subscribe(topic)));
        });
    });
}

/// The time of so many operations, a batch at a time.
fn batches(times: u64, mut time_of: impl FnMut(usize) -> Duration) -> Duration {
    let (whole, rest) = (times / BATCH as u64, times % BATCH as u64);
    let time = (0..whole).map(|_| time_of(BATCH)).sum::<Duration>();
    time + time_of(rest as usize)
}
