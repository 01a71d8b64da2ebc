//! What comes through, and how long it takes.

use std::time::Duration;

use bench_harness::{Better, Samples};

use super::adapter::Instance;
use super::{Bench, Engine};
use crate::Result;
use crate::traffic::{self, Load, Receiver, STEP, Sender};

/// What the adapter should reach of the client's throughput.
const THROUGHPUT: f64 = 0.8;

/// By what its latency may be greater.
const LATENCY: f64 = 1.1;

/// How long one round is to take, about.
const ROUND: Duration = Duration::from_millis(250);

const SMALL: usize = 100;
const LARGE: usize = 10 * 1024;

/// The messages of one round of latencies.
const LATENCIES: usize = 1_000;

impl<E: Engine> Bench<E> {
    pub(super) fn throughputs(&mut self) -> Result {
        for size in [SMALL, LARGE] {
            for (publishers, receivers) in [(1, 1), (64, 1), (1, 4), (64, 4)] {
                self.throughput(size, publishers, receivers)?;
            }
        }
        self.throughput(SMALL, 256, 1)
    }

    fn throughput(&mut self, size: usize, publishers: u64, receivers: usize) -> Result {
        let Self { engine, runtime, report, rounds } = self;
        let (ours, mut our_streams) = runtime.block_on(async {
            let mut streams = Vec::new();
            for _ in 0..receivers {
                streams.push(Instance::of(engine).await?.subscribe().await?);
            }
            Ok::<_, crate::Error>((Instance::of(engine).await?, streams))
        })?;
        let (theirs, mut their_streams) = runtime.block_on(async {
            let mut streams = Vec::new();
            for _ in 0..receivers {
                streams.push(engine.receiver().await?);
            }
            Ok::<_, crate::Error>((engine.sender().await?, streams))
        })?;
        let load = runtime.block_on(fitting(&theirs, &mut their_streams, publishers, size));
        report.set_target((receivers == 1).then_some(THROUGHPUT));
        report.compare(
            &format!("{}, {publishers} publishing, {receivers} receiving", shown(size)),
            "messages/s",
            Better::More,
            *rounds,
            &mut [
                (E::ADAPTER, &mut || {
                    runtime.block_on(traffic::throughput(&ours, &mut our_streams, load))
                }),
                (E::CLIENT, &mut || {
                    runtime.block_on(traffic::throughput(&theirs, &mut their_streams, load))
                }),
            ],
        );
        Ok(())
    }

    pub(super) fn latencies(&mut self) -> Result {
        for size in [SMALL, LARGE] {
            let (ours, mut our_stream) = self.runtime.block_on(async {
                let receiving = Instance::of(&self.engine).await?.subscribe().await?;
                Ok::<_, crate::Error>((Instance::of(&self.engine).await?, receiving))
            })?;
            let (theirs, mut their_stream) = self.runtime.block_on(async {
                let receiving = self.engine.receiver().await?;
                Ok::<_, crate::Error>((self.engine.sender().await?, receiving))
            })?;
            let [mut middle, mut late] = [(); 2].map(|()| [Samples::default(), Samples::default()]);
            for round in 0..=self.rounds {
                let measured = traffic::latencies(&ours, our_stream, LATENCIES, size);
                let (ours, back) = self.runtime.block_on(measured);
                our_stream = back;
                let measured = traffic::latencies(&theirs, their_stream, LATENCIES, size);
                let (theirs, back) = self.runtime.block_on(measured);
                their_stream = back;
                // The first one warms up.
                if round > 0 {
                    for (index, latencies) in [ours, theirs].into_iter().enumerate() {
                        let micros = |one: Duration| one.as_secs_f64() * 1e6;
                        let all: Samples = latencies.into_iter().map(micros).collect();
                        middle[index].push(all.median());
                        late[index].push(all.quantile(0.99));
                    }
                }
            }
            self.report.set_target(Some(1.0 / LATENCY));
            for (what, [ours, theirs]) in [("p50", middle), ("p99", late)] {
                self.report.add(
                    &format!("{}, from publish to receive, {what}", shown(size)),
                    "µs",
                    Better::Less,
                    &[(E::ADAPTER, ours), (E::CLIENT, theirs)],
                );
            }
        }
        Ok(())
    }
}

/// As many messages as the client gets through in one round.
pub(super) async fn fitting<S: Sender, R: Receiver>(
    sender: &S,
    receivers: &mut Vec<R>,
    publishers: u64,
    size: usize,
) -> Load {
    // Within what servers and adapters let wait for a slow reader, in bytes: 16 MiB over NATS.
    let window = (publishers * STEP).max(if size > SMALL { 1_024 } else { 8_192 });
    let mut load = Load { publishers, messages: publishers * STEP, size, window };
    // The first ones say little: a cold start is slow.
    for part in [0.1, 0.5, 1.0] {
        let rate = traffic::throughput(sender, receivers, load).await;
        let steps = rate * ROUND.as_secs_f64() * part / (publishers * STEP) as f64;
        load.messages = (steps as u64).max(1) * publishers * STEP;
    }
    load
}

fn shown(size: usize) -> String {
    if size < 1024 { format!("{size} B") } else { format!("{} KiB", size / 1024) }
}
