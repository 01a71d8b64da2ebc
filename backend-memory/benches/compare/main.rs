//! The fan-out against what else there is for the job, doing the same work in turns.
//!
//! ```text
//! cargo bench -p backend-memory --bench compare
//! ```
//!
//! `ROUNDS` sets how many rounds count. Every contender carries the same envelopes, built the same
//! way and dropped by the reader. What is ours comes out of the public `Subscription`, with all that
//! the contract demands: exact gaps, own envelopes left out, ttl.

mod drained;
mod floor;
mod growth;
mod many_topics;
mod parked;
mod peers;
mod ping_pong;
mod publishing;

use std::env;

use bench_harness::Report;
use tokio::runtime::Runtime;

/// How many rounds count, unless `ROUNDS` says otherwise.
const ROUNDS: usize = 31;

/// Adds its rows to the report, each of so many rounds.
type Part = fn(&mut Report, &Runtime, usize);

fn main() -> std::io::Result<()> {
    // As part of `cargo test --all-targets` it has only been built.
    if !env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let rounds = env::var("ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(ROUNDS);
    let wanted: Vec<_> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|one| one == name);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut report = Report::new("memory", "Against others, within one process");
    let parts: [(&str, Part); 7] = [
        ("drained", drained::run),
        ("floor", floor::run),
        ("parked", parked::run),
        ("publishers", many_topics::run),
        ("ping-pong", ping_pong::run),
        ("publishing", publishing::run),
        ("growth", growth::run),
    ];
    for (name, part) in parts {
        if is_wanted(name) {
            part(&mut report, &runtime, rounds);
        }
    }
    report.write()
}
