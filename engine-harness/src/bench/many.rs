//! Many subscriptions to one topic within one process.

use bench_harness::Better;

use super::adapter::Instance;
use super::through::fitting;
use super::{Bench, Engine};
use crate::Result;
use crate::traffic::throughput;

const SUBSCRIPTIONS: usize = 1_000;

/// So many as to have no part in it that a publisher may wait for the server.
const PUBLISHERS: u64 = 16;

const SIZE: usize = 100;

/// How many times the deliveries of subscriptions at the engine those of one instance should be.
const TARGET: f64 = 20.0;

impl<E: Engine> Bench<E> {
    pub(super) fn many_subscriptions(&mut self) -> Result {
        let Self { engine, runtime, report, rounds } = self;
        let (ours, mut our_streams) = runtime.block_on(async {
            let receiving = Instance::of(engine).await?;
            let mut streams = Vec::new();
            for _ in 0..SUBSCRIPTIONS {
                streams.push(receiving.subscribe().await?);
            }
            Ok::<_, crate::Error>((Instance::of(engine).await?, streams))
        })?;
        let (theirs, mut their_streams) = runtime.block_on(async {
            let streams = engine.subscriptions(SUBSCRIPTIONS).await?;
            Ok::<_, crate::Error>((engine.sender().await?, streams))
        })?;
        // So far apart that what takes one of them a round would take the other a minute.
        let our_load = runtime.block_on(fitting(&ours, &mut our_streams, PUBLISHERS, SIZE));
        let their_load = runtime.block_on(fitting(&theirs, &mut their_streams, PUBLISHERS, SIZE));
        let deliveries = SUBSCRIPTIONS as f64;
        report.set_target(Some(TARGET));
        report.compare(
            &format!("{SIZE} B to 1,000 subscriptions of one instance, or {}", E::SUBSCRIPTIONS),
            "deliveries/s",
            Better::More,
            *rounds,
            &mut [
                (E::ADAPTER, &mut || {
                    deliveries * runtime.block_on(throughput(&ours, &mut our_streams, our_load))
                }),
                (E::CLIENT, &mut || {
                    deliveries
                        * runtime.block_on(throughput(&theirs, &mut their_streams, their_load))
                }),
            ],
        );
        Ok(())
    }
}
