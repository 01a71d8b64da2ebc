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

use bench_harness::{Arguments, Report};
use tokio::runtime::Runtime;

/// How many rounds count, unless `ROUNDS` says otherwise.
const ROUNDS: usize = 31;

/// Adds its rows to the report, each of so many rounds.
type Part = fn(&mut Report, &Runtime, usize);

fn main() -> std::io::Result<()> {
    let parts: [(&str, Part); 7] = [
        ("drained", drained::run),
        ("floor", floor::run),
        ("parked", parked::run),
        ("publishers", many_topics::run),
        ("ping-pong", ping_pong::run),
        ("publishing", publishing::run),
        ("growth", growth::run),
    ];
    let Some(arguments) = Arguments::read(ROUNDS, &parts.map(|(name, _)| name))? else {
        return Ok(());
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut report = Report::new("memory", "Against others, within one process");
    for (_, part) in parts.into_iter().filter(|(name, _)| arguments.wants(name)) {
        part(&mut report, &runtime, arguments.rounds);
    }
    report.write()
}
