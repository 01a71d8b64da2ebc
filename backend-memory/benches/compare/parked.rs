//! Readers that wait, in tasks of their own, on two threads: 32 publishes, then the publisher waits
//! until everybody has got them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use bench_harness::Report;
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

use crate::peers::{AsyncBroadcast, Ours, Peer, Queues, Reader, TOPIC, Tokio, compare, envelope};

const BATCH: usize = 32;

/// How many deliveries a round has, at least.
const DELIVERIES: usize = 100_000;

pub(crate) fn run(report: &mut Report, runtime: &Runtime, rounds: usize) {
    for (readers, target) in [(1, 1.6), (8, 1.0), (64, 2.0), (1_000, 2.0)] {
        let (mut ours, mut tokio) =
            (work::<Ours>(runtime, readers), work::<Tokio>(runtime, readers));
        let mut broadcast = work::<AsyncBroadcast>(runtime, readers);
        let mut queues = work::<Queues>(runtime, readers);
        report.set_target(Some(target));
        let what = format!("parked, {readers} readers");
        let all: [&mut dyn FnMut() -> f64; 4] =
            [&mut ours, &mut broadcast, &mut queues, &mut tokio];
        compare(report, &what, rounds, all);
    }
}

/// A contender and its readers, which go first.
struct Running<P> {
    _readers: Vec<AbortOnDropHandle<()>>,
    peer: P,
    got: Arc<Got>,
}

/// Nanoseconds for each delivery.
fn work<P: Peer>(runtime: &Runtime, readers: usize) -> impl FnMut() -> f64 {
    let (peer, readers) = P::start(readers);
    let (number, got) = (readers.len(), Arc::new(Got::default()));
    let read = |reader| runtime.spawn(read(reader, Arc::clone(&got), BATCH * number));
    let tasks = readers.into_iter().map(|reader| AbortOnDropHandle::new(read(reader))).collect();
    let running = Running { _readers: tasks, peer, got };
    let batches = DELIVERIES.div_ceil(BATCH * number);
    move || {
        let Running { peer, got, .. } = &running;
        let (peer, got) = (peer.clone(), Arc::clone(got));
        let published = runtime.spawn(async move {
            let since = Instant::now();
            for _ in 0..batches {
                for _ in 0..BATCH {
                    peer.send(envelope(TOPIC));
                }
                got.all.notified().await;
            }
            since.elapsed()
        });
        let took = runtime.block_on(published).expect("it does not panic");
        took.as_nanos() as f64 / (batches * BATCH * number) as f64
    }
}

/// What has been got of a batch by all together.
#[derive(Default)]
struct Got {
    envelopes: AtomicUsize,
    all: Notify,
}

async fn read(mut reader: impl Reader, got: Arc<Got>, of: usize) {
    loop {
        for _ in 0..BATCH {
            drop(reader.next().await);
        }
        if (got.envelopes.fetch_add(BATCH, Ordering::AcqRel) + BATCH).is_multiple_of(of) {
            got.all.notify_one();
        }
    }
}
