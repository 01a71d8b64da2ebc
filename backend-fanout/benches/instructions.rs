//! How many instructions it takes, counted by callgrind: figures that are the same on a busy machine.
//!
//! ```text
//! cargo xtask instructions
//! ```
//!
//! counts, and holds the counts against those in `instructions.json`. Each is of [`TIMES`] times the
//! same work, without what was made ready for it.
//!
//! Runs count alike, to the instruction, because nothing here is left to chance: one thread, no
//! clock, and hashes whose seeds are addresses, which are the same in every run under valgrind. What
//! goes into the machine's allocator is counted, too; so there is no figure of a work that does
//! little else, such as to build an envelope.

#![expect(missing_docs, reason = "what the macros write has none")]

mod support;

use std::env;
use std::hint::black_box;

use backend_fanout::{Bus, Endpoint};
use gungraun::{Callgrind, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group};

use support::Parties;

/// How often each does its work.
const TIMES: usize = 1_000;

/// With room for all that is published.
fn readers(readers: usize) -> Parties {
    Parties::new(TIMES, readers)
}

/// With readers that have all of it before them.
fn unread(readers: usize) -> Parties {
    let parties = Parties::new(TIMES, readers);
    parties.publish(TIMES);
    parties
}

fn fresh_topics() -> (Endpoint, Vec<String>) {
    let topics = (0..TIMES).map(|number| format!("fresh/{number}"));
    (Bus::new().attach(), topics.collect())
}

#[library_benchmark]
#[bench::to_nobody(readers(0))]
#[bench::to_1_reader(readers(1))]
#[bench::to_64_readers(readers(64))]
#[bench::to_a_stalled_reader(Parties::with_stalled_reader())]
fn publish(parties: Parties) -> Parties {
    parties.publish(TIMES);
    parties
}

#[library_benchmark]
#[bench::by_1_reader(unread(1))]
#[bench::by_64_readers(unread(64))]
fn receive(mut parties: Parties) -> Parties {
    parties.drain();
    parties
}

#[library_benchmark]
#[bench::a_parked_reader(readers(1))]
fn wake(mut parties: Parties) -> Parties {
    for _ in 0..TIMES {
        parties.wake();
    }
    parties
}

#[library_benchmark]
#[bench::on_fresh_topics(fresh_topics())]
fn subscribe_and_drop((endpoint, topics): (Endpoint, Vec<String>)) -> Endpoint {
    for topic in &topics {
        drop(black_box(endpoint.subscribe(topic)));
    }
    endpoint
}

library_benchmark_group!(
    name = operations,
    benchmarks = [publish, receive, wake, subscribe_and_drop]
);

/// Caches and cycles would be a guess, and another machine's.
fn instructions_alone() -> LibraryBenchmarkConfig {
    let mut config = LibraryBenchmarkConfig::default();
    config.tool(Callgrind::with_args(["--cache-sim=no"]));
    config
}

mod counted {
    use super::{instructions_alone, operations};

    gungraun::main!(
        config = instructions_alone();
        library_benchmark_groups = operations
    );

    pub(super) fn run() {
        main();
    }
}

fn main() {
    // As part of `cargo test --all-targets` it has only been built.
    if env::args().any(|argument| argument == "--bench" || argument == "--gungraun-run") {
        counted::run();
    }
}
