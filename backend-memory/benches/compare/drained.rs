//! 32 publishes, then every reader takes all of them, on one thread: what a delivery costs when
//! nobody waits.

use std::hint::black_box;
use std::time::Instant;

use bench_harness::Report;
use tokio::runtime::Runtime;

use crate::peers::{AsyncBroadcast, Ours, Peer, Queues, Reader, TOPIC, Tokio, compare, envelope};

/// How many are published before anybody reads.
const BATCH: usize = 32;

/// How many deliveries a round has, at least.
const DELIVERIES: usize = 100_000;

pub(crate) fn run(report: &mut Report, _: &Runtime, rounds: usize) {
    for (readers, target) in [(1, 1.5), (8, 1.4), (64, 1.4), (1_000, 1.4)] {
        let (mut ours, mut tokio) = (work::<Ours>(readers), work::<Tokio>(readers));
        let (mut broadcast, mut queues) =
            (work::<AsyncBroadcast>(readers), work::<Queues>(readers));
        report.set_target(Some(target));
        let what = format!("drained, {readers} readers");
        let all: [&mut dyn FnMut() -> f64; 4] =
            [&mut ours, &mut broadcast, &mut queues, &mut tokio];
        compare(report, &what, rounds, all);
    }
}

/// Nanoseconds for each delivery.
pub(crate) fn work<P: Peer>(readers: usize) -> impl FnMut() -> f64 {
    let (peer, mut readers) = P::start(readers);
    let batches = DELIVERIES.div_ceil(BATCH * readers.len());
    move || {
        let since = Instant::now();
        let mut delivered = 0;
        for _ in 0..batches {
            for _ in 0..BATCH {
                peer.send(envelope(TOPIC));
            }
            for reader in &mut readers {
                while let Some(envelope) = reader.try_next() {
                    delivered += 1;
                    drop(black_box(envelope));
                }
            }
        }
        assert_eq!(delivered, batches * BATCH * readers.len());
        since.elapsed().as_nanos() as f64 / delivered as f64
    }
}
