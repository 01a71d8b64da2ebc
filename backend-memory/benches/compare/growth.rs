//! What a delivery costs as readers, and topics, grow in number.

use std::hint::black_box;
use std::time::Instant;

use backend_memory::MemoryBackend;
use bench_harness::{Plot, Report, Samples};
use tokio::runtime::Runtime;

use crate::drained;
use crate::peers::{CAPACITY, OurReader, Ours, Peer, Reader, Tokio, envelope};

const READERS: [usize; 9] = [1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000];
const TOPICS: [usize; 7] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000];

/// How many deliveries a round has with many topics.
const DELIVERIES: usize = 100_000;

pub(crate) fn run(report: &mut Report, _: &Runtime, rounds: usize) {
    report.set_target(None);
    // Each point is one of many: a few rounds do.
    let rounds = rounds.div_ceil(3);
    let (mut ours, mut tokio) = (Vec::new(), Vec::new());
    for readers in READERS {
        let (mut one, mut other) =
            (drained::work::<Ours>(readers), drained::work::<Tokio>(readers));
        let (mut its, mut others) = (Samples::default(), Samples::default());
        for _ in 0..rounds {
            its.push(one());
            others.push(other());
        }
        report.figure(&format!("a delivery, of {readers} readers"), "ns", &its, None);
        ours.push((readers as f64, its.median()));
        tokio.push((readers as f64, others.median()));
    }
    let readers = Plot::new("delivery-by-readers", "readers of one topic", "ns for each delivery")
        .with_line(Ours::NAME, ours)
        .with_line(Tokio::NAME, tokio);

    let mut ours = Vec::new();
    for topics in TOPICS {
        let samples = by_topics(topics, rounds);
        report.figure(&format!("a delivery, of {topics} topics"), "ns", &samples, None);
        ours.push((topics as f64, samples.median()));
    }
    let topics =
        Plot::new("delivery-by-topics", "topics with a reader each", "ns for each delivery")
            .with_line(Ours::NAME, ours);
    for plot in [readers, topics] {
        plot.write().expect("the picture can be written");
    }
}

/// Publishes to one topic after the other, in no order that a cache could guess, and reads there.
fn by_topics(topics: usize, rounds: usize) -> Samples {
    let publisher = MemoryBackend::builder().capacity(CAPACITY).build();
    let there = publisher.fork();
    let names: Vec<_> = (0..topics).map(|number| format!("topic/{number}")).collect();
    let mut readers: Vec<_> = names.iter().map(|name| OurReader::of(&there, name)).collect();
    let mut next = 0;
    let round = || {
        let since = Instant::now();
        for _ in 0..DELIVERIES {
            // A prime: sooner or later, every topic has its turn.
            next = (next + 7_919) % topics;
            publisher.publish_now(envelope(&names[next])).expect("it is open");
            drop(black_box(readers[next].try_next().expect("it is there")));
        }
        since.elapsed().as_nanos() as f64 / DELIVERIES as f64
    };
    std::iter::repeat_with(round).take(rounds).collect()
}
