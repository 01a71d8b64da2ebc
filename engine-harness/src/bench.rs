//! The benches of an adapter: against its engine's client doing the same work, and after a restart
//! of the server. [`run`] is their `main`.
//!
//! Adapter and client take turns within one process, over one server. The client sends the bare
//! data, without topic, number or any other promise.

mod adapter;
mod many;
mod recovery;
mod through;

use std::sync::Arc;

use backend_core::HealthAwareBackend;
use bench_harness::{Arguments, Report};
use tokio::runtime::Runtime;

use crate::traffic::{Receiver, Sender};
use crate::{Result, Server};

/// How many rounds count, unless `ROUNDS` says otherwise.
const ROUNDS: usize = 15;

/// A running server, and how to get to it: through the adapter, and with the client that the adapter
/// is built on.
pub trait Engine: Sized {
    /// What the report is called.
    const NAME: &'static str;
    /// The adapter's name.
    const ADAPTER: &'static str;
    /// The client's.
    const CLIENT: &'static str;
    /// What [`subscriptions`](Self::subscriptions) are, such as "connections".
    const SUBSCRIPTIONS: &'static str;

    /// What publishes to [`TOPIC`](crate::traffic::TOPIC) by the client alone, over one connection.
    type Sender: Sender;
    /// What receives from there.
    type Receiver: Receiver;

    /// Starts a server.
    fn start() -> impl Future<Output = Result<Self>>;

    /// Starts it again after it was killed; it answers then.
    fn start_again(&mut self) -> impl Future<Output = Result>;

    /// The server.
    fn server(&mut self) -> &mut Server;

    /// A new instance of the adapter, which keeps so many messages for a slow reader.
    fn instance(
        &self,
        capacity: usize,
    ) -> impl Future<Output = Result<Arc<dyn HealthAwareBackend>>>;

    /// A connection of its own that publishes. Its `Ok` is to mean what the adapter's means.
    fn sender(&self) -> impl Future<Output = Result<Self::Sender>>;

    /// A connection of its own that receives, once this has returned.
    fn receiver(&self) -> impl Future<Output = Result<Self::Receiver>>;

    /// So many subscriptions to the one topic, with as few connections as the engine allows.
    fn subscriptions(&self, number: usize) -> impl Future<Output = Result<Vec<Self::Receiver>>>;
}

/// Runs everything, or the parts that the command line names, and writes the report.
///
/// # Errors
/// Something was asked for that there is not; the server cannot be started or reached, or the report
/// not be written.
///
/// # Panics
/// If something is lost on the way.
pub fn run<E: Engine>() -> Result {
    let parts: [(&str, Part<E>); 4] = [
        ("throughput", Bench::throughputs),
        ("latency", Bench::latencies),
        ("subscriptions", Bench::many_subscriptions),
        ("recovery", Bench::recoveries),
    ];
    let Some(arguments) = Arguments::read(ROUNDS, &parts.map(|(name, _)| name))? else {
        println!("a bench; run it with `cargo bench`");
        return Ok(());
    };
    let rounds = arguments.rounds;
    let runtime = Runtime::new()?;
    let engine = runtime.block_on(E::start())?;
    let title = format!("`{}` and {} by itself", E::ADAPTER, E::CLIENT);
    let mut bench = Bench { engine, runtime, rounds, report: Report::new(E::NAME, &title) };
    for (_, part) in parts.into_iter().filter(|(name, _)| arguments.wants(name)) {
        part(&mut bench)?;
    }
    Ok(bench.report.write()?)
}

/// Adds its rows to the report.
type Part<E> = fn(&mut Bench<E>) -> Result;

struct Bench<E> {
    engine: E,
    runtime: Runtime,
    rounds: usize,
    report: Report,
}
